package main

import (
	"maps"
	"slices"

	"github.com/sigra-auth/sigra/core/config"
)

// bundledGates are the questions that the manifests of the bundled satellites answer.
func bundledGates() map[string][]config.PluginGate {
	out := map[string][]config.PluginGate{}
	for name, plugin := range bundle() {
		for _, q := range plugin().Manifest().Questions {
			g := config.PluginGate{Question: string(q.Question), OnError: config.OnErrorDeny, Timeout: q.Timeout}
			if q.AllowOnError {
				g.OnError = config.OnErrorAllow
			}
			out[name] = append(out[name], g)
		}
	}
	return out
}

// bundledNames are the satellites in this binary, by name.
func bundledNames() []string { return slices.Sorted(maps.Keys(bundle())) }
