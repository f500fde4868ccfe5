plugin "plan" {
  source            = "/usr/local/lib/sigra/plan"
  insecure_unpinned = true

  config {
    name     = "gold"
    features = ["export", "audit"]
  }
}
