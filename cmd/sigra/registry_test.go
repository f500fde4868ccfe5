package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/event"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/mint"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/secret"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// eachParts opens the listed parts on each database.
func eachParts(t *testing.T, list []registration, f func(t *testing.T, p *parts)) {
	for _, db := range storetest.Databases(t) {
		t.Run(db.Name, func(t *testing.T) {
			cfg := config.Default()
			cfg.DataDir, cfg.Database.URL, cfg.Database.Migrate = t.TempDir(), secret.New(db.URL), true
			cfg.Mail.Dev = true
			p, err := openParts(t.Context(), cfg, list, hclog.NewNullLogger(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := p.close(); err != nil {
					t.Error(err)
				}
			}()
			f(t, p)
		})
	}
}

// column is one column of the schema.
type column struct{ table, name string }

func columns(t *testing.T, db *store.DB) (out []column) {
	t.Helper()
	query := `SELECT m.name, c.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY 1, 2`
	if db.Dialect() == store.Postgres {
		query = `SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY 1, 2`
	}
	rows, err := db.Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var c column
		if err := rows.Scan(&c.table, &c.name); err != nil {
			t.Fatal(err)
		}
		if c.table != "sigra_migration" { // the ledger of core/store itself
			out = append(out, c)
		}
	}
	return out
}

// Every table of both databases is said by one part to be about people or not. A part that says the former can't be opened without
// Export and Erase, so no table can be forgotten.
func TestRegistry_everyTableBelongsToAPart(t *testing.T) {
	t.Parallel()
	declared := map[string]string{}
	for _, r := range registry() {
		for _, table := range slices.Concat(r.Schema.Personal, r.Schema.Impersonal) {
			declared[table] = r.Name
		}
	}
	eachParts(t, registry(), func(t *testing.T, p *parts) {
		there := map[string]bool{}
		for _, c := range columns(t, p.db) {
			there[c.table] = true
		}
		for table := range there {
			if declared[table] == "" {
				t.Errorf("no part says whether the table %s is about people: add it to a Schema", table)
			}
		}
		for table, name := range declared {
			if !there[table] {
				t.Errorf("part %q declares the table %s, which is not there", name, table)
			}
		}
	})
}

// One entry is all it takes for a part to be migrated, sealed anew, run, cleaned, reloaded, exported, erased and closed.
func TestRegistry_oneEntryAddsAPart(t *testing.T) {
	t.Parallel()
	var happened []string
	note := func(what string) { happened = append(happened, what) }
	ran := make(chan struct{})
	tiny := registration{
		Name: "tiny",
		Schema: part.Schema{
			Migrations: fstest.MapFS{"migrations/2099010101_tiny.sql": {Data: []byte("-- +goose Up\nCREATE TABLE tiny (id UUID NOT NULL PRIMARY KEY, note BYTEA NOT NULL);\n")}},
			Personal:   []string{"tiny"},
			Sealed: []part.SealedColumn{{
				Name: "tiny.note", Select: `SELECT id, note FROM tiny WHERE id > $1 ORDER BY id LIMIT $2`,
				Update: `UPDATE tiny SET note = $3 WHERE id = $1 AND note = $2`,
			}},
		},
		Open: func(_ context.Context, p *parts) (hooks, error) {
			if p.auth == nil {
				return hooks{}, fmt.Errorf("the parts before it are not open")
			}
			return hooks{
				Run:    func(ctx context.Context) error { close(ran); <-ctx.Done(); return nil },
				Clean:  func(context.Context) (int64, error) { note("clean"); return 0, nil },
				Reload: func(next *config.Config) error { note("reload"); return nil },
				Export: func(ctx context.Context, q store.Querier, who part.Subject) (any, error) {
					var sealed []byte
					if err := q.QueryRow(ctx, `SELECT note FROM tiny WHERE id = $1`, who.UserID).Scan(&sealed); err != nil {
						return nil, err
					}
					plain, _, err := p.keys.Open(sealed, "tiny.note/"+who.UserID.String())
					return string(plain), err
				},
				Erase: func(ctx context.Context, tx *store.Tx, who part.Subject) error {
					_, err := tx.Exec(ctx, `DELETE FROM tiny WHERE id = $1`, who.UserID)
					return err
				},
				Close: func() error { note("close"); return nil },
			}, nil
		},
	}
	eachParts(t, append(registry(), tiny), func(t *testing.T, p *parts) {
		happened, ran = nil, make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.set.Run(ctx) }()
		<-ran
		stop()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		who := newPerson(t, p, "tiny@example.com")
		write(t, p.db, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO tiny (id, note) VALUES ($1, $2)`, who.UserID, p.keys.Seal([]byte("a note"), "tiny.note/"+who.UserID.String()))
			return err
		})
		if _, err := p.keys.Rotate(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if res, err := p.keys.Reseal(t.Context(), p.set.Sealed()); err != nil || res.Changed != 1+len(p.tokens.List()) { // the signing keys are sealed, too
			t.Errorf("reseal: %+v, %v", res, err)
		}
		if all, err := p.set.Export(t.Context(), p.db, who); err != nil || all["tiny"] != "a note" {
			t.Errorf("export: %v, %v", all["tiny"], err)
		}
		erase(t, p, who)
		var left int
		if err := p.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM tiny`).Scan(&left); err != nil || left != 0 {
			t.Errorf("%d rows left, %v", left, err)
		}
		p.set.Clean(t.Context())
		if failed := p.set.Reload(p.cfg); len(failed) > 0 {
			t.Errorf("reload: %v", failed)
		}
		if err := p.set.Close(); err != nil {
			t.Error(err)
		}
		if want := []string{"clean", "reload", "close"}; !slices.Equal(happened, want) {
			t.Errorf("%v, want %v", happened, want)
		}
	})
}

