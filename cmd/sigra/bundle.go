//go:build !core_only

package main

import (
	"github.com/sigra-auth/sigra/plugins/threadline"
	"github.com/sigra-auth/sigra/pluginsdk"
)

// bundle names the satellites that are part of this binary. Nothing else in the core knows them.
func bundle() map[string]func() pluginsdk.Plugin {
	return map[string]func() pluginsdk.Plugin{
		"threadline": threadline.New,
	}
}
