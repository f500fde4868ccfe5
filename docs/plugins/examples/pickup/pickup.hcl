plugin "pickup" {
  source            = "/usr/local/lib/sigra/pickup"
  insecure_unpinned = true
  grants            = ["mail.deliver"]

  config {
    folder = "/var/spool/pickup"
  }
}
