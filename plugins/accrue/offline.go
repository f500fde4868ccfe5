package accrue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sigra-auth/sigra/plugins/accrue/provider"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/webhook"
)

// verdict is what webhook verify prints.
type verdict struct {
	webhook.Verdict
	Type string `json:"type,omitempty"`
}

// verifyCommand is `sigra accrue webhook verify`: it needs files and no server.
func verifyCommand(_ context.Context, c *pluginsdk.CommandCall) error {
	o, err := webhook.ParseOptions(c.Arguments, provider.Names)
	if err != nil {
		return &pluginsdk.ExitError{Status: 2, Err: err}
	}
	cases, err := o.Cases()
	if err != nil {
		return &pluginsdk.ExitError{Status: 2, Err: err}
	}
	failed := false
	seen := map[string]bool{}
	for _, x := range cases {
		v, err := verifyCase(o.Provider, x)
		if err != nil {
			return &pluginsdk.ExitError{Status: 2, Err: fmt.Errorf("%s: %w", x.ID, err)}
		}
		if key := x.Sequence + "\x00" + v.Event; x.Sequence != "" && v.Event != "" {
			if seen[key] {
				v.Effect = "duplicate"
			}
			seen[key] = true
		}
		failed = failed || v.Failed(x)
		if c.JSON {
			err = json.NewEncoder(c.Stdout).Encode(v)
		} else {
			_, err = fmt.Fprintln(c.Stdout, v.String())
		}
		if err != nil {
			return err
		}
	}
	if failed {
		return &pluginsdk.ExitError{Status: 1}
	}
	return nil
}

// verifyCase judges one request as the server would.
func verifyCase(name string, x webhook.Case) (verdict, error) {
	var config struct {
		Secret    string   `json:"secret"`
		Secrets   []string `json:"secrets"`
		Keys      []string `json:"keys"`
		Tolerance *int64   `json:"tolerance_seconds"`
	}
	if err := json.Unmarshal(x.Config, &config); err != nil {
		return verdict{}, fmt.Errorf("settings: %w", err)
	}
	c := provider.Config{Secrets: append(config.Secrets, config.Keys...)}
	if config.Secret != "" {
		c.Secrets = append(c.Secrets, config.Secret)
	}
	if config.Tolerance != nil {
		c.Tolerance = time.Duration(*config.Tolerance) * time.Second
	}
	r, err := x.Request()
	if err != nil {
		return verdict{}, err
	}
	id := ""
	v, err := provider.New(name, c)
	if err == nil {
		id, err = v.Verify(r, x.At())
	}
	out, err := webhook.Accepts(x, id, err)
	if err != nil || out.Result != "accept" {
		return verdict{Verdict: out}, err
	}
	typ, _ := typeOf(r.Body) // what is no event is refused when it is stored
	return verdict{out, typ}, nil
}

// replayCommand is `sigra accrue replay`: it takes histories on an empty ledger and shows what they come to.
func replayCommand(ctx context.Context, c *pluginsdk.CommandCall) error {
	plans, clock := "", ""
	flags := c.Flags()
	flags.StringVar(&plans, "plans", "", "")
	flags.StringVar(&clock, "at", "", "")
	var files []string
	for rest := c.Arguments; ; {
		if err := flags.Parse(rest); err != nil {
			return &pluginsdk.ExitError{Status: 2, Err: err}
		}
		if flags.NArg() == 0 {
			break
		}
		files, rest = append(files, flags.Arg(0)), flags.Args()[1:]
	}
	if len(files) == 0 {
		return &pluginsdk.ExitError{Status: 2, Err: errors.New("name the histories to take: files of JSON with deliveries or events")}
	}
	var given *ledgerConfig
	if plans != "" {
		b, err := os.ReadFile(plans) //nolint:gosec // the caller's own file
		if err == nil {
			var f struct {
				ledgerConfig
				Config *ledgerConfig `json:"config"`
			}
			if err = json.Unmarshal(b, &f); err == nil {
				if given = &f.ledgerConfig; f.Config != nil {
					given = f.Config
				}
			}
		}
		if err != nil {
			return &pluginsdk.ExitError{Status: 2, Err: fmt.Errorf("%s: %w", plans, err)}
		}
	}
	for _, name := range files {
		if err := replayFile(ctx, c, name, given, clock); err != nil {
			return err
		}
	}
	return nil
}

