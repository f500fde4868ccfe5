plugin "greeter" {
  source            = "/usr/local/lib/sigra/greeter"
  insecure_unpinned = true # while developing; pin it by sha256 = "…" in production
  grants            = ["audit.receive", "pages.render", "audit.record", "routes.serve:/greeter"]

  config {
    greeting = "Good day"
  }
}
