package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/pluginsdk/scaffold"
)

// released matches versions that the module proxy has.
var released = regexp.MustCompile(`^v\d+\.\d+\.\d+(-(alpha|beta|rc)[0-9.]*)?$`)

func (c *cli) pluginNewCommand() *cobra.Command {
	var cfg scaffold.Config
	var seams []string
	var sdk string
	cmd := &cobra.Command{
		Use: "new NAME", Short: "Write the beginning of a plugin: a Go module that builds, tests itself and runs", Args: args(cobra.ExactArgs(1)),
		Long: "Write the beginning of a plugin into a new folder: a Go module of its own that builds, passes its test and runs under\n" +
			"Sigra, with the block to paste into sigra.hcl. Seams are the things that a plugin can do; without --seam it serves a\n" +
			"page and answers a gate: " + seamNames() + ".",
		Example: "  sigra plugin new greeter\n  sigra plugin new ledger --seam audit,routes --module github.com/acme/sigra-plugin-ledger",
		RunE: func(cmd *cobra.Command, a []string) error {
			cfg.Name = a[0]
			for _, s := range seams {
				cfg.Seams = append(cfg.Seams, scaffold.Seam(s))
			}
			if err := nameTaken(cfg.Name); err != nil {
				return exitError{2, err}
			}
			var err error
			if cfg.SDK, err = chooseSDK(sdk); err != nil {
				return exitError{2, err}
			}
			return c.newPlugin(cmd.Context(), cfg)
		},
	}
	cmd.Flags().StringVar(&cfg.Dir, "dir", "", "the folder to make (default: the name)")
	cmd.Flags().StringVar(&cfg.Module, "module", "", "the path of the Go module (default: example.com/sigra-plugin-NAME)")
	cmd.Flags().StringSliceVar(&seams, "seam", nil, "what it does: any of "+seamNames()+" (default: routes,gate)")
	cmd.Flags().StringVar(&sdk, "sdk", "", "the SDK to build with: a version, or a folder with Sigra's source (default: what this Sigra was built from)")
	return cmd
}

func seamNames() string {
	var out []string
	for _, s := range scaffold.Seams() {
		out = append(out, string(s))
	}
	return strings.Join(out, ", ")
}

// nameTaken refuses names under which Sigra would not run the plugin.
func nameTaken(name string) error {
	if _, ok := bundle()[name]; ok {
		return fmt.Errorf("%q is a plugin that is part of Sigra; take another name", name)
	}
	if audit.Reserved(name + ".x") {
		return fmt.Errorf("%q is what some of Sigra's own audit actions begin with; take another name", name)
	}
	return nil
}

// chooseSDK finds what the new module is to be built with: the version of this Sigra, or the source it was built from.
func chooseSDK(asked string) (scaffold.SDK, error) {
	switch {
	case asked != "" && scaffold.IsCheckout(asked):
		dir, err := filepath.Abs(asked)
		return scaffold.SDK{Checkout: dir}, err
	case released.MatchString(asked):
		return scaffold.SDK{Version: asked}, nil
	case asked != "":
		return scaffold.SDK{}, fmt.Errorf("%s is neither a version such as v1.2.3 nor a folder with Sigra's source", asked)
	case released.MatchString(version):
		return scaffold.SDK{Version: version}, nil
	}
	var near []string
	if exe, err := os.Executable(); err == nil {
		near = append(near, filepath.Dir(exe))
	}
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		near = append(near, filepath.Dir(file))
	}
	near = append(near, ".")
	for _, dir := range near {
		if checkout, ok := scaffold.FindCheckout(dir); ok {
			return scaffold.SDK{Checkout: checkout}, nil
		}
	}
	return scaffold.SDK{}, errors.New("this Sigra is a development build and its source is not at hand; name a released version, or a folder with the source, with --sdk")
}

func (c *cli) newPlugin(ctx context.Context, cfg scaffold.Config) error {
	r, err := scaffold.Write(cfg)
	if err != nil {
		return exitError{2, err}
	}
	tidied := tidy(ctx, r.Dir, cfg.SDK.Checkout != "")
	return c.show(r, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "Wrote the plugin %s:\n\n", cfg.Name)
		for _, f := range r.Files {
			_, _ = fmt.Fprintf(w, "  %s\n", filepath.Join(shorter(r.Dir), filepath.FromSlash(f)))
		}
		_, _ = fmt.Fprintf(w, "\nNext:\n\n  cd %s\n", shorter(r.Dir))
		if tidied != nil && cfg.SDK.Checkout == "" {
			_, _ = fmt.Fprintf(w, "  go mod tidy      # it could not be done now: %s\n", printable(tidied.Error()))
		}
		_, _ = fmt.Fprintf(w, "  go test ./...\n  go build\n\nThen paste this into sigra.hcl, and start Sigra, or `sigra reload`:\n\n")
		for line := range strings.Lines(r.Block) {
			_, _ = fmt.Fprint(w, "  "+line)
		}
	})
}

// tidy has Go find the modules that are needed. A plugin that builds against a checkout has them already, as many as
// Sigra has, and only loses those it does not need.
func tidy(ctx context.Context, dir string, offline bool) error {
	cmd := exec.CommandContext(ctx, "go", "mod", "tidy")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if offline {
		cmd.Env = append(cmd.Env, "GOPROXY=off")
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("there is no go here")
	}
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return errors.New(lines[len(lines)-1])
	}
	return nil
}

// shorter is a path as somebody in this folder would write it.
func shorter(dir string) string {
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, dir); err == nil && !strings.HasPrefix(rel, "..") {
			return rel
		}
	}
	return dir
}
