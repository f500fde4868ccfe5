package pluginhost

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/pluginhost/process"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// Apply brings the plugins in line with the blocks.
//
// The first time it checks what can be checked without a process and starts everything on its way: sign-in waits for
// no plugin. Later it is a reload: new processes are started and described, settings are decoded and put to the
// plugins, and if anything is wrong nothing is changed and the diagnostics say so. Otherwise everything is switched at
// once; processes that are no longer wanted are drained afterwards.
func (h *Host) Apply(ctx context.Context, blocks []config.Plugin) config.Diagnostics {
	_, diags := h.Reload(ctx, blocks)
	return diags
}

// Reload is Apply, and says in words what it changed of plugins that were there before.
func (h *Host) Reload(ctx context.Context, blocks []config.Plugin) (changed []string, diags config.Diagnostics) {
	h.applying.Lock()
	defer h.applying.Unlock()
	diags = h.checkBlocks(blocks)
	if diags.HasErrors() || h.isClosed() {
		return nil, diags
	}
	if !h.applied {
		h.applied = true
		h.first(blocks)
		return nil, diags
	}
	r := &reload{h: h, blocks: blocks, diags: diags}
	changed = r.run(ctx)
	return changed, r.diags
}

func (h *Host) isClosed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed
}

// first starts everything without waiting.
func (h *Host) first(blocks []config.Plugin) {
	var started []*plugin
	h.mu.Lock()
	for _, b := range blocks {
		p := h.newPlugin(b)
		h.plugins[b.Name] = p
		h.order = append(h.order, b.Name)
		started = append(started, p)
	}
	h.mu.Unlock()
	// The gates stand before the first process does: until then on_error answers.
	h.rebuild()
	for _, p := range started {
		if p.block.Enabled {
			p.run(nil)
		} else {
			p.rest()
		}
	}
}

// rebuild makes the tables the core looks into: routes, gates, mailer, sinks. Each is swapped as a whole.
func (h *Host) rebuild() {
	h.wiring.Lock()
	defer h.wiring.Unlock()
	if h.isClosed() {
		return
	}
	var active []*plugin
	for _, p := range h.all() {
		if p.getBlock().Enabled {
			active = append(active, p)
		}
	}
	table := &routeTable{}
	var mailer *plugin
	for _, p := range active {
		p.mu.Lock()
		m := p.manifest
		p.mu.Unlock()
		if m == nil {
			continue
		}
		for _, r := range m.GetRoutes() {
			table.routes = append(table.routes, newRoute(p, r))
		}
		if mailer == nil && m.offers(pluginv1.Mailer_ServiceDesc.ServiceName) {
			mailer = p
		}
		h.attach(h.ctx, p)
	}
	h.routes.Store(table)
	if h.cfg.Gates != nil {
		h.cfg.Gates.Set(h.gateTable(active))
	}
	if h.cfg.Mail != nil && h.mailer != mailer {
		h.mailer = mailer
		if mailer == nil {
			h.cfg.Mail.SetMailer(nil)
		} else {
			h.cfg.Mail.SetMailer(&mailFacade{mailer})
		}
	}
}

// change is what a reload does with one block.
type change struct {
	b        config.Plugin
	p        *plugin // nil: a new block
	in       *instance
	was      *instance // what ran before; nil: nothing did
	settings []byte
	before   []byte // settings to go back to
	err      error
	kind     changeKind
}

type changeKind uint8

const (
	keep      changeKind = iota // only host-side attributes, if anything
	start                       // a new process, before the old one if there is one
	configure                   // new settings for the running process
	rest                        // disabled
)

// reload is one Apply after the first.
type reload struct {
	h       *Host
	blocks  []config.Plugin
	diags   config.Diagnostics
	changes []*change
	removed []*plugin
}

func (r *reload) run(ctx context.Context) (changed []string) {
	r.plan()
	r.prepare(ctx)
	if !r.diags.HasErrors() {
		r.settle(ctx)
	}
	if r.diags.HasErrors() {
		r.undo(ctx)
		return nil
	}
	changed = r.changed() // before the old blocks are gone
	r.commit(ctx)
	return changed
}

