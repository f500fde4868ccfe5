package pluginhost

import (
	"fmt"
	"strings"

	"github.com/sigra-auth/sigra/core/config"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// claim takes a manifest's paths for a plugin, unless there is a conflict.
func (h *Host) claim(p *plugin, m *manifest, b config.Plugin) config.Diagnostics {
	h.claiming.Lock()
	defer h.claiming.Unlock()
	diags := h.pathConflicts(p.name, m, b)
	if !diags.HasErrors() {
		p.mu.Lock()
		p.manifest = m
		p.mu.Unlock()
	}
	return diags
}

// pathConflicts holds a manifest's paths against the core's and those of every other plugin, and its name against theirs.
func (h *Host) pathConflicts(name string, m *manifest, b config.Plugin) config.Diagnostics {
	others := map[string]*manifest{}
	for _, p := range h.all() {
		p.mu.Lock()
		if p.name != name && p.block.Enabled && p.manifest != nil {
			others[p.name] = p.manifest
		}
		p.mu.Unlock()
	}
	return h.conflicts(b, m, others)
}

func (h *Host) conflicts(b config.Plugin, m *manifest, others map[string]*manifest) config.Diagnostics {
	var diags config.Diagnostics
	where := b.At("grants")
	if m.GetName() != b.Name { // what it records, claims, publishes and keeps in browsers stands under this name, and its block is what the operator allowed
		diags = append(diags, errorAt(b, b.Range, "Plugin under another name", fmt.Sprintf("The program of plugin %[1]q calls itself %[2]q. Name its block that: plugin %[2]q { … }.", b.Name, m.GetName())))
	}
	for _, r := range m.GetRoutes() {
		for _, core := range h.cfg.CorePaths {
			if under(r.GetPath(), core) || under(core, r.GetPath()) {
				diags = append(diags, errorAt(b, where, "Path is Sigra's own", fmt.Sprintf("Plugin %q wants to serve %s, which is Sigra's %s.", b.Name, r.GetPath(), core)))
			}
		}
		for other, om := range others {
			for _, or := range om.GetRoutes() {
				if under(r.GetPath(), or.GetPath()) || under(or.GetPath(), r.GetPath()) {
					diags = append(diags, errorAt(b, where, "Path belongs to another plugin", fmt.Sprintf("Plugin %q wants to serve %s, but plugin %q serves %s.", b.Name, r.GetPath(), other, or.GetPath())))
				}
			}
		}
	}
	for _, q := range b.Gates {
		if !m.offers(pluginv1.Gate_ServiceDesc.ServiceName) || m.question(q.Question) == nil {
			diags = append(diags, errorAt(b, q.Range, "Plugin can't answer this", fmt.Sprintf("Plugin %q answers: %s.", b.Name, orElse(strings.Join(m.questions(), ", "), "no questions"))))
		}
	}
	return diags
}
