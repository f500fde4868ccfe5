package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/store"
)

// pluginAdmin is the plugin host as the API shows it. Changes are audited here, before they are made: a restart has no
// transaction of its own to be part of.
type pluginAdmin struct {
	host  *pluginhost.Host
	db    *store.DB
	audit *audit.Log
	load  func() (*config.Config, config.Diagnostics)
}

// List implements httpapi.Plugins.
func (a pluginAdmin) List(context.Context) ([]httpapi.PluginStatus, error) {
	out := []httpapi.PluginStatus{}
	for _, s := range a.host.Status() {
		out = append(out, statusOf(s))
	}
	return out, nil
}

func statusOf(s pluginhost.Status) httpapi.PluginStatus {
	source := s.Source
	if s.Bundled {
		source = "bundled"
	}
	return httpapi.PluginStatus{
		Name: s.Name, State: string(s.State), Source: source, Version: s.Version, Enabled: s.State != pluginhost.Disabled,
		Required: s.Required, Unpinned: s.Unpinned, PID: s.PID, Since: s.Since, Restarts: s.Restarts, Seams: s.Seams, Paths: s.Routes,
		LastError: s.Detail,
	}
}

// Info implements httpapi.Plugins.
func (a pluginAdmin) Info(_ context.Context, name string) (httpapi.PluginInfo, error) {
	i, err := a.host.Info(name)
	if err != nil {
		return httpapi.PluginInfo{}, err
	}
	settings, err := json.Marshal(i.Settings)
	if err != nil {
		return httpapi.PluginInfo{}, fmt.Errorf("plugin info: %w", err)
	}
	out := httpapi.PluginInfo{
		PluginStatus: statusOf(i.Status), Description: i.Description, SDK: i.SDK, Contract: i.Contract, SHA256: i.SHA256, PinnedBy: i.PinnedBy,
		Grants: i.Grants, Requires: i.Requires, Wants: i.Wants, Events: i.Events, Gates: i.Questions, Claims: i.Claims, Env: i.Env,
		Storage: i.Storage, Settings: settings, LastCrash: i.LastCrash, CrashedAt: i.CrashedAt, Failures: i.Failures, NextStart: i.NextStart,
		Broken: i.Broken, Log: i.Log,
	}
	for _, c := range i.Commands {
		out.Commands = append(out.Commands, httpapi.PluginCommand(c))
	}
	for _, r := range i.Paths {
		out.Routes = append(out.Routes, httpapi.PluginRoute{Path: r.Path, Access: r.Access, Machine: r.Machine, Title: r.Title})
	}
	for _, seam := range slices.Sorted(maps.Keys(i.Latencies)) {
		l := i.Latencies[seam]
		out.Latencies = append(out.Latencies, httpapi.PluginLatency{Seam: seam, Calls: l.Calls, P50MS: milliseconds(l.P50), P99MS: milliseconds(l.P99)})
	}
	for _, name := range slices.Sorted(maps.Keys(i.Facts)) {
		out.Facts = append(out.Facts, httpapi.PluginFact{Name: name, Value: i.Facts[name]})
	}
	return out, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Check implements httpapi.Plugins: with the block as it is in the file now.
func (a pluginAdmin) Check(ctx context.Context, name string) (httpapi.PluginCheck, error) {
	cfg, diags := a.load()
	if diags.HasErrors() {
		return httpapi.PluginCheck{Name: name, Diagnostics: diagnostics(diags)}, nil
	}
	for _, block := range cfg.Plugins {
		if block.Name != name {
			continue
		}
		found := a.host.Check(ctx, block)
		return httpapi.PluginCheck{OK: !found.HasErrors(), Name: name, Diagnostics: diagnostics(append(diags, found...))}, nil
	}
	return httpapi.PluginCheck{}, fault.Newf(fault.NotFound, "no_such_plugin", "There is no plugin %q in the configuration.", name)
}

// Restart implements httpapi.Plugins.
func (a pluginAdmin) Restart(ctx context.Context, actor audit.Ref, name string) error {
	if _, err := a.host.Info(name); err != nil {
		return err
	}
	if err := a.record(ctx, actor, "admin.plugin.restart", name); err != nil {
		return err
	}
	return a.host.Restart(ctx, name)
}

// Purge implements httpapi.Plugins.
func (a pluginAdmin) Purge(ctx context.Context, actor audit.Ref, name string) error {
	if err := a.record(ctx, actor, "admin.plugin.purge", name); err != nil {
		return err
	}
	return a.host.Purge(ctx, name)
}

// Run implements httpapi.Plugins.
func (a pluginAdmin) Run(ctx context.Context, actor audit.Ref, name string, c httpapi.PluginCommandCall, out func(httpapi.PluginCommandOutput) error) (httpapi.PluginCommandEnd, error) {
	if err := a.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := a.audit.Record(ctx, tx, audit.Entry{
			Action: "admin.plugin.command", Actor: actor, Targets: []audit.Ref{{Type: "plugin", ID: name}}, Metadata: map[string]any{"plugin": name, "command": c.Command},
		})
		return err
	}); err != nil {
		return httpapi.PluginCommandEnd{}, err
	}
	end, err := a.host.Command(ctx, pluginhost.CommandRun{
		Plugin: name, Name: c.Command, Arguments: c.Arguments, JSON: c.JSON, Operator: actor.ID, Stdin: c.Stdin,
		Stdout: outputFunc(func(p []byte) error { return out(httpapi.PluginCommandOutput{Stdout: p}) }),
		Stderr: outputFunc(func(p []byte) error { return out(httpapi.PluginCommandOutput{Stderr: p}) }),
	})
	return httpapi.PluginCommandEnd(end), err
}

// outputFunc is a function as a Writer.
type outputFunc func(p []byte) error

// Write implements io.Writer.
func (f outputFunc) Write(p []byte) (int, error) { return len(p), f(p) }

func (a pluginAdmin) record(ctx context.Context, actor audit.Ref, action, plugin string) error {
	return a.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := a.audit.Record(ctx, tx, audit.Entry{Action: action, Actor: actor, Targets: []audit.Ref{{Type: "plugin", ID: plugin}}})
		return err
	})
}

func diagnostics(ds config.Diagnostics) []httpapi.Diagnostic {
	out := []httpapi.Diagnostic{}
	for _, d := range ds {
		detail := d.Detail
		if d.Suggestion != "" {
			detail = strings.TrimSpace(fmt.Sprintf("Did you mean %q? %s", d.Suggestion, detail))
		}
		out = append(out, httpapi.Diagnostic{
			Severity: string(d.Severity), Summary: d.Summary, Detail: detail, File: d.File, Line: d.Line, Column: d.Column,
		})
	}
	return out
}
