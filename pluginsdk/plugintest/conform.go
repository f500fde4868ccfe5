package plugintest

import (
	"testing"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// Options tell Conform about the plugin.
type Options struct {
	Settings        string
	SQLiteOnly      bool
	RequirePostgres bool
}

// Conform placeholder.
func Conform(t *testing.T, make func() pluginsdk.Plugin, o Options) {}
