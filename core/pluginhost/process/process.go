package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/sigra-auth/sigra/core/config"
)

// pipeGrace is how long the output of a dead plugin is still read: the panic text is in the pipe, but a child it
// left behind may hold the other end for ever.
const pipeGrace = 300 * time.Millisecond

// Process is one child, from fork to the last byte of its output. It serves once.
type Process struct {
	launcher *Launcher
	block    config.Plugin
	program  *Program
	folder   string
	as       *identity
	log      *Log
	attached *attached // set: not our child at all

	cmd      *exec.Cmd
	stdout   *handshakeReader
	lifeline *os.File // our end; the child's reads as ended when we close it or die
	stderr   *os.File

	started chan struct{} // closed by Start, whatever came of it
	exited  chan struct{} // closed after the process was reaped and its output read
	pid     int
	err     error // how it ended; set before exited closes
	once    sync.Once

	reason atomic.Pointer[string] // why the host killed it
}

var _ runner.Runner = (*Process)(nil)

// Configure makes go-plugin start this process.
func (p *Process) Configure(c *goplugin.ClientConfig) {
	if p.attached != nil {
		c.Reattach, c.AutoMTLS = p.attached.config(), false
		return
	}
	c.AutoMTLS, c.SkipHostEnv = true, true
	c.UnixSocketConfig = &goplugin.UnixSocketConfig{TempDir: p.folder, Group: p.as.group()}
	c.RunnerFunc = p.runner
}

// runner is go-plugin's RunnerFunc; cmd carries its variables and nothing else.
func (p *Process) runner(_ hclog.Logger, cmd *exec.Cmd, _ string) (runner.Runner, error) {
	cmd.Env = environ(cmd.Env, p.block.Env, nil)
	if p.program.file != nil {
		cmd.Args = []string{p.program.path}
	} else {
		cmd.Path, cmd.Args = p.launcher.command(p.block.Name)
	}
	p.cmd = cmd
	return p, nil
}

// Start forks. Whatever it fails on, nothing stays open.
func (p *Process) Start(context.Context) (err error) {
	defer p.once.Do(func() { close(p.started) })
	var open []*os.File
	defer func() {
		if err != nil {
			for _, f := range open {
				_ = f.Close()
			}
			p.err = err
			close(p.exited)
		}
	}()
	pipe := func() (r, w *os.File, err error) {
		if r, w, err = os.Pipe(); err == nil {
			open = append(open, r, w)
		}
		return r, w, err
	}
	outR, outW, err := pipe()
	if err != nil {
		return err
	}
	errR, errW, err := pipe()
	if err != nil {
		return err
	}
	lifeR, lifeW, err := pipe()
	if err != nil {
		return err
	}
	if err := keepDescriptors(); err != nil {
		return fmt.Errorf("keep descriptors from %s: %w", p.Name(), err)
	}
	p.cmd.Stdin = nil // /dev/null
	p.cmd.Stdout, p.cmd.Stderr = outW, errW
	p.cmd.ExtraFiles = []*os.File{lifeR} // descriptor 3, as pluginsdk.LifelineEnv says
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: p.as.credential()}
	p.cmd.Dir = p.folder
	if p.program.file != nil {
		execDescriptor(p.cmd, p.program)
	}
	if err := p.launcher.reaper.start(p); err != nil {
		if cause := errors.Unwrap(err); cause != nil {
			err = cause // the path in it is that of a descriptor
		}
		return fmt.Errorf("start %s: %w", p.Name(), err)
	}
	if n := p.block.Limits.OpenFiles; n > 0 {
		if err := limitFiles(p.pid, n); err != nil && !errors.Is(err, syscall.ESRCH) {
			p.killFor("open_files", "killed: "+err.Error())
		}
	}
	for _, f := range []*os.File{outW, errW, lifeR} {
		_ = f.Close()
	}
	p.stdout, p.stderr, p.lifeline = newHandshakeReader(outR), errR, lifeW
	watched := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(watched)
		if p.block.Limits.Memory > 0 {
			p.watchMemory(p.block.Limits.Memory, ended)
		}
	}()
	go p.wait(ended, watched)
	return nil
}

