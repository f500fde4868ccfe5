plugin "company" {
  source            = "/usr/local/lib/sigra/company"
  insecure_unpinned = true
  grants            = ["login.offer", "routes.public:/company"]

  config {
    company "example.com" {
      name      = "Example"
      url       = "https://sso.example.com/"
      exclusive = true
    }
  }
}
