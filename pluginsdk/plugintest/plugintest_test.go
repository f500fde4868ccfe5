package plugintest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a plugin that does everything and keeps it in memory that outlives it, as a database would.
type memory struct {
	fault string
	kept  *kept

	host *pluginsdk.Host
}

type kept struct {
	made atomic.Int64
	mu   sync.Mutex
	rows map[string]int
}

func (k *kept) add(id string, again bool) (fresh bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.rows[id] > 0 && !again {
		return false
	}
	k.rows[id]++
	return true
}

type settings struct {
	Limit int `sigra:"limit,default=10"`
}

func plugin(fault string, kept *kept) pluginsdk.Plugin {
	version := "1.0.0"
	if fault == "describe" {
		version = fmt.Sprintf("1.0.%d", kept.made.Add(1))
	}
	return pluginsdk.Define(pluginsdk.Manifest{
		Name: "memory", Version: version, Wants: pluginsdk.Grants(),
		Routes: []pluginsdk.Route{{Path: "/memory"}}, Events: []string{"billing.*"},
		Questions: []pluginsdk.GateQuestion{{Question: pluginsdk.Login}, {Question: pluginsdk.MemberAdd}},
	}, func(_ context.Context, h *pluginsdk.Host, s settings) (*memory, error) {
		if fault != "settings" && s.Limit < 0 {
			return nil, pluginsdk.Diagnostic("limit", "A limit is not negative.", "")
		}
		if fault == "leak" {
			go func() { select {} }()
		}
		return &memory{fault: fault, kept: kept, host: h}, nil
	})
}

func (m *memory) Record(_ context.Context, req pluginsdk.RecordRequest) (r pluginsdk.RecordResponse, err error) {
	for _, row := range req.Rows {
		if m.kept.add(row.ID, m.fault == "twice") {
			r.Inserted++
		} else {
			r.Duplicate++
		}
		if m.fault == "lose" {
			m.kept.mu.Lock()
			delete(m.kept.rows, row.ID)
			m.kept.mu.Unlock()
		}
	}
	return r, nil
}

func (m *memory) Receive(_ context.Context, r pluginsdk.ReceiveRequest) (out pluginsdk.ReceiveResponse, err error) {
	for _, e := range r.Events {
		m.kept.add(e.ID, m.fault == "twice")
	}
	return out, nil
}

func (m *memory) Send(_ context.Context, msg pluginsdk.Message) (out pluginsdk.SendResponse, err error) {
	switch msg.Purpose {
	case "later":
		return out, pluginsdk.RetryAfter(errors.New("greylisted"), time.Minute)
	case "never":
		return out, pluginsdk.Rejected("suppressed", "no such mailbox", pluginsdk.Finding{Rule: "bounce"})
	case "perhaps":
		return out, errors.New("connection lost after DATA")
	}
	m.kept.add(msg.IdempotencyKey, m.fault == "twice")
	return pluginsdk.SendResponse{MessageID: "<1@memory>"}, nil
}

func (m *memory) Ask(_ context.Context, a pluginsdk.Ask) (pluginsdk.Answer, error) {
	switch {
	case m.fault == "panic":
		panic("a gate that panics")
	case a.Subject.ID == "error":
		return pluginsdk.Answer{}, pluginsdk.Denied("closed", "The door is closed.")
	case a.Subject.ID == "nothing":
		return pluginsdk.Answer{}, nil
	case a.Question == pluginsdk.MemberAdd:
		return pluginsdk.Deny("no_seat", "There is no seat left."), nil
	case a.Question == pluginsdk.Login:
		return pluginsdk.StepUp("aal2", "new_device"), nil
	}
	return pluginsdk.Allow(), nil
}

func (m *memory) Offer(_ context.Context, r pluginsdk.OfferRequest) (pluginsdk.OfferResponse, error) {
	return pluginsdk.OfferResponse{Methods: []pluginsdk.LoginMethod{{ID: r.EmailDomain, Label: "Acme", URL: "/memory/start", Exclusive: true}}}, nil
}

func (m *memory) Claims(_ context.Context, r pluginsdk.ClaimsRequest) (pluginsdk.ClaimsResponse, error) {
	return pluginsdk.ClaimsResponse{Claims: map[string]any{"roles": []string{"owner"}, "id": r.Principal.UserID}, MaxAge: time.Minute, Revision: "7"}, nil
}

func (m *memory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m.fault == "hang" {
		select {}
	}
	if m.fault == "cookie" {
		http.SetCookie(w, &http.Cookie{Name: "__Host-sigra_session", Value: "stolen"})
	}
	_, _ = io.Copy(w, r.Body)
}

func conform(t *testing.T, fault string) {
	t.Helper()
	first := &kept{rows: map[string]int{}}
	plugintest.Conform(t, func() pluginsdk.Plugin { return plugin(fault, first) }, plugintest.Options{BadSettings: []string{`{"limit": -1}`}})
}

func TestConform_goodPlugin(t *testing.T) {
	t.Parallel()
	conform(t, "")
}

