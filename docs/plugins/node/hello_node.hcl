plugin "hello_node" {
  source            = "/usr/local/lib/sigra/hello-node/index.js"
  insecure_unpinned = true
  grants            = ["kv.use", "routes.public:/hello_node"]
  env               = ["PATH", "SIGRA_PROTO"]

  config {
    greeting = "Good day"
  }
}
