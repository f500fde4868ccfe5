package mailglass

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/sigra-auth/sigra/plugins/mailglass/feedback"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/webhook"
)

// verdict is what webhook verify prints.
type verdict struct {
	webhook.Verdict
	Confirm *feedback.Confirm `json:"confirm,omitempty"`
	Events  []feedback.Judged `json:"events"`
	Added   []feedback.Added  `json:"added,omitempty"` // to the provider's own list of addresses
	Bad     int               `json:"bad,omitempty"`   // entries that can't be read
	Alarm   string            `json:"alarm,omitempty"` // of the request as a whole
	State   string            `json:"delivery_state_after,omitempty"`
}

// receiver is what the cases of one sequence share: what it has seen, and how far the messages are.
type receiver struct {
	requests map[string][sha256.Size]byte
	events   map[string]bool
	states   map[string]string
}

func newReceiver() *receiver {
	return &receiver{map[string][sha256.Size]byte{}, map[string]bool{}, map[string]string{}}
}

// verifyCommand is `sigra mailglass webhook verify`: it needs files and no server.
func verifyCommand(ctx context.Context, c *pluginsdk.CommandCall) error {
	o, err := webhook.ParseOptions(c.Arguments, feedback.Names)
	if err != nil {
		return &pluginsdk.ExitError{Status: 2, Err: err}
	}
	cases, err := o.Cases()
	if err != nil {
		return &pluginsdk.ExitError{Status: 2, Err: err}
	}
	failed := false
	receivers := map[string]*receiver{}
	for _, x := range cases {
		r := newReceiver()
		if x.Sequence != "" {
			if known := receivers[x.Sequence]; known != nil {
				r = known
			}
			receivers[x.Sequence] = r
		}
		v, err := r.judge(ctx, o.Provider, x)
		if err != nil {
			return &pluginsdk.ExitError{Status: 2, Err: fmt.Errorf("%s: %w", x.ID, err)}
		}
		failed = failed || v.Failed(x)
		if err := v.print(c); err != nil {
			return err
		}
	}
	if failed {
		return &pluginsdk.ExitError{Status: 1}
	}
	return nil
}

// judge does with one request what the server does, but for the database.
func (r *receiver) judge(ctx context.Context, name string, x webhook.Case) (out verdict, err error) {
	config, err := feedback.ReadRecorded(x.Config)
	if err != nil {
		return out, err
	}
	req, err := x.Request()
	if err != nil {
		return out, err
	}
	var report feedback.Report
	v, refused := config.Verifier(name)
	if refused == nil {
		report, refused = v.Verify(ctx, req, x.At())
	}
	digest := sha256.Sum256(req.Body)
	before, again := r.requests[report.Key]
	if refused == nil && report.Key != "" {
		if again && report.Once && !bytes.Equal(before[:], digest[:]) {
			refused = webhook.Reject(webhook.Replayed, "its token was used for something else")
		}
		r.requests[report.Key] = digest
	}
	if out.Verdict, err = webhook.Accepts(x, report.Key, refused); err != nil || refused != nil {
		return out, err
	}
	content, err := feedback.Read(name, report)
	if err != nil {
		return out, err
	}
	out.Confirm, out.Added, out.Bad, out.Alarm, out.Events = report.Confirm, content.Added, content.Bad, report.Alarm, []feedback.Judged{}
	if content.Alarm != "" {
		out.Alarm = content.Alarm
	}
	known, matched := 0, 0
	for _, e := range content.Events {
		d := config.Find(e)
		j := feedback.Judge(e, d)
		out.Events = append(out.Events, j)
		if r.events[e.Key] {
			known++
			continue
		}
		r.events[e.Key] = true
		if d != nil {
			matched++
			r.states[d.ID] = feedback.Advance(r.states[d.ID], e.Type)
			out.State = r.states[d.ID]
		}
	}
	switch n := len(content.Events); {
	case report.Confirm != nil:
		out.Effect = "confirm"
	case out.Alarm != "":
		out.Effect = "alarm:" + out.Alarm
	case report.Key != "" && again, n > 0 && known == n:
		out.Effect = "duplicate"
	case known > 0:
		out.Effect = "partly_duplicate"
	case n == 0:
		out.Effect = "none"
	case matched == 0 && config.Known != nil:
		out.Effect = "unmatched"
	}
	return out, nil
}

func (v verdict) print(c *pluginsdk.CommandCall) error {
	if c.JSON {
		return json.NewEncoder(c.Stdout).Encode(v)
	}
	if _, err := fmt.Fprintln(c.Stdout, v.String()); err != nil {
		return err
	}
	for _, e := range v.Events {
		line := "  " + e.Type + " " + e.Recipient
		if e.Permanence != "" {
			line += " " + e.Permanence
		}
		if s := e.Suppress; s != nil {
			line += " suppress " + s.Scope + " (" + s.Reason + ")"
		}
		if e.Alarm != "" {
			line += " ALARM " + e.Alarm
		}
		if _, err := fmt.Fprintln(c.Stdout, line); err != nil {
			return err
		}
	}
	return nil
}
