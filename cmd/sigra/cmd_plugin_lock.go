package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/pluginhost"
)

// lockedPlugin is one line of what `sigra plugin lock` did.
type lockedPlugin struct {
	Name     string `json:"name"`
	Platform string `json:"platform"`
	File     string `json:"file"`
	SHA256   string `json:"sha256"`
	Was      string `json:"was,omitempty"` // the checksum that stood there before, when it was another
	Shadowed bool   `json:"shadowed"`      // the block has a checksum of its own, which wins
	// Accepts is what the plugin asks for, and may from now on; New and Gone are what changed.
	Accepts []string `json:"accepts,omitempty"`
	New     []string `json:"new,omitempty"`
	Gone    []string `json:"gone,omitempty"`
	Unasked string   `json:"unasked,omitempty"` // why it could not be asked
}

func (c *cli) pluginLockCommand() *cobra.Command {
	var platform, file string
	cmd := &cobra.Command{
		Use: "lock [NAME]...", Short: "Write the checksums of external plugins, and what they may ask for, into the lock file",
		Long: "Write the checksums of external plugins, or of those that are named, into the lock file beside the configuration\n" +
			"(sigra.lock.hcl beside sigra.hcl), for the platform that this command runs on. With --platform and --file, for\n" +
			"another one. Each is started for a moment to hear what it asks for, which is written down too. Sigra runs an external\n" +
			"plugin only if it is what the lock file or its block says, and asks for no more than was accepted here.",
		Example: "  sigra plugin lock\n  sigra plugin lock greeter\n  sigra plugin lock greeter --platform linux_arm64 --file dist/arm64/sigra-plugin-greeter",
		RunE: func(_ *cobra.Command, names []string) error {
			switch {
			case !config.IsPlatform(platform):
				return exitError{2, fmt.Errorf("%q is no platform; it is an operating system and an architecture, such as %s", platform, config.Platform)}
			case platform != config.Platform && file == "":
				return exitError{2, fmt.Errorf("the program for %s lies elsewhere: name it with --file", platform)}
			case file != "" && len(names) != 1:
				return exitError{2, errors.New("--file is the program of one plugin: name which")}
			}
			return c.lockPlugins(names, platform, file)
		},
	}
	cmd.Flags().StringVar(&platform, "platform", config.Platform, "the platform, as os_arch")
	cmd.Flags().StringVar(&file, "file", "", "the plugin's program for that platform (default: the block's source)")
	return cmd
}

func (c *cli) lockPlugins(names []string, platform, file string) error {
	path := c.file()
	if path == "" {
		return exitError{2, errors.New("which configuration? There is no sigra.hcl here; `sigra init` writes one, --config names one")}
	}
	cfg, diags := config.Loader{Unpinned: true}.Load(path)
	if diags.HasErrors() {
		return errors.Join(diags.Render(c.err, isTerminal(c.err)), exitError{status: 2})
	}
	external, err := chooseExternal(cfg.Plugins, names)
	if err != nil {
		return err
	}
	lockPath := config.LockPath(path)
	lock, diags := config.LoadLock(lockPath)
	if diags.HasErrors() {
		return errors.Join(diags.Render(c.err, isTerminal(c.err)), exitError{status: 2})
	}
	var done []lockedPlugin
	for _, p := range external {
		l := lockedPlugin{Name: p.Name, Platform: platform, File: p.Source, Shadowed: p.SHA256 != "" && p.Locked == ""}
		if file != "" {
			l.File = file
		}
		if l.SHA256, err = sumOf(l.File); err != nil {
			return fmt.Errorf("plugin %s: %w", p.Name, err)
		}
		if was, _, ok := lock.Sum(p.Name, platform); ok && was != l.SHA256 {
			l.Was = was
		}
		lock.Set(p.Name, platform, l.SHA256)
		if platform == config.Platform {
			p.Source = l.File
			l.accept(lock, p)
		}
		done = append(done, l)
	}
	if err := replaceFile(lockPath, []byte(lock.Text())); err != nil {
		return err
	}
	return c.show(done, func(w io.Writer) {
		for _, l := range done {
			_, _ = fmt.Fprintf(w, "%s  %s  %s  %s\n", l.SHA256, l.Platform, l.Name, printable(l.File))
			if l.Was != "" {
				_, _ = fmt.Fprintf(w, "  it was %s\n", l.Was)
			}
			for _, r := range l.New {
				_, _ = fmt.Fprintf(w, "  + %s\n", r)
			}
			for _, r := range l.Gone {
				_, _ = fmt.Fprintf(w, "  - %s\n", r)
			}
			if l.Unasked != "" {
				_, _ = fmt.Fprintf(w, "  it could not be asked what it wants (%s): what was accepted before still stands\n", l.Unasked)
			}
			if l.Shadowed {
				_, _ = fmt.Fprintf(w, "  its block has a sha256, which wins: remove that line\n")
			}
		}
		_, _ = fmt.Fprintf(w, "Wrote %s. A running Sigra takes it up with `sigra reload`.\n", lockPath)
	})
}

// accept asks the plugin what it wants, and writes that down.
func (l *lockedPlugin) accept(lock *config.Lock, p config.Plugin) {
	dir, err := os.MkdirTemp("", "sigra-lock-")
	if err != nil {
		l.Unasked = err.Error()
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	p.SHA256, p.InsecureUnpinned, p.Reattach = l.SHA256, false, ""
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if l.Accepts, err = pluginhost.Rights(ctx, pluginhost.Config{DataDir: dir, Version: version}, p); err != nil {
		l.Unasked = printable(err.Error())
		return
	}
	had := lock.Accepted(p.Name)
	without := func(list, other []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(r string) bool { return slices.Contains(other, r) })
	}
	l.New, l.Gone = without(l.Accepts, had), without(had, l.Accepts)
	lock.Accept(p.Name, l.Accepts)
}

// chooseExternal gives the plugins to lock: those named, or all that are programs of their own.
func chooseExternal(plugins []config.Plugin, names []string) ([]config.Plugin, error) {
	var all, chosen []config.Plugin
	var known []string
	for _, p := range plugins {
		if p.External() {
			all, known = append(all, p), append(known, p.Name)
		}
	}
	if len(names) == 0 {
		if len(all) == 0 {
			return nil, errors.New("no block names a program in source: there is nothing to lock")
		}
		return all, nil
	}
	for _, name := range names {
		i := slices.IndexFunc(all, func(p config.Plugin) bool { return p.Name == name })
		if i < 0 {
			msg := fmt.Sprintf("no block of a plugin %q names a program in source", printable(name))
			if near := config.Suggest(name, known); near != "" {
				msg += fmt.Sprintf("; did you mean %q?", near)
			}
			return nil, exitError{2, errors.New(msg)}
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// sumOf is the sha256 of a regular file. It does not hang on a pipe.
func sumOf(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	if fi, err := f.Stat(); err != nil {
		return "", err
	} else if !fi.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// replaceFile writes a file that is never seen half.
func replaceFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+strings.TrimPrefix(filepath.Base(path), ".")+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already when all went well
	_, err = f.Write(b)
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil { // no secret is in it
		return err
	}
	return os.Rename(f.Name(), path)
}
