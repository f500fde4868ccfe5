package main

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// TestFanOut holds the fan-out matrix of docs/audit-events.md through real processes: a server, Threadline as its child,
// and an external plugin that takes audit rows, host-emitted events and mails, each by a seam of its own.
func TestFanOut(t *testing.T) {
	t.Parallel()
	if !bundled() {
		t.Log("this build has no satellite: the Threadline column is empty in every row")
	}
	onEach(t, func(t *testing.T, database string) {
		t.Parallel()
		in := newInstance(t, setup{})
		block, file := recorderBlock(t, in.dir)
		plugins := block
		if bundled() {
			plugins += threadlineBlock
		}
		_ = os.Setenv(recorderEnv, "1") // reaches only the plugins whose block names it
		in.configure(setup{database: database, plugins: plugins})
		in.start()
		admin := in.adminByRecordedLink(file)

		// Each row provokes its event, by the product's own flow where there is one.
		const email = "ada@example.com"
		provoke := map[string]func(t *testing.T){
			"auth.login.success": func(t *testing.T) {
				if _, err := in.signIn("root@example.com"); err != nil {
					t.Fatal(err)
				}
			},
			"auth.login.failure": func(t *testing.T) {
				in.must(http.StatusUnauthorized, "POST", "/v1/login", "", map[string]any{"email": "root@example.com", "password": "wrong wrong wrong"})
			},
			"auth.password_reset.success": func(t *testing.T) {
				out := in.cli("user", "create", email)
				in.setPassword(t, out)
			},
			"mfa.challenge.success": func(t *testing.T) {
				recordDirectly(t, in, database, "mfa.challenge.success")
			},
			"account.deletion_execute": func(t *testing.T) {
				in.cli("user", "delete", "--yes", email)
			},
			"billing.subscription.upgraded": func(t *testing.T) {
				in.cli("events", "publish", "billing.subscription.upgraded", "--id", "evt_1", "--data", `{"plan":"team"}`)
			},
		}
		rows := []struct {
			event                            string
			auditRow, tap, webhook, timeline bool
		}{
			{"auth.login.success", true, true, true, true},
			{"auth.login.failure", true, true, true, false},
			{"auth.password_reset.success", true, true, true, true},
			{"mfa.challenge.success", true, true, false, false},
			{"account.deletion_execute", true, true, true, true},
			{"billing.subscription.upgraded", false, false, false, false},
		}
		tap := in.streamActions(admin.Token)
		for _, row := range rows {
			t.Run(row.event, func(t *testing.T) {
				provoke[row.event](t)
			})
		}
		// A last event that every sink gets shows that they have seen what came before it, in order.
		last, err := in.signIn("root@example.com")
		if err != nil {
			t.Fatal(err)
		}
		if bundled() {
			in.eventually(60*time.Second, "the last sign-in in the timeline", func() error {
				entries, err := in.timeline(admin.Token)
				if err != nil || !slices.ContainsFunc(entries, func(e timelineEntry) bool {
					return e.SessionID == last.Session.SessionID && e.Action == "auth.login.success"
				}) {
					return errNotYet
				}
				return nil
			})
		}
		tap.waitFor(t, last.Session.SessionID)
		awaitRecorded(t, file, "EventSink", "billing.subscription.upgraded")
		log := in.auditLog(admin.Token)
		in.eventually(60*time.Second, "the last sign-in at the other audit sink", func() error {
			for _, row := range log {
				if row.SessionID == last.Session.SessionID && slices.ContainsFunc(readRecorded(t, file), func(r recorded) bool { return r.ID == row.ID }) {
					return nil
				}
			}
			return errNotYet
		})
		var entries []timelineEntry
		if bundled() {
			if entries, err = in.timeline(admin.Token); err != nil {
				t.Fatal(err)
			}
		}
		got := readRecorded(t, file)
		for _, row := range rows {
			t.Run(row.event, func(t *testing.T) {
				if has := slices.ContainsFunc(log, func(r auditRow) bool { return r.Action == row.event }); has != row.auditRow {
					t.Errorf("audit row: %v, want %v", has, row.auditRow)
				}
				if has := tap.saw(row.event); has != row.tap {
					t.Errorf("telemetry tap: %v, want %v", has, row.tap)
				}
				a, known := audit.Lookup(row.event)
				if known != row.auditRow || a.Webhook != row.webhook {
					t.Errorf("webhook eligibility in the catalogue: %v, want %v", a.Webhook, row.webhook)
				}
				if has := slices.ContainsFunc(entries, func(e timelineEntry) bool { return e.Action == row.event }); has != (row.timeline && bundled()) {
					t.Errorf("Threadline: %v, want %v", has, row.timeline)
				}
				if has := slices.ContainsFunc(got, func(r recorded) bool { return r.Seam == "AuditSink" && r.Name == row.event }); has != row.timeline {
					t.Errorf("another audit sink with the same defaults: %v, want %v", has, row.timeline)
				}
				// Mailglass is a mailer: a mailer gets mails, and none of these events.
				if slices.ContainsFunc(got, func(r recorded) bool { return r.Seam == "Mailer" && r.Name == row.event }) {
					t.Error("the mailer got the event")
				}
				isEvent := slices.ContainsFunc(got, func(r recorded) bool { return r.Seam == "EventSink" && r.Name == row.event })
				if isEvent != !row.auditRow {
					t.Errorf("subscribed event sink: %v, want %v", isEvent, !row.auditRow)
				}
			})
		}
		if n := countRecorded(got, "EventSink", ""); n != 1 {
			t.Errorf("the event sink got %d events, want the one it subscribed to", n)
		}
	})
}

func countRecorded(got []recorded, seam, name string) (n int) {
	for _, r := range got {
		if r.Seam == seam && (name == "" || r.Name == name) {
			n++
		}
	}
	return n
}

// adminByRecordedLink makes an administrator; mails go to the recorder here, not to the inbox.
func (in *instance) adminByRecordedLink(string) signedIn {
	in.t.Helper()
	return in.admin("root@example.com")
}

// setPassword follows the one-time link in a command's output.
func (in *instance) setPassword(t *testing.T, out string) {
	t.Helper()
	i := strings.Index(out, in.url+"/set-password?token=")
	if i < 0 {
		t.Fatalf("no link in %q", out)
	}
	u, err := url.Parse(strings.Fields(out[i:])[0])
	if err != nil {
		t.Fatal(err)
	}
	in.must(http.StatusOK, "POST", "/v1/password/set", "", map[string]any{"token": u.Query().Get("token"), "password": testPassword})
}

// recordDirectly writes an audit row from this process, as another node would: for actions whose flow does not exist yet.
func recordDirectly(t *testing.T, in *instance, database, action string) {
	t.Helper()
	if database == "" {
		database = "sqlite://" + in.data + "/sigra.db"
	}
	db := storetest.Dial(t, database)
	log, err := audit.New(audit.Config{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	user := audit.Ref{Type: "user", ID: uuid.Must(uuid.NewV7()).String()}
	if err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := log.Record(ctx, tx, audit.Entry{Action: action, Actor: user, Targets: []audit.Ref{user}})
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
