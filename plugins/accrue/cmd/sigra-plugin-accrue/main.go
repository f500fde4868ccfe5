// Command sigra-plugin-accrue runs Accrue as an external plugin binary.
package main

import (
	"github.com/sigra-auth/sigra/plugins/accrue"
	"github.com/sigra-auth/sigra/pluginsdk"
)

func main() { pluginsdk.Serve(accrue.New()) }
