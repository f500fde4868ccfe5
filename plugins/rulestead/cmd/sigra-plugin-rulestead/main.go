// Command sigra-plugin-rulestead runs Rulestead as an external plugin binary.
package main

import (
	"github.com/sigra-auth/sigra/plugins/rulestead"
	"github.com/sigra-auth/sigra/pluginsdk"
)

func main() { pluginsdk.Serve(rulestead.New()) }
