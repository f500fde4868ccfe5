package lockspire_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// TestFlow walks the whole way: discovery, consent, code, tokens, userinfo, refresh, and what must end it.
func TestFlow(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, secret := w.client("--redirect-uri", callback)
		d := w.get(nil, "/lockspire/.well-known/openid-configuration")
		if m := d.json(t); d.status != http.StatusOK || m["issuer"] != issuer || m["token_endpoint"] != issuer+"/token" || d.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Fatalf("discovery: %d %s", d.status, d.body)
		}
		if again := w.get(nil, "/.well-known/oauth-authorization-server/lockspire"); again.body != d.body {
			t.Errorf("RFC 8414: %d %s", again.status, again.body)
		}
		got := w.tokens(id, secret, request(id))
		if got["token_type"] != "Bearer" || got["expires_in"] != 600.0 || got["scope"] != "openid email offline_access" {
			t.Errorf("token response: %v", got)
		}
		w.checkIDToken(got, id)
		ac := claims(t, got["access_token"])
		if ac["sub"] != w.ada.UserID || ac["client_id"] != id || ac["aud"] == nil || ac["jti"] == nil || ac["scope"] != "openid email offline_access" {
			t.Errorf("access token: %v", ac)
		}
		bearer := "Bearer " + text(got["access_token"])
		for name, a := range map[string]answer{
			"get":  w.do(nil, http.MethodGet, "/lockspire/userinfo", "", "Authorization", bearer),
			"post": w.do(nil, http.MethodPost, "/lockspire/userinfo", "", "Authorization", bearer),
			"body": w.post(nil, "/lockspire/userinfo", url.Values{"access_token": {text(got["access_token"])}}),
		} {
			if m := a.json(t); a.status != http.StatusOK || m["sub"] != w.ada.UserID || m["email"] != w.ada.Email || m["email_verified"] != true || m["name"] != nil {
				t.Errorf("userinfo by %s: %d %s", name, a.status, a.body)
			}
		}
		first := text(got["refresh_token"])
		a := w.refresh(id, secret, first)
		next := a.json(t)
		if a.status != http.StatusOK || next["refresh_token"] == first || next["id_token"] == nil || next["access_token"] == got["access_token"] {
			t.Fatalf("refresh: %d %s", a.status, a.body)
		}
		// The answer was lost: the same comes again, for a while.
		w.clock.move(20 * time.Second)
		if lost := w.refresh(id, secret, first); lost.json(t)["refresh_token"] != next["refresh_token"] || lost.json(t)["access_token"] != next["access_token"] {
			t.Errorf("a lost answer: %d %s", lost.status, lost.body)
		}
		// It has arrived: the old token now comes from somebody else, and nothing of the grant works any more.
		a = w.refresh(id, secret, text(next["refresh_token"]))
		last := a.json(t)
		if a.status != http.StatusOK {
			t.Fatalf("second refresh: %d %s", a.status, a.body)
		}
		w.refused(w.refresh(id, secret, first), http.StatusBadRequest, "invalid_grant")
		w.refused(w.refresh(id, secret, text(last["refresh_token"])), http.StatusBadRequest, "invalid_grant")
		if a := w.do(nil, http.MethodGet, "/lockspire/userinfo", "", "Authorization", "Bearer "+text(last["access_token"])); a.status != http.StatusUnauthorized {
			t.Errorf("an access token of an ended grant: %d %s", a.status, a.body)
		}
		w.recorded("lockspire.token.reuse", "lockspire.token.issue", "lockspire.consent.grant", "lockspire.client.create")
		w.noSecretIn(first, secret, text(got["access_token"]))
	})
}

// checkIDToken verifies an ID token by the published keys.
func (w *world) checkIDToken(got map[string]any, client string) {
	w.t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(w.get(nil, "/lockspire/jwks").body), &set); err != nil || len(set.Keys) != 2 {
		w.t.Fatalf("key set: %v %v", err, set)
	}
	for _, k := range set.Keys {
		if !k.IsPublic() || k.KeyID == "" || k.Use != "sig" {
			w.t.Errorf("key: %+v", k)
		}
	}
	parsed, err := jwt.ParseSigned(text(got["id_token"]), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		w.t.Fatal(err)
	}
	var c map[string]any
	if err := parsed.Claims(&set, &c); err != nil {
		w.t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(text(got["access_token"])))
	want := map[string]any{
		"iss": issuer, "sub": w.ada.UserID, "aud": client, "nonce": "no-1", "acr": "aal1", "auth_time": float64(w.ada.AuthTime.Unix()),
		"at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]),
	}
	for k, v := range want {
		if c[k] != v {
			w.t.Errorf("ID token: %s is %v, want %v", k, c[k], v)
		}
	}
	if c["sid"] == nil || c["sid"] == w.ada.SessionID || c["email"] != nil {
		w.t.Errorf("ID token: %v", c)
	}
}

