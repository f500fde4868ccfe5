package pluginhost

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/sigra-auth/sigra/core/config"
)

// difference says what a reload changes of a plugin that was there before: of its block, its program and its settings.
func (c *change) difference(old config.Plugin, was *instance) []string {
	var out []string
	add := func(what string, differs bool) {
		if differs {
			out = append(out, what)
		}
	}
	b := c.b
	add("enabled", !old.Enabled && b.Enabled)
	add("disabled", old.Enabled && !b.Enabled)
	add("program", old.Source != b.Source || old.SHA256 != b.SHA256 || was != nil && c.kind == start && c.in != nil && !c.in.program.Same(was.program))
	add("pinning", old.InsecureUnpinned != b.InsecureUnpinned || old.Reattach != b.Reattach)
	add("accepted rights", !slices.Equal(old.Accepted, b.Accepted))
	add("grants", !slices.Equal(sorted(old.Grants), sorted(b.Grants)))
	add("gates", !reflect.DeepEqual(gatesOf(old), gatesOf(b)))
	add("events", !reflect.DeepEqual(old.Events, b.Events))
	add("required", old.Required != b.Required)
	add("environment", !slices.Equal(sorted(old.Env), sorted(b.Env)))
	add("networks", !slices.Equal(old.AllowedNetworks, b.AllowedNetworks))
	add("limits", old.Limits != b.Limits)
	add("user", old.User != b.User)
	add("database", old.DatabaseURL != b.DatabaseURL)
	before := c.before // those of a process that was configured anew
	if c.kind == start && was != nil {
		before = was.settings
	}
	add("settings", was != nil && c.settings != nil && !bytes.Equal(before, c.settings))
	return out
}

// gatesOf are a block's gates without where they stand.
func gatesOf(b config.Plugin) []config.PluginGate {
	out := slices.Clone(b.Gates)
	for i := range out {
		out[i].Range = config.PluginGate{}.Range
	}
	return out
}

// changed says in words what the reload does, for operators: `plugin "greeter": grants, settings`.
func (r *reload) changed() []string {
	var out []string
	for _, c := range r.changes {
		was := r.h.lookup(c.b.Name)
		if was == nil {
			continue // it is new
		}
		if what := c.difference(was.getBlock(), c.was); len(what) > 0 {
			out = append(out, fmt.Sprintf("plugin %q: %s", c.b.Name, strings.Join(what, ", ")))
		}
	}
	return out
}
