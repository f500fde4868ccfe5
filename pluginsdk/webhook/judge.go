package webhook

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options are those of a command that judges recorded requests without a server:
//
//	webhook verify --provider NAME [--settings FILE] [--at TIME] CASE…
type Options struct {
	Provider string
	At       time.Time       // the zero time: each case's own
	Settings json.RawMessage // a JSON object; empty: each case's own
	Files    []string
}

// ParseOptions reads arguments; flags may stand before and behind files. Only the providers of names are known.
func ParseOptions(arguments, names []string) (o Options, err error) {
	var settings, at string
	flags := flag.NewFlagSet("webhook verify", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.Provider, "provider", "", "")
	flags.StringVar(&settings, "settings", "", "")
	flags.StringVar(&at, "at", "", "")
	for rest := arguments; ; {
		if err := flags.Parse(rest); err != nil {
			return o, err
		}
		if flags.NArg() == 0 {
			break
		}
		o.Files, rest = append(o.Files, flags.Arg(0)), flags.Args()[1:]
	}
	o.Provider = strings.ReplaceAll(o.Provider, "-", "_")
	if !slices.Contains(names, o.Provider) {
		return o, fmt.Errorf("say whose webhooks they are: --provider %s", strings.Join(names, "|"))
	}
	if len(o.Files) == 0 {
		return o, errors.New("name the cases to judge: files of JSON with a request each, or with a list named cases")
	}
	if at != "" {
		if o.At, err = parseTime(at); err != nil {
			return o, err
		}
	}
	if settings != "" {
		b, err := os.ReadFile(settings) //nolint:gosec // the caller's own file
		if err != nil {
			return o, err
		}
		if o.Settings, err = Overlay(b); err != nil {
			return o, fmt.Errorf("%s: %w", settings, err)
		}
	}
	return o, nil
}

// parseTime reads Unix seconds or RFC 3339.
func parseTime(s string) (time.Time, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(n, 0).UTC(), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("--at %q is neither Unix seconds nor a time such as 2026-11-30T12:00:00Z", s)
	}
	return t.UTC(), nil
}

// Cases gives the cases of all files, each with the settings and the time it is to be judged by.
func (o Options) Cases() (out []Case, err error) {
	for _, name := range o.Files {
		b, err := os.ReadFile(name) //nolint:gosec // the caller's own file
		if err != nil {
			return nil, err
		}
		f, err := ReadFile(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for i, c := range f.Cases {
			if c.ID == "" {
				c.ID = name
				if len(f.Cases) > 1 {
					c.ID += ":" + strconv.Itoa(i+1)
				}
			}
			if c.Config, err = Overlay(f.Config, c.Config, o.Settings); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", name, c.ID, err)
			}
			if !o.At.IsZero() {
				c.Clock = o.At.Unix()
			}
			if c.Clock == 0 {
				return nil, fmt.Errorf("%s: %s says no time: use --at", name, c.ID)
			}
			if c.Sequence != "" {
				c.Sequence = name + " " + c.Sequence
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// Verdict is what a receiver says of one case.
type Verdict struct {
	Case   string `json:"case"`
	Result string `json:"result"` // accept, reject
	Reason Reason `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`
	Event  string `json:"event,omitempty"`  // the provider's id of the message
	Effect string `json:"effect,omitempty"` // duplicate: nothing happens twice
	// Differs says that the case's own expectation is another.
	Differs bool `json:"differs,omitempty"`
}

// Accepts makes a verdict of what a verifier answered. Any error but a *Rejection is given back: nothing was judged then.
func Accepts(c Case, event string, err error) (Verdict, error) {
	v := Verdict{Case: c.ID, Result: "accept", Event: event}
	var r *Rejection
	switch {
	case errors.As(err, &r):
		v.Result, v.Reason, v.Detail, v.Event = "reject", r.Reason, r.Detail, ""
	case err != nil:
		return v, err
	}
	var want struct {
		Result string `json:"result"`
	}
	if len(c.Expect) > 0 {
		if err := json.Unmarshal(c.Expect, &want); err != nil {
			return v, fmt.Errorf("%s: expect: %w", c.ID, err)
		}
	}
	v.Differs = want.Result != "" && want.Result != v.Result
	return v, nil
}

// Failed reports whether a command should end with status 1: the case's expectation is another, or, where it has none, it was refused.
func (v Verdict) Failed(c Case) bool { return v.Differs || len(c.Expect) == 0 && v.Result != "accept" }

// String is the verdict for people.
func (v Verdict) String() string {
	out := v.Case + ": " + v.Result
	if v.Reason != "" {
		out += " " + string(v.Reason) + " (" + v.Detail + ")"
	}
	if v.Event != "" {
		out += " " + v.Event
	}
	if v.Effect != "" {
		out += " " + v.Effect
	}
	if v.Differs {
		out += ", which is not what the case expects"
	}
	return out
}
