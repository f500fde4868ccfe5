plugin "greeter" {
  source            = "/usr/local/lib/sigra/greeter"
  insecure_unpinned = true
  reattach          = "/home/ada/greeter/greeter.reattach.json"
  grants            = ["audit.receive", "pages.render", "audit.record", "routes.serve:/greeter"]
}
