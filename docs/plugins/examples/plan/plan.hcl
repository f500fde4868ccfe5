plugin "plan" {
  source            = "/usr/local/lib/sigra/plan"
  insecure_unpinned = true
  grants            = ["claims.add:name", "claims.add:features"]

  config {
    name     = "gold"
    features = ["export", "audit"]
  }
}