func write(t *testing.T, db *store.DB, f func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	if err := db.Tx(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func newPerson(t *testing.T, p *parts, email string) (who part.Subject) {
	t.Helper()
	write(t, p.db, func(ctx context.Context, tx *store.Tx) error {
		a, _, err := p.accounts.Create(ctx, tx, account.NewAccount{Email: email, Status: account.Active})
		if err != nil {
			return err
		}
		u, err := account.ParseUsername("Quintessa.Marsh")
		if err != nil {
			return err
		}
		if err := p.accounts.SetUsername(ctx, tx, a.ID, u); err != nil {
			return err
		}
		a, err = p.accounts.GetIn(ctx, tx, a.ID)
		who = a.Subject()
		return err
	})
	return who
}

func erase(t *testing.T, p *parts, who part.Subject) {
	t.Helper()
	write(t, p.db, func(ctx context.Context, tx *store.Tx) error {
		_, err := p.set.Erase(ctx, tx, who)
		return err
	})
}

// Somebody with something in every personal table: the export has it, and after the erasure no column of any table says anything of
// them but, in the log and in the account's empty row, their id.
func TestRegistry_exportAndErase(t *testing.T) {
	t.Parallel()
	const email, agent, subject, link = "quintessa@example.com", "QuintessaBrowser/7", "quintessa-at-the-provider", "quintessa-private-thing"
	ip := netip.MustParseAddr("203.0.113.77")
	eachParts(t, registry(), func(t *testing.T, p *parts) {
		who := newPerson(t, p, email)
		other := newOther(t, p)
		ctx := request.With(t.Context(), request.Info{ID: "r1", IP: ip, UserAgent: agent})
		user := audit.Ref{Type: "user", ID: who.UserID.String(), Display: "Quintessa Marsh"}
		hash, err := p.passwords.Hash(ctx, "quintessa has a long password")
		if err != nil {
			t.Fatal(err)
		}
		err = p.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			a, err := p.accounts.GetIn(ctx, tx, who.UserID)
			if err != nil {
				return err
			}
			steps := []func() error{
				func() error {
					return p.passwords.Set(ctx, tx, a.ID, hash)
				},
				func() error {
					_, err := p.sessions.Issue(ctx, tx, session.Grant{Account: a, AAL: "aal1", AMR: []string{"pwd"}})
					return err
				},
				func() error { _, err := p.devices.Note(ctx, tx, a.ID, ""); return err },
				func() error {
					_, err := p.onetime.Issue(ctx, tx, onetime.Request{Purpose: "confirm_email", AccountID: a.ID, TTL: time.Hour, Payload: []byte(link)})
					return err
				},
				func() error { _, err := p.totp.Enroll(ctx, tx, a.ID, email, "Sigra"); return err },
				func() error { _, err := p.codes.Generate(ctx, tx, a.ID); return err },
				func() error {
					_, err := p.passkeys.BeginRegistration(ctx, tx, passkey.User{ID: a.ID, Name: email}, passkey.RegistrationOptions{})
					return err
				},
				func() error {
					_, err := tx.Exec(ctx, `INSERT INTO credential_passkey (id, account_id, credential_id, public_key, name, aaguid, attestation, transports, attachment,
							discoverable, uv_initialized, backup_eligible, backed_up, sign_count, created_at) VALUES ($1, $2, $3, $3, 'Quintessa''s phone', $4, 'none', '', '', TRUE, TRUE, TRUE, TRUE, 0, $5)`,
						uuid.New(), a.ID, []byte("quintessa-credential"), uuid.Nil, time.Now().UTC())
					return err
				},
				func() error {
					_, _, err := p.federation.Link(ctx, tx, a.ID, federation.Claims{Provider: "example", Issuer: "https://idp.example", Subject: subject, Email: email})
					return err
				},
				func() error {
					_, err := tx.Exec(ctx, `INSERT INTO federation_state (id, state_hash, browser_hash, account_id, created_at, expires_at) VALUES ($1, $2, $2, $3, $4, $4)`,
						uuid.New(), []byte("s"), a.ID, time.Now().UTC())
					return err
				},
				func() error {
					_, _, err := p.metadata.Apply(ctx, tx, a.ID, metadata.Change{Scope: metadata.Private, Replace: []byte(`{"note":"` + link + `"}`)})
					return err
				},
				func() error {
					_, err := p.mail.Enqueue(ctx, tx, mail.Message{Purpose: "confirm", To: mail.Address{Address: email}, Subject: "S", Text: "T"})
					return err
				},
				func() error {
					o, err := p.orgs.Create(ctx, tx, audit.Entry{Actor: user}, org.NewOrganization{Name: "Acme"})
					if err == nil {
						_, err = p.orgs.Add(ctx, tx, audit.Entry{Actor: user}, org.NewMember{OrganizationID: o.ID, AccountID: a.ID, Owner: true, Via: org.Direct})
					}
					return err
				},
				func() error {
					o, err := p.orgs.Create(ctx, tx, audit.Entry{Actor: user}, org.NewOrganization{Name: "Globex"})
					if err == nil {
						_, _, err = p.orgs.Invite(ctx, tx, audit.Entry{Actor: user}, org.NewInvitation{OrganizationID: o.ID, Email: email, InvitedBy: a.ID})
					}
					return err
				},
				func() error {
					_, err := tx.Exec(ctx, `INSERT INTO directory_user (plugin, organization_id, external_id, account_id, username, active, made, created_at, updated_at)
							VALUES ('saml', $1, $2, $3, 'quintessa.marsh', TRUE, TRUE, $4, $4)`, uuid.New(), subject, a.ID, time.Now().UTC())
					return err
				},
				func() error {
					id, err := p.mints.Begin(ctx, tx, "relyra", time.Minute)
					if err == nil {
						err = p.mints.Settle(ctx, tx, id, mint.Outcome{Status: mint.SignedIn, UserID: a.ID})
					}
					return err
				},
				func() error { return p.mails.Fail(ctx, tx, email) },
				func() error { return p.factors.Fail(ctx, tx, a.ID.String()) },
				func() error {
					pass, err := p.failures.Check(ctx, tx, email, ratelimit.Proof{})
					if err == nil {
						_, err = p.failures.Fail(ctx, tx, pass)
					}
					return err
				},
				func() error {
					_, err := p.audit.Record(ctx, tx, audit.Entry{Action: "auth.login.success", Actor: user, Targets: []audit.Ref{user}, Metadata: map[string]any{"method": "password"}})
					return err
				},
				func() error {
					_, err := p.audit.Record(ctx, tx, audit.Entry{Action: "auth.login.failure", Actor: audit.Ref{Type: "anonymous"}, Targets: []audit.Ref{user}})
					return err
				},
			}
			for i, step := range steps {
				if err := step(); err != nil {
					return fmt.Errorf("step %d: %w", i, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.inbox.Send(ctx, mail.Message{ID: uuid.New(), Purpose: "confirm", To: mail.Address{Address: email}}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.events.Publish(ctx, []event.Event{{
			ID: "e1", Type: "billing.subscription.upgraded", OccurredAt: time.Now().UTC(), Subject: who.Ref(), Data: []byte(`{"card":"` + link + `"}`),
		}}); err != nil {
			t.Fatal(err)
		}
		about := rows(t, p)
		for _, r := range registry() {
			for _, table := range r.Schema.Personal {
				if about[table] == 0 {
					t.Errorf("the test puts nothing into %s", table)
				}
			}
		}

		export, err := p.set.Export(t.Context(), p.db, who)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(export)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{email, "Quintessa.Marsh", subject, link, agent, ip.String(), "203.0.113.0/24", "Quintessa's phone", `"remaining":10`, "auth.login.failure", "billing.subscription.upgraded", `"organization":"acme"`, `"organization":"globex"`} {
			if !strings.Contains(string(text), want) {
				t.Errorf("the export lacks %q: %s", want, text)
			}
		}
		if strings.Contains(string(text), "argon2id") {
			t.Error("the export has the hash of a password")
		}

		erase(t, p, who)
		for _, c := range columns(t, p.db) {
			for _, trace := range []string{email, "uintessa", subject, link, agent, "203.0.113."} {
				if n := holding(t, p, c, trace); n > 0 {
					t.Errorf("%d rows of %s.%s still have %q", n, c.table, c.name, trace)
				}
			}
			if n := holding(t, p, c, who.UserID.String()); n > 0 && !slices.Contains([]string{"account.id", "audit_log.actor_id", "audit_log.targets", "audit_target.target_id"}, c.table+"."+c.name) {
				t.Errorf("%d rows of %s.%s still have the id", n, c.table, c.name)
			}
		}
		for table, n := range rows(t, p) {
			if strings.HasPrefix(table, "ratelimit_") && n > 0 {
				t.Errorf("%d rows left in %s", n, table)
			}
		}
		if again, err := p.accounts.Get(t.Context(), other.UserID); err != nil || again.Email != other.Email {
			t.Errorf("somebody else: %+v, %v", again, err)
		}
		if page, err := p.audit.Query(t.Context(), audit.Filter{ActorID: who.UserID.String()}); err != nil || !slices.ContainsFunc(page.Rows, func(r audit.Row) bool { return r.Action == "auth.login.success" }) {
			t.Errorf("the log no longer tells what happened: %+v, %v", page.Rows, err)
		}
		erase(t, p, who) // a second time changes nothing
	})
}

// newOther makes somebody whom the erasure is not about.
func newOther(t *testing.T, p *parts) (who part.Subject) {
	t.Helper()
	write(t, p.db, func(ctx context.Context, tx *store.Tx) error {
		a, _, err := p.accounts.Create(ctx, tx, account.NewAccount{Email: "other@example.com", Status: account.Active})
		who = a.Subject()
		return err
	})
	return who
}

// rows counts what is in each table.
func rows(t *testing.T, p *parts) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, c := range columns(t, p.db) {
		if _, done := out[c.table]; done {
			continue
		}
		var n int
		if err := p.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM `+c.table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		out[c.table] = n
	}
	return out
}

// holding counts the rows of a column in which a text stands, whatever the column's type.
func holding(t *testing.T, p *parts, c column, text string) (n int) {
	t.Helper()
	as := `CAST("` + c.name + `" AS TEXT)`
	if p.db.Dialect() == store.Postgres {
		as = `encode(convert_to("` + c.name + `"::text, 'UTF8'), 'escape')`
	}
	if err := p.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM `+c.table+` WHERE `+as+` LIKE $1`, "%"+text+"%").Scan(&n); err != nil {
		t.Fatalf("%s.%s: %v", c.table, c.name, err)
	}
	return n
}
