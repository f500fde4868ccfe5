package pluginhost

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/pluginhost/process"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// start takes a block all the way to a configured process.
func (p *plugin) start(ctx context.Context, b config.Plugin) (*instance, error) {
	if b.Reattach != "" {
		if err := process.AwaitAttach(ctx, b, func(why error) { p.setState(Starting, why.Error()) }); err != nil {
			return nil, err
		}
	}
	in, settings, diags, err := p.prepare(ctx, b)
	if err == nil && diags.HasErrors() {
		err = &blockError{diags}
	}
	if err == nil {
		// At the first start the paths of other plugins were not known yet: who comes first has them.
		if d := p.host.claim(p, in.manifest, b); d.HasErrors() {
			err = &blockError{d}
		}
	}
	if err == nil {
		diags, err = p.configure(ctx, in, b, settings)
		if err == nil && diags.HasErrors() {
			err = &blockError{diags}
		}
	}
	for _, d := range diags {
		if d.Severity == config.Warning {
			p.log.Warn("plugin warns", "summary", printable(d.Summary), "detail", printable(d.Detail))
		}
	}
	if err != nil {
		if in != nil {
			in.destroy()
			p.noteTail(in.logs.Tail(), err)
		}
		return nil, err
	}
	return in, nil
}

// prepare starts a process and holds its manifest against the block: grants and settings. The process comes back
// unless err is set, whatever the diagnostics.
func (p *plugin) prepare(ctx context.Context, b config.Plugin) (*instance, []byte, config.Diagnostics, error) {
	logs := process.NewLog(p.log, time.Now, func(n int) { p.host.metrics.lines.WithLabelValues(p.name).Add(float64(n)) })
	in, err := p.host.launch(ctx, b, p.log, logs, func() {
		if p.current.Load() == nil {
			p.setState(Verified, "")
			p.setState(Starting, "")
		}
	})
	if err != nil {
		p.noteTail(logs.Tail(), err)
		return nil, nil, nil, err
	}
	settings, diags := decodeSettings(b, in.manifest.GetSettings())
	described := in.manifest
	if !diags.HasErrors() {
		var more config.Diagnostics
		in.manifest, more = described.settle(b, settings)
		diags = append(diags, more...)
	}
	in.described = described
	g, more := settleGrants(b, in.manifest)
	diags = append(diags, more...)
	in.granted.Store(&g)
	return in, settings, diags, nil
}

// configure gives a prepared process its storage and settings.
func (p *plugin) configure(ctx context.Context, in *instance, b config.Plugin, settings []byte) (config.Diagnostics, error) {
	if err := p.host.uses.begin(ctx, p.name); err != nil {
		return nil, &startError{"storage", err}
	}
	var st *pluginv1.Storage
	if in.manifest.GetStorage() {
		var err error
		if st, err = p.host.storages.of(ctx, b); err != nil {
			return nil, &startError{"storage", err}
		}
	}
	answers, err := in.configure(ctx, p.host, b, settings, st)
	if err != nil {
		return nil, err
	}
	diags := pluginDiagnostics(b, in.manifest.GetSettings(), answers)
	if !diags.HasErrors() {
		in.settings = settings
		p.host.claims.drop(p.name, uuid.Nil) // they may have depended on the settings
		if p.current.Load() == nil {
			p.setState(Configured, "")
		}
	}
	return diags, nil
}

// restart starts a new process and goes on with it; the old one is drained afterwards.
func (p *plugin) restart(ctx context.Context) error {
	b := p.getBlock()
	in, err := p.start(ctx, b)
	if err != nil {
		if p.current.Load() != nil {
			return err // the old one goes on
		}
		_ = p.send(ctx, command{block: b})
		return err
	}
	if err := p.send(ctx, command{block: b, adopt: in}); err != nil {
		in.destroy()
		return err
	}
	return nil
}
