package main

import "github.com/sigra-auth/sigra/pluginsdk"

func main() { pluginsdk.Serve(plugin()) }
