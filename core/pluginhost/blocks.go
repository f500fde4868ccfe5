package pluginhost

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/pluginhost/process"
	"github.com/sigra-auth/sigra/pluginsdk/contract"
)

// checkBlocks is what needs no process.
func (h *Host) checkBlocks(blocks []config.Plugin) config.Diagnostics {
	var diags config.Diagnostics
	seen := map[string]hcl.Range{}
	paths := map[string]string{}
	for _, b := range blocks {
		if !contract.IsName(b.Name) {
			diags = append(diags, errorAt(b, b.Range, "Invalid plugin name", fmt.Sprintf("%q is not lower-case letters, digits and underscores, beginning with a letter.", printable(b.Name))))
			continue
		}
		if b.Name == "sigra" || audit.Reserved(b.Name+".x") {
			diags = append(diags, errorAt(b, b.Range, "Plugin under Sigra's name", fmt.Sprintf("Sigra's own actions and events stand under %q: no plugin can have that name.", b.Name)))
		}
		if first, dup := seen[b.Name]; dup {
			diags = append(diags, errorAt(b, b.Range, "Duplicate plugin", fmt.Sprintf("Plugin %q has a block already, at line %d.", b.Name, first.Start.Line)))
		}
		seen[b.Name] = b.Range
		if !b.External() && !h.bundled(b.Name) {
			diags = append(diags, b.Diagnose(b.Range, config.Error, fmt.Sprintf("there is no bundled plugin %q", b.Name),
				fmt.Sprintf("Bundled are: %s. For an external plugin set source and sha256.", orElse(strings.Join(h.cfg.Bundled, ", "), "none")), config.Suggest(b.Name, h.cfg.Bundled)))
		}
		if b.External() && b.SHA256 == "" && !b.InsecureUnpinned {
			diags = append(diags, errorAt(b, b.At("source"), "Unpinned plugin", "An external plugin needs sha256, or insecure_unpinned = true while it is being developed."))
		}
		if err := process.CheckUser(b); err != nil {
			diags = append(diags, errorAt(b, b.At("user"), "Plugin can't run as this user", printable(err.Error())+"."))
		}
		g, more := parseGrants(b)
		diags = append(diags, more...)
		if b.Enabled {
			for _, p := range g.routes {
				if other, taken := paths[p]; taken {
					diags = append(diags, errorAt(b, b.At("grants"), "Path granted twice", fmt.Sprintf("%s is granted to plugin %q already.", p, other)))
				}
				paths[p] = b.Name
			}
		}
		for _, q := range b.Gates {
			if !slices.Contains(gate.Questions, gate.Question(q.Question)) {
				diags = append(diags, errorAt(b, q.Range, "Unknown question", fmt.Sprintf("No gate is asked %q.", printable(q.Question))))
			}
		}
	}
	return diags
}
