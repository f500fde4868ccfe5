//go:build !core_only

package main

import (
	"github.com/sigra-auth/sigra/plugins/accrue"
	"github.com/sigra-auth/sigra/plugins/lockspire"
	"github.com/sigra-auth/sigra/plugins/mailglass"
	"github.com/sigra-auth/sigra/plugins/relyra"
	"github.com/sigra-auth/sigra/plugins/rulestead"
	"github.com/sigra-auth/sigra/plugins/threadline"
	"github.com/sigra-auth/sigra/pluginsdk"
)

// bundle names the satellites that are part of this binary. Nothing else in the core knows them.
func bundle() map[string]func() pluginsdk.Plugin {
	return map[string]func() pluginsdk.Plugin{
		"accrue":     accrue.New,
		"lockspire":  lockspire.New,
		"mailglass":  mailglass.New,
		"relyra":     relyra.New,
		"rulestead":  rulestead.New,
		"threadline": threadline.New,
	}
}
