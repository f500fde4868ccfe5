package mailglass

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/plugins/mailglass/feedback"
	"github.com/sigra-auth/sigra/pluginsdk/webhook"
)

// wanted is what a case of the conformance data must come to.
type wanted struct {
	Result  string            `json:"result"`
	Reason  webhook.Reason    `json:"reason"`
	Effect  string            `json:"effect"`
	Confirm *feedback.Confirm `json:"confirm"`
	Alarm   string            `json:"alarm"`
	State   string            `json:"delivery_state_after"`
	Events  []struct {
		Type       string             `json:"type"`
		Delivery   string             `json:"delivery"`
		Recipient  string             `json:"recipient"`
		OccurredAt time.Time          `json:"occurred_at"`
		Key        string             `json:"provider_event_id"`
		Permanence string             `json:"permanence"`
		Soft       bool               `json:"counts_as_soft_bounce"`
		Suppress   *feedback.Suppress `json:"suppress"`
		Alarm      string             `json:"alarm"`
	} `json:"events"`
}

func feedbackCases(t testing.TB, name, kind string) []webhook.Case {
	t.Helper()
	o, err := webhook.ParseOptions([]string{"--provider", name, "feedback/testdata/" + name + "/" + kind + ".json"}, feedback.Names)
	if err != nil {
		t.Fatal(err)
	}
	list, err := o.Cases()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestWebhookVerify_cases judges every signature and every event of the conformance data of five providers, as the command does.
func TestWebhookVerify_cases(t *testing.T) {
	t.Parallel()
	for name, atLeast := range map[string][2]int{
		feedback.Mailgun: {34, 17}, feedback.SendGrid: {33, 17}, feedback.Postmark: {28, 17}, feedback.SES: {46, 19}, feedback.Resend: {29, 16},
	} {
		known := feedbackCases(t, name, "events")
		for i, kind := range []string{"signatures", "events"} {
			list := feedbackCases(t, name, kind)
			if len(list) < atLeast[i] {
				t.Errorf("%s: only %d %s", name, len(list), kind)
			}
			receivers := map[string]*receiver{}
			for _, c := range list {
				r := receivers[c.Sequence]
				if r == nil || c.Sequence == "" {
					r = newReceiver()
					receivers[c.Sequence] = r
				}
				if kind == "signatures" {
					var k struct {
						Known json.RawMessage `json:"known_deliveries"`
					}
					if err := json.Unmarshal(known[0].Config, &k); err != nil {
						t.Fatal(err)
					}
					extra, err := json.Marshal(map[string]any{"known_deliveries": k.Known})
					if err != nil {
						t.Fatal(err)
					}
					if c.Config, err = webhook.Overlay(c.Config, extra); err != nil {
						t.Fatal(err)
					}
				}
				got, err := r.judge(t.Context(), name, c)
				if err != nil {
					t.Errorf("%s: %v", c.ID, err)
					continue
				}
				var want wanted
				if err := json.Unmarshal(c.Expect, &want); err != nil {
					t.Fatal(err)
				}
				if d := want.differences(got); len(d) > 0 {
					t.Errorf("%s (%s):\n\t%s", c.ID, c.Title, strings.Join(d, "\n\t"))
				}
				if b, _ := json.Marshal(got); strings.Contains(string(b), "token=") {
					t.Errorf("%s: the link that was clicked is told", c.ID)
				}
			}
		}
	}
}

func (w wanted) differences(got verdict) (out []string) {
	differ := func(what string, got, want any) {
		b, _ := json.Marshal([]any{got, want})
		out = append(out, what+": "+string(b))
	}
	if got.Result != w.Result || got.Reason != w.Reason {
		differ("verdict", got.Verdict, w.Reason)
	}
	if w.Effect != "" && got.Effect != w.Effect {
		differ("effect", got.Effect, w.Effect)
	}
	if w.Confirm != nil && (got.Confirm == nil || *got.Confirm != *w.Confirm) {
		differ("confirm", got.Confirm, w.Confirm)
	}
	if w.Alarm != "" && got.Alarm != w.Alarm {
		differ("alarm", got.Alarm, w.Alarm)
	}
	if w.State != "" && got.State != w.State {
		differ("state", got.State, w.State)
	}
	if w.Events == nil {
		return out
	}
	if len(got.Events) != len(w.Events) {
		differ("events", got.Events, w.Events)
		return out
	}
	for i, e := range w.Events {
		g := got.Events[i]
		same := (e.Suppress == nil) == (g.Suppress == nil) && (e.Suppress == nil || e.Suppress.Scope == g.Suppress.Scope && e.Suppress.Stream == g.Suppress.Stream &&
			e.Suppress.Reason == g.Suppress.Reason && g.Suppress.Overridable == (e.Suppress.Reason != feedback.Complaint))
		if !same || g.Type != e.Type || g.Delivery != e.Delivery || g.Recipient != e.Recipient || !g.OccurredAt.Truncate(time.Second).Equal(e.OccurredAt) || g.Permanence != e.Permanence ||
			g.Soft != e.Soft || g.Alarm != e.Alarm || e.Key != "" && g.Key != e.Key || g.Key == "" {
			differ("event", g, e)
		}
	}
	return out
}

// fuzzKey is a public key whose private half was thrown away.
const fuzzKey = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEoUrVDK+kYwjTbbJEmXATZl1qxSL/4elDu1lXjzSIGSpjPYdOEBMNDFP0aDpp34tSO1MGrI9lR68KGbPcrP3sCQ=="

func fuzzFeedback(f *testing.F, name string, v feedback.Verifier, headers ...string) {
	for _, kind := range []string{"signatures", "events"} {
		for _, c := range feedbackCases(f, name, kind) {
			if r, err := c.Request(); err == nil && len(r.Body) < 8192 {
				f.Add(r.Header.Get(headers[0]), r.Header.Get(headers[len(headers)-1]), r.Body)
			}
		}
	}
	f.Fuzz(func(t *testing.T, a, b string, body []byte) {
		h := map[string][]string{"Webhook-Id": {"msg_1"}}
		for i, value := range []string{a, b} {
			if i < len(headers) {
				h[headers[i]] = []string{value}
			}
		}
		if _, err := v.Verify(context.Background(), webhook.Request{Header: h, Body: body}, time.Unix(1795435200, 0)); err == nil || webhook.ReasonOf(err) == "" {
			t.Fatalf("taken without a key: %v", err)
		}
		content, err := feedback.Read(name, feedback.Report{Key: "k", Body: body})
		if err != nil {
			return
		}
		for _, e := range content.Events {
			if j := feedback.Judge(e, nil); j.Suppress != nil || j.Alarm != "" || e.Key == "" {
				t.Fatalf("something follows for nobody, or nothing tells it apart: %+v", e)
			}
		}
	})
}

// FuzzPostmark: without the password nothing is taken, and what is read harms nobody.
func FuzzPostmark(f *testing.F) {
	v, err := feedback.NewPostmark([]feedback.Credential{{Username: "u", Password: "known to nobody who wrote these"}}, nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	fuzzFeedback(f, feedback.Postmark, v, "Authorization")
}

// FuzzSendGrid is FuzzPostmark for SendGrid, with a key of which nobody has the other half.
func FuzzSendGrid(f *testing.F) {
	v, err := feedback.NewSendGrid([]string{fuzzKey}, time.Minute)
	if err != nil {
		f.Fatal(err)
	}
	fuzzFeedback(f, feedback.SendGrid, v, "X-Twilio-Email-Event-Webhook-Signature", "X-Twilio-Email-Event-Webhook-Timestamp")
}

// FuzzMailgun is FuzzPostmark for Mailgun.
func FuzzMailgun(f *testing.F) {
	v, err := feedback.NewMailgun([]string{"known to nobody who wrote these"}, nil, time.Hour, time.Minute)
	if err != nil {
		f.Fatal(err)
	}
	fuzzFeedback(f, feedback.Mailgun, v, "X-None")
}

// FuzzResend is FuzzPostmark for Resend.
func FuzzResend(f *testing.F) {
	v, err := feedback.NewResend([]string{"whsec_a25vd24gdG8gbm9ib2R5IHdobyB3cm90ZSB0aGVzZQ=="}, time.Minute)
	if err != nil {
		f.Fatal(err)
	}
	fuzzFeedback(f, feedback.Resend, v, "Webhook-Signature", "Webhook-Timestamp")
}

// FuzzSES is FuzzPostmark for SNS: no certificate is fetched but one at SNS.
func FuzzSES(f *testing.F) {
	v, err := feedback.NewSNS(feedback.SNSConfig{
		Topics: []string{"arn:aws:sns:eu-west-1:111122223333:sigra-mail-events"}, Past: time.Hour, Future: time.Minute,
		Fetch: func(_ context.Context, url string) (int, []byte, error) {
			if !strings.HasPrefix(url, "https://sns.") || !strings.Contains(url, ".amazonaws.com") {
				panic("fetched " + url)
			}
			return 0, nil, os.ErrNotExist
		},
	})
	if err != nil {
		f.Fatal(err)
	}
	fuzzFeedback(f, feedback.SES, v, "X-None")
}
