//go:build core_only

package main

import "github.com/sigra-auth/sigra/pluginsdk"

// bundle is empty: Sigra ships without any of them.
func bundle() map[string]func() pluginsdk.Plugin { return nil }
