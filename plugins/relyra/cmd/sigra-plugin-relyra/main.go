// Command sigra-plugin-relyra runs Relyra as an external plugin binary.
package main

import (
	"github.com/sigra-auth/sigra/plugins/relyra"
	"github.com/sigra-auth/sigra/pluginsdk"
)

func main() { pluginsdk.Serve(relyra.New()) }