// plan finds out what each block needs.
func (r *reload) plan() {
	h := r.h
	named := map[string]bool{}
	for _, b := range r.blocks {
		named[b.Name] = true
		c := &change{b: b, p: h.lookup(b.Name)}
		r.changes = append(r.changes, c)
		switch {
		case !b.Enabled:
			c.kind = rest
		case c.p == nil:
			c.kind = start
		case !c.p.getBlock().Enabled:
			c.kind, c.p = start, nil // the one that rests has no life in it
		default:
			old, in := c.p.getBlock(), c.p.current.Load()
			c.was = in
			switch {
			case in == nil, processChanged(old, b), r.fileChanged(in, b):
				c.kind = start
			default:
				settings, diags := decodeSettings(b, in.manifest.GetSettings())
				// What a path is made of decides who serves it, so that a changed one is a new process.
				if !diags.HasErrors() && !slices.Equal(in.described.paths(in.settings), in.described.paths(settings)) {
					c.kind = start
					continue
				}
				diags = append(diags, h.conflicts(b, in.manifest, nil)...)
				r.diags = append(r.diags, diags...)
				c.before = in.settings
				if !diags.HasErrors() && !bytes.Equal(settings, in.settings) {
					c.kind, c.settings, c.in = configure, settings, in
				}
			}
		}
	}
	for _, p := range h.all() {
		if !named[p.name] {
			r.removed = append(r.removed, p)
		}
	}
}

