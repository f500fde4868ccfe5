plugin "domains" {
  source            = "/usr/local/lib/sigra/domains"
  insecure_unpinned = true

  gate "registration" {
    on_error = "deny"
  }
  gate "login" {
    on_error = "allow" # who has an account already gets in while the plugin is down
    timeout  = "200ms"
  }

  config {
    allowed = ["example.com", "example.org"]
  }
}
