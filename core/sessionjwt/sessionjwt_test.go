package sessionjwt_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/sessionjwt"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

var sources = []store.Source{audit.Migrations, keyring.Migrations, sessionjwt.Migrations}

type fleet struct {
	t    *testing.T
	db   *store.DB
	keys *keyring.Ring
	log  *audit.Log
	skew atomic.Int64
}

func (f *fleet) now() time.Time { return time.Now().Add(time.Duration(f.skew.Load())) }

func (f *fleet) node() *sessionjwt.Issuer {
	f.t.Helper()
	i, err := sessionjwt.New(f.t.Context(), sessionjwt.Config{DB: f.db, Keys: f.keys, Audit: f.log, Issuer: "https://id.example.com", Audience: []string{"app"}, Now: f.now})
	if err != nil {
		f.t.Fatal(err)
	}
	return i
}

func newFleet(t *testing.T, db *store.DB) *fleet {
	t.Helper()
	f := &fleet{t: t, db: db}
	var err error
	if f.keys, err = keyring.Open(t.Context(), keyring.Config{DB: db, DataDir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	if f.log, err = audit.New(audit.Config{DB: db}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fleet) ada() principal.Principal {
	return principal.Principal{
		Kind: principal.User, UserID: uuid.New(), SessionID: uuid.New(), Email: "ada@example.com", Display: "Ada", AAL: principal.AAL2, AMR: []string{"pwd", "otp", "mfa"},
		AuthTime: f.now().Add(-time.Minute), ExpiresAt: f.now().Add(time.Hour),
	}
}

// verify reads a token as an application would that holds this set of keys.
func verify(set []byte, token string, now time.Time) (map[string]any, error) {
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(set, &keys); err != nil {
		return nil, err
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, err
	}
	var own jwt.Claims
	all := map[string]any{}
	if err := parsed.Claims(keys, &own, &all); err != nil {
		return nil, err
	}
	return all, own.ValidateWithLeeway(jwt.Expected{Issuer: "https://id.example.com", AnyAudience: jwt.Audience{"app"}, Time: now}, 0)
}

func TestIssue(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		i, ada := f.node(), f.ada()
		ada.OrganizationID, ada.Role = uuid.New(), "admin"
		got, err := i.Issue(ada, map[string]map[string]any{"accrue": {"plan": "pro"}, "iss": {"evil": true}, "huge": {"x": strings.Repeat("x", 5000)}, "none": nil}, []string{"rulestead"})
		if err != nil {
			t.Fatal(err)
		}
		c, err := verify(i.Set(), got.Token, f.now())
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]any{
			"iss": "https://id.example.com", "sub": ada.UserID.String(), "sid": ada.SessionID.String(), "aal": "aal2", "auth_time": float64(ada.AuthTime.Unix()), "email": "ada@example.com", "name": "Ada",
			"organization_id": ada.OrganizationID.String(), "organization_role": "admin", "impersonator_id": nil, "none": nil, "huge": nil,
		} {
			if c[name] != want {
				t.Errorf("%s is %v, want %v", name, c[name], want)
			}
		}
		if plan := c["accrue"].(map[string]any)["plan"]; plan != "pro" {
			t.Errorf("a plugin's claim is %v", plan)
		}
		if b, _ := json.Marshal(c["stale"]); string(b) != `["rulestead","huge","iss"]` {
			t.Errorf("missing are %s", b)
		}
		if strings.Contains(string(i.Set()), `"d":`) {
			t.Error("a private key is published")
		}
		if life := time.Unix(int64(c["exp"].(float64)), 0).Sub(time.Unix(int64(c["iat"].(float64)), 0)); life != sessionjwt.Life {
			t.Errorf("it lives for %s", life)
		}
		if _, err := verify(i.Set(), got.Token, f.now().Add(sessionjwt.Life+time.Second)); err == nil {
			t.Error("it is good for ever")
		}
		ada.ExpiresAt = f.now().Add(30 * time.Second)
		if got, err = i.Issue(ada, nil, nil); err != nil || got.ExpiresAt.After(ada.ExpiresAt) {
			t.Errorf("it outlives its session: %s, %v", got.ExpiresAt, err)
		}
		for _, p := range []principal.Principal{{}, {Kind: principal.Application}, {Kind: principal.User, UserID: uuid.New()}, {Kind: principal.ServiceAccount, UserID: uuid.New(), SessionID: uuid.New()}} {
			if _, err := i.Issue(p, nil, nil); fault.From(err).Code != "session_required" {
				t.Errorf("%s: %v", p.Kind, err)
			}
		}
	})
}

// Whoever holds a set that is no older than it may be knows every key that signs, on every node, through all rotations; and a token stays good to its end.
func TestRotation(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		f := newFleet(t, db)
		var wg sync.WaitGroup
		nodes := make([]*sessionjwt.Issuer, 4)
		for n := range nodes { // all at once, on an empty table
			wg.Go(func() { nodes[n] = f.node() })
		}
		wg.Wait()
		if string(nodes[0].Set()) != string(nodes[3].Set()) || len(nodes[0].List()) != 2 {
			t.Fatalf("%s and %s", nodes[0].Set(), nodes[3].Set())
		}
		by := audit.Ref{Type: "operator", ID: "0/root"}
		if err := nodes[0].Rotate(t.Context(), by); fault.From(err).Code != "key_too_new" {
			t.Errorf("a key that nobody knows signs: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f.skew.Add(int64(21 * time.Minute))
		for range 3 {
			cached := nodes[0].Set()
			before, err := nodes[1].Issue(f.ada(), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			signs := current(nodes[0])
			if err := nodes[0].Rotate(ctx, by); err != nil {
				t.Fatal(err)
			}
			if current(nodes[0]) == signs {
				t.Error("the same key signs")
			}
			after, err := nodes[0].Issue(f.ada(), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := verify(cached, after.Token, f.now()); err != nil {
				t.Errorf("a set from just before does not know the key: %v", err)
			}
			if _, err := verify(nodes[0].Set(), before.Token, f.now()); err != nil {
				t.Errorf("a token from just before is not good any more: %v", err)
			}
			f.skew.Add(int64(21 * time.Minute))
		}
		if n := len(nodes[0].List()); n > 5 {
			t.Errorf("%d keys are kept", n)
		}
		f.skew.Add(int64(30 * 24 * time.Hour))
		signs := current(nodes[0])
		fresh := f.node() // a start looks after the keys, as Run does
		if current(fresh) == signs {
			t.Error("a key signs for more than thirty days")
		}
		var rows int
		if err := db.QueryRow(t.Context(), `SELECT count(*) FROM audit_log WHERE action = 'admin.signing_key.rotate'`).Scan(&rows); err != nil || rows != 4 {
			t.Errorf("%d rotations in the audit log, %v", rows, err)
		}
	})
}

func current(i *sessionjwt.Issuer) uuid.UUID {
	for _, k := range i.List() {
		if k.State == sessionjwt.Current {
			return k.ID
		}
	}
	return uuid.Nil
}
