package pluginhost

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

	"github.com/hashicorp/go-plugin/runner"

	"github.com/sigra-auth/sigra/core/config"
)

// pipeGrace is how long the output of a dead plugin is still read: the panic text is in the pipe, but a child it
// left behind may hold the other end for ever.
const pipeGrace = 300 * time.Millisecond

// process is one child, from fork to the last byte of its output: go-plugin's runner.Runner. It serves once.
//
// What the default runner would do otherwise: hand down the whole environment and stdin, poll for the end, kill one
// process of a group, parse stderr with a parser that panics, and let the child outlive a killed host.
type process struct {
	cmd      *exec.Cmd
	exe      *executable // nil for the bundled child
	folder   string
	logs     *stderrLog
	attached *debuggee // set: not our child at all
	limits   config.PluginLimits
	as       *identity
	kin      *kin             // of the host: every process that it started
	killed   func(why string) // counts; may be nil

	stdout   *handshakeReader
	lifeline *os.File // our end; the child's reads as ended when we close it or die
	stderr   *os.File

	started chan struct{} // closed by Start, whatever came of it
	exited  chan struct{} // closed after the process was reaped and its output read
	pid     int
	err     error // how it ended; set before exited closes
	once    sync.Once

	sentence atomic.Pointer[sentence] // why the host killed it
	paused   atomic.Int64             // nanoseconds that it was stopped for its use of CPU
}

var _ runner.Runner = (*process)(nil)

func newProcess(cmd *exec.Cmd, exe *executable, folder string, logs *stderrLog) *process {
	return &process{cmd: cmd, exe: exe, folder: folder, logs: logs, kin: &kin{}, started: make(chan struct{}), exited: make(chan struct{})}
}

// Start forks. Whatever it fails on, nothing stays open.
func (p *process) Start(context.Context) (err error) {
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
	if p.exe != nil {
		execDescriptor(p.cmd, p.exe)
	}
	if err := p.kin.start(p); err != nil {
		if cause := errors.Unwrap(err); cause != nil {
			err = cause // the path in it is that of a descriptor
		}
		return fmt.Errorf("start %s: %w", p.Name(), err)
	}
	if p.limits.OpenFiles > 0 {
		if err := limitFiles(p.pid, p.limits.OpenFiles); err != nil && !errors.Is(err, syscall.ESRCH) {
			p.condemn("open_files", "killed: "+err.Error())
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
		if p.limits.Memory > 0 || p.limits.CPU > 0 {
			p.watch(p.limits, ended)
		}
	}()
	go p.wait(ended, watched)
	return nil
}

// wait is the exit event. The group is killed while its leader is a zombie, so that its number can't have been given
// to somebody else; then what the plugin still had to say is read, and only then is it over.
func (p *process) wait(ended chan<- struct{}, watched <-chan struct{}) {
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.logs.read(p.stderr)
	}()
	awaitExit(p.pid)
	close(ended)
	p.killGroup()
	killMarked(p.folder)
	<-watched // from here on the group's number may be given to somebody else
	err := p.cmd.Wait()
	p.kin.ended(p)
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

func (p *process) killGroup() { _ = syscall.Kill(-p.pid, syscall.SIGKILL) }

// Kill ends the whole process group at once. It may be called at any time and more than once.
func (p *process) Kill(context.Context) error {
	select {
	case <-p.started:
	default:
		return nil
	}
	select {
	case <-p.exited:
	default:
		if p.pid > 0 && p.attached == nil {
			p.killGroup()
		}
	}
	return nil
}

// Wait returns when the process is gone and its output read.
func (p *process) Wait(context.Context) error {
	<-p.exited
	return p.err
}

// Stdout is the handshake line.
func (p *process) Stdout() io.ReadCloser { return p.stdout }

// Stderr is empty for go-plugin: see stderrLog.
func (p *process) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name is what was started, for people.
func (p *process) Name() string {
	if p.exe != nil {
		return p.exe.path
	}
	return filepath.Base(p.cmd.Path)
}

// ID is the process id.
func (p *process) ID() string {
	if p.pid == 0 {
		return ""
	}
	return strconv.Itoa(p.pid)
}

// Diagnose says what the plugin wrote before it failed to introduce itself. Where that is because it ended, what it said last may still be in
// the pipe.
func (p *process) Diagnose(ctx context.Context) string {
	select {
	case <-p.exited:
	case <-ctx.Done():
	case <-time.After(3 * pipeGrace):
	}
	if tail := p.logs.tail(); len(tail) > 0 {
		return "its last words: " + tail[len(tail)-1]
	}
	return ""
}

// PluginToHost checks the address a plugin says it listens on: a socket in its own folder and nothing else, so that
// a plugin can't have the host connect to a place of its choosing.
func (p *process) PluginToHost(network, addr string) (string, string, error) {
	rel, err := filepath.Rel(p.folder, addr)
	if network != "unix" || err != nil || !filepath.IsAbs(addr) || !filepath.IsLocal(rel) {
		return "", "", fmt.Errorf("the plugin listens on %s %q, not on a socket in its own folder", printable(network), printable(addr))
	}
	return network, addr, nil
}

// HostToPlugin changes nothing: both see the same file system.
func (p *process) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}
