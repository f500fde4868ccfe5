// Command sigra-plugin-threadline runs Threadline as an external plugin binary.
package main

import (
	"github.com/sigra-auth/sigra/plugins/threadline"
	"github.com/sigra-auth/sigra/pluginsdk"
)

func main() { pluginsdk.Serve(threadline.New()) }
