package process

import (
	"errors"
	"fmt"

	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/config"
)

// Config is what a Launcher works with.
type Config struct {
	DataDir string // the socket folders are made in run/plugins below it
	// Command says how to run a bundled plugin; nil means this very program with "plugin-serve NAME".
	Command func(name string) (path string, args []string)
	// ReapOrphans has the launcher kill what plugins left behind in hiding. It must not be set where the program starts
	// other processes than plugins: see reaper.
	ReapOrphans bool
	Logger      hclog.Logger                // nil means silent
	Killed      func(plugin, reason string) // counts processes that were killed for a reason; may be nil
}

// Launcher starts the processes of one host's plugins. Safe for concurrent use.
type Launcher struct {
	cfg      Config
	folders  *folders
	programs programs
	reaper   reaper
}

// New makes a Launcher, and ends and removes what an earlier one on the same data folder left behind.
func New(cfg Config) (*Launcher, error) {
	if cfg.DataDir == "" {
		return nil, errors.New("process: a data folder is needed")
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	f, err := newFolders(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	l := &Launcher{cfg: cfg, folders: f}
	if cfg.ReapOrphans {
		reaps, err := l.reaper.enable()
		if err != nil {
			return nil, err
		}
		if !reaps {
			cfg.Logger.Info("orphans of plugins that hide where they came from are not ended here: this process may have other children")
		}
	}
	return l, nil
}

// Open checks a block's program file and opens it. The Program of a bundled plugin is this very program, which needs no
// check. Close it when the process has started.
func (l *Launcher) Open(b config.Plugin) (*Program, error) {
	if !b.External() {
		return &Program{}, nil
	}
	p, err := l.programs.open(b.Source, b.SHA256)
	if m := (*MismatchError)(nil); errors.As(err, &m) {
		m.plugin, m.lock = b.Name, b.Locked
	}
	return p, err
}

// New makes a process for the block, which is started by go-plugin. Close must follow, whatever becomes of it.
func (l *Launcher) New(b config.Plugin, program *Program, log *Log) (*Process, error) {
	as, err := lookUser(b)
	if err != nil {
		return nil, err
	}
	if !limitsHeld && b.Limits != (config.PluginLimits{}) {
		l.cfg.Logger.Warn("limits are not held on this system", "plugin", b.Name)
	}
	folder, err := l.folders.make(b.Name, as)
	if err != nil {
		return nil, fmt.Errorf("make a socket folder: %w", err)
	}
	p := &Process{
		launcher: l, block: b, program: program, folder: folder, as: as, log: log, started: make(chan struct{}), exited: make(chan struct{}),
	}
	return p, nil
}

// ReapOrphans kills orphans that belong to no plugin, and takes note of the dead.
func (l *Launcher) ReapOrphans() { l.reaper.reap() }

func (l *Launcher) command(name string) (string, []string) {
	if l.cfg.Command != nil {
		return l.cfg.Command(name)
	}
	return selfPath, []string{"sigra", "plugin-serve", name}
}
