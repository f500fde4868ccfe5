plugin "seats" {
  source            = "/usr/local/lib/sigra/seats"
  insecure_unpinned = true
  grants            = ["events.receive:billing.seats.*"]

  events {
    from = "now" # events of before this plugin was here are not read
  }
}
