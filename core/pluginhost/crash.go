package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"

	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// crashed says how a process ended, with its last words.
func (p *plugin) crashed(in *instance) error {
	how := "it ended"
	var xe *exec.ExitError
	switch {
	case in.sentenced() != nil:
		how = in.sentenced().Error()
	case errors.As(in.proc.err, &xe):
		if ws, ok := xe.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			how = "killed by signal " + ws.Signal().String()
		} else {
			how = fmt.Sprintf("it ended with status %d", xe.ExitCode())
		}
	case in.proc.err != nil:
		how = in.proc.err.Error()
	}
	return p.note(in, errors.New(how))
}

// note keeps the crash report.
func (p *plugin) note(in *instance, err error) error {
	p.noteTail(in.logs.tail(), err)
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

// sentenced is why the host killed the process, if it did so for what it used.
func (in *instance) sentenced() error {
	in.mu.Lock()
	p := in.proc
	in.mu.Unlock()
	if p == nil {
		return nil
	}
	if s := p.sentence.Load(); s != nil {
		return errors.New(s.text)
	}
	return nil
}

// orSentence is err, unless the host killed the process: then that is why.
func (in *instance) orSentence(err error) error {
	if s := in.sentenced(); s != nil {
		return s
	}
	return err
}
