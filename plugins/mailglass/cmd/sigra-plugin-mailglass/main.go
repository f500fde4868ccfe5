// Command sigra-plugin-mailglass runs Mailglass as an external plugin binary.
package main

import (
	"github.com/sigra-auth/sigra/plugins/mailglass"
	"github.com/sigra-auth/sigra/pluginsdk"
)

func main() { pluginsdk.Serve(mailglass.New()) }