// TestFaultyPlugin is run by TestConform_findsFaults in a process of its own, where it must fail.
func TestFaultyPlugin(t *testing.T) {
	fault := os.Getenv("PLUGINTEST_FAULT")
	if fault == "" {
		t.Skip("run by TestConform_findsFaults")
	}
	conform(t, fault)
}

func TestConform_findsFaults(t *testing.T) {
	t.Parallel()
	for _, f := range []struct{ fault, where, want string }{
		{"describe", "describe_is_stable", "Describe answers differently"},
		{"settings", "bad_settings", "took {"},
		{"leak", "health", "these goroutines still run"},
		{"twice", "audit_redelivery", "redelivery counted"},
		{"lose", "audit_redelivery", "redelivery counted"},
		{"panic", "gate", "the plugin panicked"},
		{"cookie", "routes_concurrent", "which is Sigra's"},
		{"hang", "routes_abandoned", "still run"},
	} {
		fault, want := f.fault, f.want
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestFaultyPlugin$/"+f.where, "-test.timeout=60s")
			cmd.Env = append(os.Environ(), "PLUGINTEST_FAULT="+fault)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("the suite passed a plugin with the fault %q", fault)
			}
			if !strings.Contains(string(out), want) {
				t.Errorf("the suite did not say %q:\n%s", want, out)
			}
		})
	}
}

func start(t *testing.T, cfg plugintest.Config) *plugintest.Running {
	t.Helper()
	return plugintest.Start(t, plugin("", &kept{rows: map[string]int{}}), cfg)
}

func TestRunning_mailOutcomes(t *testing.T) {
	t.Parallel()
	r := start(t, plugintest.Config{})
	if sent, err := r.Send(t.Context(), pluginsdk.Message{}); err != nil || sent.MessageID == "" {
		t.Errorf("accepted: %v", err)
	}
	if _, err := r.Send(t.Context(), pluginsdk.Message{Purpose: "later"}); !pluginsdk.IsRetryable(err) {
		t.Errorf("later: %v", err)
	}
	if _, err := r.Send(t.Context(), pluginsdk.Message{Purpose: "never"}); !pluginsdk.IsPermanent(err) {
		t.Errorf("never: %v", err)
	}
	if _, err := r.Send(t.Context(), pluginsdk.Message{Purpose: "perhaps"}); !errors.Is(err, plugintest.ErrUncertain) {
		t.Errorf("perhaps: %v", err)
	}
}

func TestRunning_gateAnswers(t *testing.T) {
	t.Parallel()
	r := start(t, plugintest.Config{})
	for q, want := range map[pluginsdk.Question]pluginsdk.Verdict{
		pluginsdk.Registration: {Decision: "allow"},
		pluginsdk.MemberAdd:    {Decision: "deny", Reason: "no_seat", Message: "There is no seat left."},
		pluginsdk.Login:        {Decision: "step_up", Reason: "new_device", RequiredAAL: "aal2"},
	} {
		if got, err := r.Ask(t.Context(), pluginsdk.Ask{Question: q}); err != nil || cmp.Diff(got, want) != "" {
			t.Errorf("%s: %+v, %v", q, got, err)
		}
	}
	_, err := r.Ask(t.Context(), pluginsdk.Ask{Subject: pluginsdk.Ref{ID: "error"}})
	if reason, ok := pluginsdk.IsDenied(err); !ok || reason != "closed" || err.Error() != "The door is closed." {
		t.Errorf("a denial arrives as %q, %v", reason, err)
	}
	if _, err := r.Ask(t.Context(), pluginsdk.Ask{Subject: pluginsdk.Ref{ID: "nothing"}}); err == nil {
		t.Error("no answer counts as one")
	}
}

func TestRunning_claimsAndOffers(t *testing.T) {
	t.Parallel()
	r := start(t, plugintest.Config{})
	c, err := r.Claims(t.Context(), pluginsdk.ClaimsRequest{Principal: *plugintest.Ada, Audience: "session_jwt"})
	if err != nil || c.MaxAge != time.Minute || c.Revision != "7" || c.Claims["id"] != plugintest.Ada.UserID || c.Claims["roles"].([]any)[0] != "owner" {
		t.Errorf("claims: %v, %v", c, err)
	}
	ms, err := r.Offer(t.Context(), pluginsdk.OfferRequest{EmailDomain: "acme.example", ReturnTo: "/"})
	if err != nil || len(ms) != 1 || ms[0] != (pluginsdk.LoginMethod{ID: "acme.example", Label: "Acme", URL: "/memory/start", Exclusive: true}) {
		t.Errorf("offers: %v, %v", ms, err)
	}
}

func TestRows_haveEveryAction(t *testing.T) {
	t.Parallel()
	rows := plugintest.Rows()
	seen, ids := map[string]bool{}, map[string]bool{}
	for _, r := range rows {
		seen[r.Action], ids[r.ID] = true, true
	}
	if len(seen) != len(plugintest.Catalogue()) || len(ids) != len(rows) || !seen["auth.login.success"] {
		t.Errorf("%d rows, %d actions, %d ids", len(rows), len(seen), len(ids))
	}
}
