package pluginhost

import (
	"context"
	"strings"

	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// crashed says how a process ended, with its last words.
func (p *plugin) crashed(in *instance) error {
	return p.note(in, in.proc.Ended())
}

// note keeps the crash report.
func (p *plugin) note(in *instance, err error) error {
	p.noteTail(in.logs.Tail(), err)
	return err
}

func (p *plugin) noteTail(tail []string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastCrash = strings.Join(append([]string{err.Error()}, tail...), "\n")
	p.crashedAt = p.host.now()
}

// unwellError is a health answer that says no.
type unwellError struct{ detail string }

func (e *unwellError) Error() string { return "it says it is unwell: " + e.detail }

func (p *plugin) health(in *instance) error {
	ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
	defer cancel()
	resp, err := in.plugin.Health(ctx, &pluginv1.HealthRequest{})
	if err != nil {
		_, ce := p.judge(ctx, &seam{name: "Health"}, err)
		return ce
	}
	facts := map[string]string{}
	for k, v := range resp.GetFacts() {
		if len(facts) == 32 {
			break
		}
		facts[printable(clip(k, 64))] = printable(clip(v, 256))
	}
	p.mu.Lock()
	p.facts = facts
	p.mu.Unlock()
	if !resp.GetOk() {
		return &unwellError{printable(clip(resp.GetDetail(), 256))}
	}
	return nil
}

// healthy lets broken seams try again, and the relay with them.
func (p *plugin) healthy() {
	broken := false
	for _, s := range p.seams {
		broken = broken || s.breaker.isOpen()
		s.breaker.probe()
	}
	if broken {
		p.host.nudge(p)
	}
}

// measure puts what a plugin uses into the metrics.
func (p *plugin) measure(in *instance) {
	if u, ok := in.proc.Usage(); ok {
		p.host.metrics.memory.WithLabelValues(p.name).Set(float64(u.Memory))
		p.host.metrics.cpu.WithLabelValues(p.name).Set(u.CPU.Seconds())
	}
}