// recorded sees that audit rows were written, and that none has a token in it.
func (w *world) recorded(actions ...string) {
	w.t.Helper()
	have := map[string]int{}
	for _, e := range w.host.Recorded() {
		have[e.Action]++
	}
	for _, a := range actions {
		if have[a] == 0 {
			w.t.Errorf("no row %s: %v", a, have)
		}
	}
}

// noSecretIn looks for secrets in every table.
func (w *world) noSecretIn(secrets ...string) {
	w.t.Helper()
	db := w.SDK().Database()
	for table, columns := range map[string]string{
		"lockspire_client": "id, name, config", "lockspire_secret": "id, hash", "lockspire_interaction": "hash, request, ticket", "lockspire_grant": "id, detail",
		"lockspire_code": "hash, redirect_uri", "lockspire_refresh": "hash, successor, answer", "lockspire_key": "kid, public, sealed",
	} {
		rows, err := db.QueryContext(w.t.Context(), "SELECT "+columns+" FROM "+table)
		if err != nil {
			w.t.Fatal(err)
		}
		n := len(strings.Split(columns, ","))
		for rows.Next() {
			values, dest := make([][]byte, n), make([]any, n)
			for i := range values {
				dest[i] = &values[i]
			}
			if err := rows.Scan(dest...); err != nil {
				w.t.Fatal(err)
			}
			for _, s := range secrets {
				if bytes.Contains(bytes.Join(values, []byte(" ")), []byte(s)) {
					w.t.Errorf("%s holds a secret in clear", table)
				}
			}
		}
		if err := rows.Close(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestCode_concurrent: of many redemptions of one code one succeeds, and what it gave has ended since others tried.
func TestCode_concurrent(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, secret := w.client("--redirect-uri", callback)
		code := w.authorized(request(id))
		won, lost := w.race(50, func() answer { return w.redeem(id, secret, code) })
		if len(won) != 1 || len(lost) != 49 {
			t.Fatalf("%d succeeded, %d were refused", len(won), len(lost))
		}
		for _, a := range lost {
			w.refused(a, http.StatusBadRequest, "invalid_grant")
		}
		w.refused(w.refresh(id, secret, text(won[0].json(t)["refresh_token"])), http.StatusBadRequest, "invalid_grant")
		if a := w.do(nil, http.MethodGet, "/lockspire/userinfo", "", "Authorization", "Bearer "+text(won[0].json(t)["access_token"])); a.status != http.StatusUnauthorized {
			t.Errorf("userinfo: %d %s", a.status, a.body)
		}
		issued := 0
		for _, e := range w.host.Recorded() {
			if e.Action == "lockspire.token.issue" {
				issued++
			}
		}
		if issued != 1 {
			t.Errorf("%d rows of one issue", issued)
		}
	})
}

// TestRefresh_concurrent: many refreshes by one token make one successor, which all of them get.
func TestRefresh_concurrent(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, secret := w.client("--redirect-uri", callback)
		token := text(w.tokens(id, secret, request(id))["refresh_token"])
		won, lost := w.race(50, func() answer { return w.refresh(id, secret, token) })
		if len(lost) > 0 {
			t.Fatalf("%d refused: %d %s", len(lost), lost[0].status, lost[0].body)
		}
		for _, a := range won {
			if a.body != won[0].body {
				t.Fatalf("two answers:\n%s\n%s", a.body, won[0].body)
			}
		}
		var n int
		if err := w.SDK().Database().QueryRowContext(t.Context(), `SELECT count(*) FROM lockspire_refresh`).Scan(&n); err != nil || n != 2 {
			t.Errorf("%d refresh tokens, %v", n, err)
		}
	})
}

// race runs f n times at once.
func (w *world) race(n int, f func() answer) (won, lost []answer) {
	w.t.Helper()
	var mu sync.Mutex
	var group sync.WaitGroup
	start := make(chan struct{})
	for range n {
		group.Go(func() {
			<-start
			a := f()
			mu.Lock()
			defer mu.Unlock()
			if a.status == http.StatusOK {
				won = append(won, a)
			} else {
				lost = append(lost, a)
			}
		})
	}
	close(start)
	group.Wait()
	return won, lost
}