// processChanged reports whether a block asks for another process, and not only for other settings.
func processChanged(a, b config.Plugin) bool {
	return a.Source != b.Source || a.SHA256 != b.SHA256 || a.InsecureUnpinned != b.InsecureUnpinned || a.Reattach != b.Reattach || a.DatabaseURL != b.DatabaseURL ||
		a.Limits != b.Limits || a.User != b.User ||
		!slices.Equal(a.AllowedNetworks, b.AllowedNetworks) || !slices.Equal(sorted(a.Grants), sorted(b.Grants)) || !slices.Equal(sorted(a.Env), sorted(b.Env))
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

// fileChanged reports whether an unpinned program was replaced on disk.
func (r *reload) fileChanged(in *instance, b config.Plugin) bool {
	if !b.External() || b.SHA256 != "" || b.Reattach != "" {
		return false
	}
	program, err := r.h.processes.Open(b)
	if err != nil {
		return true // prepare says what is wrong with it
	}
	defer program.Close()
	return !program.Same(in.program)
}

// prepare starts new processes, all at once, and holds what they say against the blocks.
func (r *reload) prepare(ctx context.Context) {
	if r.diags.HasErrors() {
		return
	}
	var wg sync.WaitGroup
	results := make([]config.Diagnostics, len(r.changes))
	for i, c := range r.changes {
		if c.kind != start {
			continue
		}
		p := c.p
		if p == nil {
			p = r.h.newPlugin(c.b)
		}
		c.before = nil
		wg.Go(func() {
			c.in, c.settings, results[i], c.err = p.prepare(ctx, c.b)
		})
		c.p = p
	}
	wg.Wait()
	final := map[string]*manifest{}
	for i, c := range r.changes {
		r.diags = append(r.diags, results[i]...)
		switch {
		case c.kind == rest:
		case c.in != nil:
			final[c.b.Name] = c.in.manifest
		case c.p != nil && c.kind != start:
			if in := c.p.current.Load(); in != nil {
				final[c.b.Name] = in.manifest
			}
		}
		if c.err == nil {
			continue
		}
		// A program that can't be started is an error where something running would be replaced by it, or where it is
		// not the program that was meant; else the plugin is simply down and tried again.
		d := errorAt(c.b, r.where(c), "Plugin did not start", fmt.Sprintf("Plugin %q: %v.", c.b.Name, c.err))
		if running := c.p.current.Load() != nil; !running && !verifyFailed(c.err) {
			d.Severity = config.Warning
		}
		r.diags = append(r.diags, d)
	}
	for _, c := range r.changes {
		if c.kind != start || c.in == nil {
			continue
		}
		others := map[string]*manifest{}
		for name, m := range final {
			if name != c.b.Name {
				others[name] = m
			}
		}
		r.diags = append(r.diags, r.h.conflicts(c.b, c.in.manifest, others)...)
	}
}

func verifyFailed(err error) bool {
	se, ok := err.(*startError) //nolint:errorlint // launch gives it unwrapped
	return ok && se.op == "verify"
}

func (r *reload) where(c *change) hcl.Range {
	if verifyFailed(c.err) {
		if _, mismatch := c.err.(*startError).err.(*process.MismatchError); mismatch { //nolint:errorlint // see verifyFailed
			return c.b.At("sha256")
		}
		return c.b.At("source")
	}
	return c.b.Range
}

// settle puts settings to the plugins: the last step that can fail.
func (r *reload) settle(ctx context.Context) {
	var wg sync.WaitGroup
	results := make([]config.Diagnostics, len(r.changes))
	for i, c := range r.changes {
		if c.in == nil || (c.kind != start && c.kind != configure) {
			continue
		}
		wg.Go(func() {
			diags, err := c.p.configure(ctx, c.in, c.b, c.settings)
			if err != nil {
				d := errorAt(c.b, c.b.Range, "Plugin did not take its settings", fmt.Sprintf("Plugin %q: %v.", c.b.Name, err))
				if c.kind == start && c.p.current.Load() == nil {
					d.Severity = config.Warning
					c.in.destroy()
					c.in, c.err = nil, err
				}
				diags = append(diags, d)
			}
			results[i] = diags
		})
	}
	wg.Wait()
	for _, d := range results {
		r.diags = append(r.diags, d...)
	}
}

// undo leaves everything as it was: new processes end, changed settings go back.
func (r *reload) undo(ctx context.Context) {
	var wg sync.WaitGroup
	for _, c := range r.changes {
		switch {
		case c.in == nil:
		case c.kind == start:
			wg.Go(c.in.destroy)
		case c.kind == configure && !bytes.Equal(c.in.settings, c.before):
			wg.Go(func() {
				if diags, err := c.p.configure(context.WithoutCancel(ctx), c.in, c.p.getBlock(), c.before); err != nil || diags.HasErrors() {
					c.p.log.Error("earlier settings not taken back, the plugin is restarted", "error", err)
					c.in.kill()
				}
			})
		}
	}
	wg.Wait()
}

// commit switches everything and lets go of what is no longer wanted.
func (r *reload) commit(ctx context.Context) {
	h := r.h
	var gone []*plugin
	h.mu.Lock()
	h.order = h.order[:0]
	for _, c := range r.changes {
		h.order = append(h.order, c.b.Name)
		switch was := h.plugins[c.b.Name]; {
		case c.kind == rest && was != nil && was.getBlock().Enabled:
			gone = append(gone, was)
			c.p = h.newPlugin(c.b)
		case c.kind == rest && was == nil:
			c.p = h.newPlugin(c.b)
		}
		h.plugins[c.b.Name] = c.p
	}
	for _, p := range r.removed {
		gone = append(gone, p)
		delete(h.plugins, p.name)
	}
	h.mu.Unlock()

	var fresh []*change
	for _, c := range r.changes {
		switch c.kind {
		case rest:
			if c.p.getState() == Disabled {
				c.p.setBlock(c.b)
			} else {
				c.p.rest()
			}
		case keep, configure:
			_ = c.p.send(ctx, command{block: c.b, same: true})
		case start:
			if c.p.running() {
				_ = c.p.send(ctx, command{block: c.b, adopt: c.in})
			} else {
				fresh = append(fresh, c)
			}
		}
	}
	for _, c := range fresh {
		c.p.run(c.in)
		if c.in != nil {
			c.p.settle()
		}
	}
	h.rebuild()
	// The routes, gates and sinks no longer lead there: what is in flight ends, then the process does.
	h.letGo(ctx, gone)
	for _, p := range gone {
		if h.lookup(p.name) == nil {
			h.metrics.forget(p.name)
		}
	}
}

// sinkGrace is how long the relay may take to end a delivery in flight before the plugin it goes to is stopped.
const sinkGrace = 300 * time.Millisecond

// letGo detaches and stops plugins, all at once, and waits until they are gone: at most 5 s.
func (h *Host) letGo(ctx context.Context, plugins []*plugin) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout+stopTimeout+killTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for _, p := range plugins {
		wg.Go(func() {
			detached := make(chan struct{})
			go func() {
				defer close(detached)
				h.detach(ctx, p)
			}()
			grace := time.NewTimer(sinkGrace)
			defer grace.Stop()
			select {
			case <-detached:
			case <-grace.C:
			}
			p.end()
			<-p.ended
			<-detached
			if err := h.uses.end(ctx, p.name); err != nil {
				h.log.Warn("not noted that this node no longer runs the plugin", "plugin", p.name, "error", err)
			}
		})
	}
	wg.Wait()
}

// Check starts a plugin only as far as to hear what it is, holds its block against that, and stops it: nothing is
// configured, no data is made.
func (h *Host) Check(ctx context.Context, b config.Plugin) config.Diagnostics {
	diags := h.checkBlocks([]config.Plugin{b})
	if diags.HasErrors() || !b.Enabled {
		return diags
	}
	p := h.newPlugin(b)
	in, _, more, err := p.prepare(ctx, b)
	diags = append(diags, more...)
	if err != nil {
		diags = append(diags, errorAt(b, b.Range, "Plugin did not start", fmt.Sprintf("Plugin %q: %v.", b.Name, err)))
	} else {
		diags = append(diags, h.pathConflicts(b.Name, in.manifest, b)...)
		in.destroy()
	}
	return diags
}
