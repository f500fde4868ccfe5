package relyra_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

// What the identity provider says it checked, when, and how long its session lasts goes to Sigra in Sigra's words.
func TestSignIn_proof(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		w, provider := newWorld(t, at), newIdP(t, "https://idp.example/acme")
		id := w.connect("acme", provider)
		w.act(id, "enable")
		ends := now.Add(8 * time.Hour)
		for context, want := range map[string][]string{
			"https://refeds.org/profile/mfa": {"mfa"}, "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport": {"pwd"},
			"urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified": nil, "": nil,
		} {
			b := w.begin(id)
			s := answering(t, b.location, "ada@acme.example")
			s.context, s.ends = context, ends.Format(time.RFC3339)
			if a := w.post(id, provider.respond(t, s), b.cookie); a.status != http.StatusSeeOther {
				t.Fatalf("%s: %d %s", context, a.status, a.body)
			}
			m := w.host.Minted()[len(w.host.Minted())-1]
			if !slices.Equal(m.AMR, want) || m.ACR != context || !m.AuthTime.Equal(now) || !m.SessionNotOnOrAfter.Equal(ends) || m.Purpose != pluginsdk.MintSignIn {
				t.Errorf("%s: %+v", context, m)
			}
		}
	})
}

// The trace tells what became of a sign-in at Sigra; a test is one that changes nothing.
func TestTrace_outcome(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		w, provider := newWorld(t, at), newIdP(t, "https://idp.example/acme")
		id := w.connect("acme", provider)
		page := func() string { return w.do(plugintest.Root, http.MethodGet, "/relyra/admin/"+id, "").body }
		if a := w.do(plugintest.Root, http.MethodGet, "/relyra/admin/"+id+"/test", ""); a.status != http.StatusConflict {
			t.Errorf("a draft is tried: %d", a.status)
		}
		w.act(id, "enable")
		b := w.begin(id)
		w.post(id, provider.respond(t, answering(t, b.location, "ada@acme.example")), b.cookie)
		if p := page(); !strings.Contains(p, "Accepted") || strings.Contains(p, "signed in") {
			t.Errorf("while it is open: %s", p)
		}
		w.host.SetOutcome("mint-1", pluginsdk.Outcome{Status: "refused", Reason: "administrator_elsewhere"})
		if p := page(); !strings.Contains(p, "refused by Sigra") || !strings.Contains(p, "administrator_elsewhere") {
			t.Errorf("%s", p)
		}
		w.host.SetOutcome("mint-1", pluginsdk.Outcome{Status: "signed_in"}) // it stays what it was
		if p := page(); !strings.Contains(p, "refused by Sigra") {
			t.Errorf("%s", p)
		}

		b = w.beginFrom("/relyra/admin/" + id + "/test")
		a := w.post(id, provider.respond(t, answering(t, b.location, "ada@acme.example")), b.cookie)
		m := w.host.Minted()[len(w.host.Minted())-1]
		if a.status != http.StatusSeeOther || m.Purpose != pluginsdk.MintTest || m.ReturnTo != "/relyra/admin/"+id {
			t.Errorf("%d, minted %+v", a.status, m)
		}
		w.host.SetOutcome("mint-2", pluginsdk.Outcome{Status: "tested", Reason: "create"})
		if p := page(); !strings.Contains(p, "a test; it would do") || !strings.Contains(p, "<code>create</code>") {
			t.Errorf("%s", p)
		}
	})
}