// TestCode_wrong: what does not belong to a code gets nothing for it, and costs nothing.
func TestCode_wrong(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, secret := w.client("--redirect-uri", callback)
		other, otherSecret := w.client("--redirect-uri", callback)
		code := w.authorized(request(id))
		w.refused(w.redeem(other, otherSecret, code), http.StatusBadRequest, "invalid_grant")
		w.refused(w.redeem(id, secret, code, "code_verifier", strings.Repeat("x", 43)), http.StatusBadRequest, "invalid_grant")
		w.refused(w.redeem(id, secret, code, "redirect_uri", callback+"/"), http.StatusBadRequest, "invalid_grant")
		w.refused(w.redeem(id, secret+"x", code), http.StatusUnauthorized, "invalid_client")
		w.refused(w.redeem("ls_nobody", secret, code), http.StatusUnauthorized, "invalid_client")
		w.refused(w.redeem(id, "", code), http.StatusUnauthorized, "invalid_client") // the secret left out
		w.refused(w.token(id, secret, url.Values{"grant_type": {"password"}}), http.StatusBadRequest, "unsupported_grant_type")
		if a := w.redeem(id, secret, code); a.status != http.StatusOK {
			t.Fatalf("the right request after wrong ones: %d %s", a.status, a.body)
		}
		late := w.authorized(request(id, "prompt", "consent"))
		w.clock.move(time.Minute)
		w.refused(w.redeem(id, secret, late), http.StatusBadRequest, "invalid_grant")
	})
}

// TestStands: what ends an authorization ends its refresh token and its access token.
func TestStands(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, secret := w.client("--redirect-uri", callback)
		user := pluginsdk.User{ID: w.ada.UserID, Email: w.ada.Email, Status: "active"}
		for name, c := range map[string]struct {
			scope     string
			end, mend func(w *world)
		}{
			"account disabled": {"openid offline_access", func(w *world) { u := user; u.Status = "disabled"; w.host.AddUser(u) }, func(w *world) { w.host.AddUser(user) }},
			"consent withdrawn": {"openid offline_access", func(w *world) {
				if a := w.post(w.ada, "/lockspire/applications", url.Values{"client": {id}}); a.status != http.StatusSeeOther {
					w.t.Fatalf("withdraw: %d %s", a.status, a.body)
				}
			}, func(*world) {}},
			"client disabled": {"openid offline_access", func(w *world) { w.command("client disable", id) }, func(w *world) { w.command("client enable", id) }},
		} {
			got := w.tokens(id, secret, request(id, "scope", c.scope, "prompt", "consent"))
			c.end(w)
			if a := w.refresh(id, secret, text(got["refresh_token"])); a.status == http.StatusOK {
				t.Errorf("%s: refreshed", name)
			}
			if a := w.do(nil, http.MethodGet, "/lockspire/userinfo", "", "Authorization", "Bearer "+text(got["access_token"])); a.status != http.StatusUnauthorized {
				t.Errorf("%s: userinfo %d %s", name, a.status, a.body)
			}
			c.mend(w)
			w.refused(w.refresh(id, secret, text(got["refresh_token"])), http.StatusBadRequest, "invalid_grant")
		}
	})
}

// TestSession_ended: without offline_access an authorization ends with the session, with it it goes on.
func TestSession_ended(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, secret := w.client("--redirect-uri", callback)
		bound := w.tokens(id, secret, request(id, "scope", "openid"))
		used := w.tokens(id, secret, request(id, "scope", "openid", "prompt", "consent"))
		offline := w.tokens(id, secret, request(id, "scope", "openid offline_access"))
		w.endSession()
		if a := w.do(nil, http.MethodGet, "/lockspire/userinfo", "", "Authorization", "Bearer "+text(used["access_token"])); a.status != http.StatusUnauthorized {
			t.Errorf("userinfo after the session: %d %s", a.status, a.body)
		}
		w.refused(w.refresh(id, secret, text(bound["refresh_token"])), http.StatusBadRequest, "invalid_grant")
		if a := w.refresh(id, secret, text(offline["refresh_token"])); a.status != http.StatusOK {
			t.Errorf("offline: %d %s", a.status, a.body)
		}
	})
}

// endSession makes Ada's session one that does not stand.
func (w *world) endSession() {
	ended := *w.ada
	ended.UserID = "nobody"
	w.host.AddUser(pluginsdk.User{ID: "nobody", Status: "disabled"})
	w.host.AddSession(&ended)
}

func (w *world) command(name string, arguments ...string) string {
	w.t.Helper()
	var out bytes.Buffer
	if err := w.Command(context.WithoutCancel(w.t.Context()), pluginsdk.CommandCall{Name: name, Arguments: arguments, Stdout: &out}); err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	return out.String()
}