// wait is the exit event. The group is killed while its leader is a zombie, so that its number can't have been given
// to somebody else; then what the plugin still had to say is read, and only then is it over.
func (p *Process) wait(ended chan<- struct{}, watched <-chan struct{}) {
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.log.read(p.stderr)
	}()
	awaitExit(p.pid)
	close(ended)
	p.killGroup()
	killMarked(p.folder)
	<-watched // from here on the group's number may be given to somebody else
	err := p.cmd.Wait()
	p.launcher.reaper.ended(p)
	select {
	case <-read:
	case <-time.After(pipeGrace):
	}
	_ = p.stderr.Close()
	_ = p.stdout.Close()
	_ = p.lifeline.Close()
	<-read
	p.err = err
	close(p.exited)
}

func (p *Process) killGroup() { _ = syscall.Kill(-p.pid, syscall.SIGKILL) }

// Kill ends the whole process group at once. It may be called at any time and more than once. A plugin under a debugger
// is only let go.
func (p *Process) Kill(context.Context) error {
	select {
	case <-p.started:
	default:
		return nil
	}
	select {
	case <-p.exited:
	default:
		switch {
		case p.attached != nil:
			p.attached.release()
		case p.pid > 0:
			p.killGroup()
		}
	}
	return nil
}

// killFor kills the process group for a reason that is kept for the operator.
func (p *Process) killFor(reason, text string) {
	select {
	case <-p.exited:
		return
	default:
	}
	if p.reason.CompareAndSwap(nil, &text) && p.launcher.cfg.Killed != nil {
		p.launcher.cfg.Killed(p.block.Name, reason)
	}
	p.killGroup()
}

// Close waits for the end of the process, which must have been killed or never started, and removes what belonged to it.
func (p *Process) Close() {
	p.once.Do(func() { // never started
		close(p.started)
		close(p.exited)
	})
	<-p.exited
	p.launcher.folders.remove(p.folder)
}

// Wait returns when the process is gone and its output read.
func (p *Process) Wait(context.Context) error {
	<-p.exited
	return p.err
}

// Exited is closed when the process is gone and its output read.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// KillReason says why the launcher killed the process; nil if it did not.
func (p *Process) KillReason() error {
	if text := p.reason.Load(); text != nil {
		return errors.New(*text)
	}
	return nil
}

// Ended says how the process ended, once it has.
func (p *Process) Ended() error {
	if r := p.KillReason(); r != nil {
		return r
	}
	var xe *exec.ExitError
	switch {
	case errors.As(p.err, &xe):
		if ws, ok := xe.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return errors.New("killed by signal " + ws.Signal().String())
		}
		return fmt.Errorf("it ended with status %d", xe.ExitCode())
	case p.err != nil:
		return p.err
	}
	return errors.New("it ended")
}

// Stdout is the handshake line.
func (p *Process) Stdout() io.ReadCloser { return p.stdout }

// Stderr is empty for go-plugin: see Log.
func (p *Process) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name is what was started, for people.
func (p *Process) Name() string {
	if p.program.file != nil {
		return p.program.path
	}
	return filepath.Base(p.cmd.Path)
}

// PID is the process id; 0 before the start.
func (p *Process) PID() int { return p.pid }

// ID is the process id as go-plugin wants it.
func (p *Process) ID() string {
	if p.pid == 0 {
		return ""
	}
	return strconv.Itoa(p.pid)
}

// Diagnose says what the plugin wrote before it failed to introduce itself. Where that is because it ended, what it said last may still be in
// the pipe.
func (p *Process) Diagnose(ctx context.Context) string {
	select {
	case <-p.exited:
	case <-ctx.Done():
	case <-time.After(3 * pipeGrace):
	}
	if tail := p.log.Tail(); len(tail) > 0 {
		return "its last words: " + tail[len(tail)-1]
	}
	return ""
}

// PluginToHost checks the address a plugin says it listens on: a socket in its own folder and nothing else, so that
// a plugin can't have the host connect to a place of its choosing.
func (p *Process) PluginToHost(network, addr string) (string, string, error) {
	rel, err := filepath.Rel(p.folder, addr)
	if network != "unix" || err != nil || !filepath.IsAbs(addr) || !filepath.IsLocal(rel) {
		return "", "", fmt.Errorf("the plugin listens on %s %q, not on a socket in its own folder", Printable(network), Printable(addr))
	}
	return network, addr, nil
}

// HostToPlugin changes nothing: both see the same file system.
func (p *Process) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}
