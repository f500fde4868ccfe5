package pluginhost

import (
	"github.com/hashicorp/hcl/v2"

	"github.com/sigra-auth/sigra/core/config"
)

// errorAt is something wrong with a block, shown at its place in the user's file.
func errorAt(b config.Plugin, at hcl.Range, summary, detail string) config.Diagnostic {
	return b.Diagnose(at, config.Error, summary, detail, "")
}
