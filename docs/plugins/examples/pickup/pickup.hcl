plugin "pickup" {
  source            = "/usr/local/lib/sigra/pickup"
  insecure_unpinned = true

  config {
    folder = "/var/spool/pickup"
  }
}
