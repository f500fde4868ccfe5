package mailglass

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sigra-auth/sigra/plugins/mailglass/guard"
	"github.com/sigra-auth/sigra/pluginsdk"
)

// origins collects --origin flags.
type originList []string

func (o *originList) String() string     { return strings.Join(*o, ",") }
func (o *originList) Set(s string) error { *o = append(*o, s); return nil }

// linted is the verdict on one file.
type linted struct {
	File     string          `json:"file"`
	Accepted bool            `json:"accepted"`
	Findings []guard.Finding `json:"findings"`
}

// lint is `sigra mailglass lint`: it needs files and no server. It ends with status 1 when a message would be refused.
func lint(_ context.Context, c *pluginsdk.CommandCall) error {
	var origins originList
	flags := c.Flags()
	flags.Var(&origins, "origin", "")
	var files []string
	for rest := c.Arguments; ; { // flags may stand before and behind files
		if err := flags.Parse(rest); err != nil {
			return &pluginsdk.ExitError{Status: 2, Err: err}
		}
		if flags.NArg() == 0 {
			break
		}
		files, rest = append(files, flags.Arg(0)), flags.Args()[1:]
	}
	if len(files) == 0 {
		return &pluginsdk.ExitError{Status: 2, Err: errors.New("name the messages to check: files with headers and body, or - for standard input")}
	}
	if len(origins) == 0 {
		return &pluginsdk.ExitError{Status: 2, Err: errors.New("say where links may lead: --origin https://auth.example.com")}
	}
	g, err := guard.New(guard.Config{Origins: origins})
	if err != nil {
		return &pluginsdk.ExitError{Status: 2, Err: err}
	}
	refused := 0
	for _, f := range files {
		b, err := read(f, c.Stdin)
		if err != nil {
			return &pluginsdk.ExitError{Status: 2, Err: err}
		}
		v := linted{File: f, Findings: g.Check(b)}
		if v.Accepted = len(v.Findings) == 0; !v.Accepted {
			refused++
		}
		if err := v.print(c); err != nil {
			return err
		}
	}
	if refused > 0 {
		return &pluginsdk.ExitError{Status: 1}
	}
	return nil
}

func read(file string, stdin io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(file)
}

func (v linted) print(c *pluginsdk.CommandCall) error {
	if c.JSON {
		if v.Findings == nil {
			v.Findings = []guard.Finding{}
		}
		return json.NewEncoder(c.Stdout).Encode(v)
	}
	if v.Accepted {
		_, err := fmt.Fprintf(c.Stdout, "%s: nothing found\n", v.File)
		return err
	}
	for _, f := range v.Findings {
		if _, err := fmt.Fprintf(c.Stdout, "%s: part %s\n", v.File, f); err != nil {
			return err
		}
	}
	return nil
}

// Command implements pluginsdk.Commands.
func (in *instance) Command(ctx context.Context, c *pluginsdk.CommandCall) error {
	if c.Name != "outbox" {
		return fmt.Errorf("there is no command %q", c.Name)
	}
	flags := c.Flags()
	state := flags.String("state", "", "")
	if err := flags.Parse(c.Arguments); err != nil {
		return &pluginsdk.ExitError{Status: 2, Err: err}
	}
	list, err := in.outbox.list(ctx, `($1 = '' OR state = $1) ORDER BY created_at DESC LIMIT 200`, *state)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 8, 2, ' ', 0)
	if !c.JSON {
		_, _ = fmt.Fprintln(w, "CREATED\tSTATE\tPURPOSE\tTO\tATTEMPTS\tANSWER")
	}
	for _, m := range list {
		if c.JSON {
			if err := json.NewEncoder(c.Stdout).Encode(m); err != nil {
				return err
			}
			continue
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", m.CreatedAt.UTC().Format(time.RFC3339), m.State, m.Purpose, m.To, m.Attempts, m.Answer)
	}
	return w.Flush()
}
