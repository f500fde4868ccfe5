package plugintest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a plugin that does everything and keeps it in memory that outlives it, as a database would.
type memory struct {
	fault string
	kept  *kept

	mu   sync.Mutex
	host *pluginsdk.Host
}

type kept struct {
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

func (m *memory) Manifest() pluginsdk.Manifest {
	version := "1.0.0"
	if m.fault == "describe" {
		version = "1.0." + time.Now().Format("150405") + "000" + strings.Trim(time.Now().Format(".000000000"), ".")
		version = strings.ReplaceAll(version, ".0", ".1")
	}
	return pluginsdk.Manifest{
		Name: "memory", Version: version, Settings: &settings{}, Wants: pluginsdk.Services(),
		Routes: []pluginsdk.Route{{Path: "/memory"}}, Events: []string{"billing.*"},
		Questions: []pluginsdk.Question{pluginsdk.Login, pluginsdk.MemberAdd},
	}
}

func (m *memory) Configure(_ context.Context, h *pluginsdk.Host, in pluginsdk.Settings) error {
	var s settings
	if m.fault == "settings" {
		_ = in.Decode(&s)
	} else if err := in.Decode(&s); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.host = h
	if m.fault == "leak" {
		go func() { select {} }()
	}
	return nil
}

func (m *memory) Record(_ context.Context, rows []pluginsdk.AuditRow) (r pluginsdk.Recorded, err error) {
	for _, row := range rows {
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

func (m *memory) Receive(_ context.Context, events []pluginsdk.Event) ([]pluginsdk.Refusal, error) {
	for _, e := range events {
		m.kept.add(e.ID, m.fault == "twice")
	}
	return nil, nil
}

func (m *memory) Send(_ context.Context, msg pluginsdk.Message) error {
	switch msg.Purpose {
	case "later":
		return pluginsdk.Retryable(errors.New("greylisted"))
	case "never":
		return pluginsdk.Permanent(errors.New("no such mailbox"))
	case "perhaps":
		return errors.New("connection lost after DATA")
	}
	m.kept.add(msg.IdempotencyKey, m.fault == "twice")
	return nil
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

func (m *memory) Offer(_ context.Context, domain, _, _ string) ([]pluginsdk.LoginMethod, error) {
	return []pluginsdk.LoginMethod{{ID: domain, Label: "Acme", URL: "/memory/start", Exclusive: true}}, nil
}

func (m *memory) Claims(_ context.Context, p pluginsdk.Principal, _ string) (map[string]any, time.Duration, error) {
	return map[string]any{"roles": []string{"owner"}, "id": p.UserID}, time.Minute, nil
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
	plugintest.Conform(t, func() pluginsdk.Plugin { return &memory{fault: fault, kept: first} }, plugintest.Options{})
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
	return plugintest.Start(t, &memory{kept: &kept{rows: map[string]int{}}}, cfg)
}

func TestRunning_mailOutcomes(t *testing.T) {
	t.Parallel()
	r := start(t, plugintest.Config{})
	if err := r.Send(t.Context(), pluginsdk.Message{}); err != nil {
		t.Errorf("accepted: %v", err)
	}
	if err := r.Send(t.Context(), pluginsdk.Message{Purpose: "later"}); !pluginsdk.IsRetryable(err) {
		t.Errorf("later: %v", err)
	}
	if err := r.Send(t.Context(), pluginsdk.Message{Purpose: "never"}); !pluginsdk.IsPermanent(err) {
		t.Errorf("never: %v", err)
	}
	if err := r.Send(t.Context(), pluginsdk.Message{Purpose: "perhaps"}); !errors.Is(err, plugintest.ErrUncertain) {
		t.Errorf("perhaps: %v", err)
	}
}

func TestRunning_gateAnswers(t *testing.T) {
	t.Parallel()
	r := start(t, plugintest.Config{})
	for q, want := range map[pluginsdk.Question]plugintest.Decision{
		pluginsdk.Registration: {Answer: "allow"},
		pluginsdk.MemberAdd:    {Answer: "deny", Reason: "no_seat", Message: "There is no seat left."},
		pluginsdk.Login:        {Answer: "step_up", Reason: "new_device", RequiredAAL: "aal2"},
	} {
		if got, err := r.Ask(t.Context(), pluginsdk.Ask{Question: q}); err != nil || got != want {
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
	c, age, err := r.Claims(t.Context(), plugintest.Ada, "session_jwt")
	if err != nil || age != time.Minute || c["id"] != plugintest.Ada.UserID || c["roles"].([]any)[0] != "owner" {
		t.Errorf("claims: %v, %v, %v", c, age, err)
	}
	ms, err := r.Offer(t.Context(), "acme.example", "", "/")
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
