plugin "company" {
  source            = "/usr/local/lib/sigra/company"
  insecure_unpinned = true
  grants            = ["routes.serve:/company"]

  config {
    company "example.com" {
      name      = "Example"
      url       = "https://sso.example.com/"
      exclusive = true
    }
  }
}