func replayFile(ctx context.Context, c *pluginsdk.CommandCall, name string, given *ledgerConfig, clock string) error {
	b, err := os.ReadFile(name) //nolint:gosec // the caller's own file
	if err != nil {
		return &pluginsdk.ExitError{Status: 2, Err: err}
	}
	config, sequences, err := readSequences(b)
	if err != nil {
		return &pluginsdk.ExitError{Status: 2, Err: fmt.Errorf("%s: %w", name, err)}
	}
	for _, seq := range sequences {
		used := ledgerConfig{}
		for _, c := range []*ledgerConfig{config, seq.Config, given} {
			if c != nil {
				used = used.under(*c)
			}
		}
		if clock != "" {
			if used.Clock, err = time.Parse(time.RFC3339, clock); err != nil {
				return &pluginsdk.ExitError{Status: 2, Err: fmt.Errorf("--at %q is not a time such as 2026-11-30T12:00:00Z", clock)}
			}
		}
		r, closing, err := newReplayer(ctx)
		if err != nil {
			return err
		}
		out, err := r.run(ctx, seq, &used)
		closing()
		if err != nil {
			return &pluginsdk.ExitError{Status: 2, Err: fmt.Errorf("%s: %s: %w", name, seq.ID, err)}
		}
		if err := out.print(c); err != nil {
			return err
		}
	}
	return nil
}

// under gives the configuration with what over says laid over it.
func (c ledgerConfig) under(over ledgerConfig) ledgerConfig {
	out := over
	if over.Secret == "" && len(over.Secrets) == 0 {
		out.Secret, out.Secrets = c.Secret, c.Secrets
	}
	if over.Tolerance == nil {
		out.Tolerance = c.Tolerance
	}
	if over.Clock.IsZero() {
		out.Clock = c.Clock
	}
	if over.Plans == nil {
		out.Plans = c.Plans
	}
	if over.AccountKey == "" && over.MetadataKey == "" {
		out.AccountKey, out.MetadataKey = c.AccountKey, c.MetadataKey
	}
	return out
}

func (r replayed) print(c *pluginsdk.CommandCall) error {
	if c.JSON {
		return json.NewEncoder(c.Stdout).Encode(r)
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 8, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	line("%s %s", r.ID, r.Title)
	for _, d := range r.Deliveries {
		line("  delivery\t%s\t%s\t%s\t%s", d.At.Format(time.RFC3339), d.Type, d.Result, strings.TrimSpace(string(d.Reason)+" "+d.Effect+" "+strings.Join(d.Alerts, ", ")+" "+d.Error))
	}
	for id, s := range r.Subscriptions {
		line("  subscription\t%s\t%s\tplan %s\t%d seats", id, s.Status, orNone(s.Plan), s.Seats)
	}
	for customer, a := range r.Accounts {
		line("  account\t%s\t%s", a, customer)
	}
	for _, d := range r.Decisions {
		line("  decision\t%s\t%s\t%s\tplan %s, %s seats", d.At.Format(time.RFC3339), d.Account, map[bool]string{true: "yes", false: "no"}[d.Entitled]+" ("+d.Reason+")", orNone(d.Plan), seatsText(d.Seats))
	}
	if s := r.Seats; s != nil {
		line("  seats\t%d of %s in use\tnew member %s", s.Used, seatsText(s.Limit), s.NewMember)
	}
	line("  %s, alerts: %s", r.summary(), orNone(strings.Join(r.Alerts, ", ")))
	return w.Flush()
}
