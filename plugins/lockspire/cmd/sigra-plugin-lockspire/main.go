// Command sigra-plugin-lockspire runs Lockspire as an external plugin binary.
package main

import (
	"github.com/sigra-auth/sigra/plugins/lockspire"
	"github.com/sigra-auth/sigra/pluginsdk"
)

func main() { pluginsdk.Serve(lockspire.New()) }
