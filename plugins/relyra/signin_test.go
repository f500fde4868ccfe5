package relyra_test

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/plugins/relyra"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

const (
	acme   = "0195a4c5-0000-7000-8000-0000000ac3e0"
	globex = "0195a4c5-0000-7000-8000-0000000910be"
)

// A world is Relyra beside two organizations, of which each has proven one domain.
type world struct {
	*plugintest.Running
	t    *testing.T
	host *plugintest.Fake
}

func newWorld(t *testing.T, at pluginsdk.Location) *world {
	t.Helper()
	host := &plugintest.Fake{}
	host.AddOrganization(pluginsdk.Organization{ID: acme, Slug: "acme", Name: "Acme"})
	host.AddOrganization(pluginsdk.Organization{ID: globex, Slug: "globex", Name: "Globex"})
	host.AddDomain(pluginsdk.Domain{Name: "acme.example", OrganizationID: acme, Verified: true, VerifiedAt: now})
	host.AddDomain(pluginsdk.Domain{Name: "globex.example", OrganizationID: globex, Verified: true, VerifiedAt: now})
	host.AddDomain(pluginsdk.Domain{Name: "claimed.example", OrganizationID: acme})
	return &world{plugintest.Start(t, relyra.At(func() time.Time { return now }), plugintest.Config{Storage: &at, Host: host}), t, host}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (w *world) do(who *pluginsdk.Principal, method, target, body string, header ...string) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://sigra"+target, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := w.Client(who)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(raw)}
}

func (w *world) form(who *pluginsdk.Principal, target string, values url.Values, header ...string) answer {
	w.t.Helper()
	return w.do(who, http.MethodPost, target, values.Encode(), append(header, "Content-Type", "application/x-www-form-urlencoded")...)
}

// connect makes a connection on its page and returns its ID.
func (w *world) connect(slug string, i *idp) string {
	w.t.Helper()
	a := w.form(plugintest.Root, "/relyra/admin/new", url.Values{"organization": {slug}, "name": {slug + " SSO"}, "metadata": {i.metadata()}})
	id := strings.TrimPrefix(a.header.Get("Location"), "/relyra/admin/")
	if a.status != http.StatusSeeOther || len(id) != 36 {
		w.t.Fatalf("create: %d %s", a.status, a.body)
	}
	return id
}

func (w *world) act(id, action string) answer {
	w.t.Helper()
	return w.form(plugintest.Root, "/relyra/admin/"+id, url.Values{"action": {action}})
}

// begun is a sign-in under way in one browser.
type begun struct{ location, cookie string }

func (w *world) begin(id string) begun {
	w.t.Helper()
	b := w.beginAt(id)
	if !strings.HasPrefix(b.location, "https://idp.example/sso?SAMLRequest=") {
		w.t.Fatalf("login leads to %s", b.location)
	}
	return b
}

func (w *world) beginAt(id string) begun {
	w.t.Helper()
	return w.beginFrom("/relyra/saml/" + id + "/login?return_to=/welcome")
}

func (w *world) beginFrom(path string) begun {
	w.t.Helper()
	a := w.do(plugintest.Root, http.MethodGet, path, "")
	if a.status != http.StatusSeeOther {
		w.t.Fatalf("login: %d %s", a.status, a.body)
	}
	set := a.header.Get("Set-Cookie")
	if !strings.Contains(set, "SameSite=None") || !strings.Contains(set, "Secure") {
		w.t.Errorf("the cookie does not come back with a post from another site: %s", set)
	}
	pair, _, _ := strings.Cut(set, ";")
	// The fake has no name of its plugin: give the cookie the one that Sigra does.
	_, value, _ := strings.Cut(pair, "=")
	return begun{a.header.Get("Location"), pluginsdk.CookieName("relyra", "state_"+strings.TrimPrefix(value, "bound-")[:12]) + "=" + value}
}

func (w *world) post(id, response, cookie string) answer {
	w.t.Helper()
	var header []string
	if cookie != "" {
		header = []string{"Cookie", cookie}
	}
	return w.form(nil, "/relyra/saml/"+id+"/acs", url.Values{"SAMLResponse": {response}}, header...)
}

var codeInPage = regexp.MustCompile(`<dd><code>([a-z_]+)</code>`)

func (w *world) refused(a answer, gate string) {
	w.t.Helper()
	m := codeInPage.FindStringSubmatch(a.body)
	if a.status != http.StatusForbidden || m == nil || m[1] != gate {
		w.t.Errorf("%d %s, want a refusal by %s", a.status, a.body, gate)
	}
}

// TestSignIn walks the whole way of somebody of a proven domain, and every turn that has to end nowhere.
func TestSignIn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		w, provider := newWorld(t, at), newIdP(t, "https://idp.example/acme")
		id := w.connect("acme", provider)

		if got := w.offers("acme.example"); len(got) != 0 {
			t.Errorf("a draft is offered: %+v", got)
		}
		if a := w.do(nil, http.MethodGet, "/relyra/saml/"+id+"/login", ""); a.status != http.StatusNotFound {
			t.Errorf("a draft begins a sign-in: %d", a.status)
		}
		if a := w.act(id, "enable"); a.status != http.StatusSeeOther {
			t.Fatalf("enable: %d %s", a.status, a.body)
		}
		if got := w.offers("acme.example"); len(got) != 1 || got[0].URL != "/relyra/saml/"+id+"/login?return_to=%2Fwelcome" {
			t.Errorf("offered %+v", got)
		}
		for _, domain := range []string{"globex.example", "claimed.example", "nobody.example"} {
			if got := w.offers(domain); len(got) != 0 {
				t.Errorf("%s is offered %+v", domain, got)
			}
		}

		b := w.begin(id)
		honest := answering(t, b.location, "Ada@acme.example")
		response := provider.respond(t, honest)
		w.refused(w.post(id, response, ""), "browser_binding")
		a := w.post(id, response, b.cookie)
		if a.status != http.StatusSeeOther || a.header.Get("Location") != "https://sigra.example/continue?token=fake" {
			t.Fatalf("%d %s", a.status, a.body)
		}
		minted := w.host.Minted()
		if len(minted) != 1 {
			t.Fatalf("minted %d times", len(minted))
		}
		m := minted[0]
		if m.OrganizationID != acme || m.Email != "Ada@acme.example" || !m.EmailVerified || !m.DomainVerified || m.ReturnTo != "/welcome" || m.State == "" ||
			m.Membership != pluginsdk.MembershipJustInTime || !m.SignUpAllowed || m.Provider != id || m.Subject == "" || m.FederatedIndex == "" {
			t.Errorf("minted %+v", m)
		}
		w.refused(w.post(id, response, b.cookie), "in_response_to")
		if again := provider.respond(t, honest); true { // another assertion for a request that was answered
			w.refused(w.post(id, again, b.cookie), "in_response_to")
		}
		if len(w.host.Minted()) != 1 {
			t.Error("a refused response was minted")
		}

		for name, c := range map[string]struct {
			gate   string
			change func(*statement)
		}{
			"an address of another organization": {"domain", func(s *statement) { s.email, s.nameID = "eve@globex.example", "eve@globex.example" }},
			"an address of nobody's domain":      {"domain", func(s *statement) { s.email = "eve@nobody.example" }},
			"a domain that is only claimed":      {"domain", func(s *statement) { s.email = "eve@claimed.example" }},
			"a domain in front":                  {"email", func(s *statement) { s.email = "eve@globex.example@acme.example" }},
			"no address":                         {"email", func(s *statement) { s.email, s.nameID = "", "eve" }},
			"a transient name":                   {"identity", func(s *statement) { s.format = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient" }},
			"another audience":                   {"audience", func(s *statement) { s.audience = "https://sp.example" }},
			"no request":                         {"in_response_to", func(s *statement) { s.inResponseTo = "" }},
			"long ago":                           {"issue_instant", func(s *statement) { s.at = now.Add(-2 * time.Hour) }},
		} {
			b := w.begin(id)
			s := answering(t, b.location, "ada@acme.example")
			c.change(&s)
			t.Log(name)
			w.refused(w.post(id, provider.respond(t, s), b.cookie), c.gate)
		}
		if len(w.host.Minted()) != 1 {
			t.Errorf("minted %d times", len(w.host.Minted()))
		}

		// What was refused is told to the administrator, with what was expected.
		page := w.do(plugintest.Root, http.MethodGet, "/relyra/admin/"+id, "")
		for _, want := range []string{"audience", "https://sp.example", "Accepted", "globex.example"} {
			if !strings.Contains(page.body, want) {
				t.Errorf("the page does not say %q", want)
			}
		}

		if a := w.act(id, "delete"); a.status != http.StatusUnprocessableEntity {
			t.Errorf("an enabled connection was deleted: %d", a.status)
		}
		late := w.begin(id)
		w.act(id, "disable")
		if got := w.offers("acme.example"); len(got) != 0 {
			t.Errorf("a disabled connection is offered: %+v", got)
		}
		if a := w.post(id, provider.respond(t, answering(t, late.location, "ada@acme.example")), late.cookie); a.status != http.StatusNotFound {
			t.Errorf("a disabled connection took a response: %d %s", a.status, a.body)
		}
		if a := w.act(id, "delete"); a.status != http.StatusSeeOther {
			t.Errorf("delete: %d %s", a.status, a.body)
		}
	})
}

func (w *world) offers(domain string) []pluginsdk.LoginMethod {
	w.t.Helper()
	r, err := w.Offer(w.t.Context(), pluginsdk.OfferRequest{EmailDomain: domain, ReturnTo: "/welcome"})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// TestSignIn_otherOrganization: an identity provider signs in nobody through another's connection, and neither reads the other's.
func TestSignIn_otherOrganization(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		w := newWorld(t, at)
		ours, theirs := newIdP(t, "https://idp.example/acme"), newIdP(t, "https://idp.example/globex")
		a, b := w.connect("acme", ours), w.connect("globex", theirs)
		w.act(a, "enable")
		w.act(b, "enable")

		begun := w.begin(a)
		s := answering(t, begun.location, "ada@acme.example")
		// The same entity, another key.
		forger := newIdP(t, ours.entity)
		w.refused(w.post(a, forger.respond(t, s), begun.cookie), "signature_invalid")
		// What was signed for one connection, at another.
		w.refused(w.post(b, ours.respond(t, s), begun.cookie), "signature_invalid")

		admin := *plugintest.Ada
		admin.OrganizationID, admin.OrganizationAdministrator = acme, true
		list := w.do(&admin, http.MethodGet, "/relyra/organization", "")
		if !strings.Contains(list.body, a) || strings.Contains(list.body, b) {
			t.Errorf("the organization's page shows %s", list.body)
		}
		if got := w.do(&admin, http.MethodGet, "/relyra/organization/"+b, ""); got.status != http.StatusNotFound {
			t.Errorf("another organization's connection: %d", got.status)
		}
		if got := w.form(&admin, "/relyra/organization/"+b, url.Values{"action": {"disable"}}); got.status != http.StatusNotFound {
			t.Errorf("another organization's connection was changed: %d", got.status)
		}
	})
}

// TestSignIn_unsolicited: a sign-in may begin at the identity provider where the connection says so; where it leads, the message has no say in.
func TestSignIn_unsolicited(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		w, provider := newWorld(t, at), newIdP(t, "https://idp.example/acme")
		id := w.connect("acme", provider)
		w.act(id, "enable")
		s := answering(t, w.begin(id).location, "ada@acme.example")
		s.inResponseTo = ""
		w.refused(w.post(id, provider.respond(t, s), ""), "in_response_to")
		w.form(plugintest.Root, "/relyra/admin/"+id, url.Values{"action": {"update"}, "name": {"Acme"}, "allow_unsolicited": {"1"}})
		response := provider.respond(t, s)
		a := w.form(nil, "/relyra/saml/"+id+"/acs", url.Values{"SAMLResponse": {response}, "RelayState": {"https://evil.example/"}})
		minted := w.host.Minted()
		if a.status != http.StatusSeeOther || len(minted) != 1 || minted[0].ReturnTo != "" || minted[0].State != "" || minted[0].SignUpAllowed {
			t.Errorf("%d, minted %+v", a.status, minted)
		}
		w.refused(w.post(id, response, ""), "replay")
	})
}

// TestSignIn_parallel: of a hundred posts of one response one signs in.
func TestSignIn_parallel(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		w, provider := newWorld(t, at), newIdP(t, "https://idp.example/acme")
		id := w.connect("acme", provider)
		w.act(id, "enable")
		b := w.begin(id)
		response := provider.respond(t, answering(t, b.location, "ada@acme.example"))
		var group sync.WaitGroup
		var mu sync.Mutex
		status := map[int]int{}
		for range 100 {
			group.Go(func() {
				a := w.post(id, response, b.cookie)
				mu.Lock()
				defer mu.Unlock()
				status[a.status]++
			})
		}
		group.Wait()
		if status[http.StatusSeeOther] != 1 || status[http.StatusForbidden] != 99 || len(w.host.Minted()) != 1 {
			t.Errorf("%v, minted %d", status, len(w.host.Minted()))
		}
	})
}

// TestReplay_otherProcess: an assertion that was used is used, for a process that knows nothing of the first.
func TestReplay_otherProcess(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		w, provider := newWorld(t, at), newIdP(t, "https://idp.example/acme")
		id := w.connect("acme", provider)
		w.act(id, "enable")
		first, second := w.begin(id), w.begin(id)
		response := provider.respond(t, answering(t, first.location, "ada@acme.example"))
		if a := w.post(id, response, first.cookie); a.status != http.StatusSeeOther {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if err := w.Stop(time.Second); err != nil {
			t.Fatal(err)
		}
		after := &world{plugintest.Start(t, relyra.At(func() time.Time { return now }), plugintest.Config{Storage: &at, Host: w.host}), t, w.host}
		after.refused(after.post(id, response, first.cookie), "in_response_to")
		// The same assertion's ID once more, for a request that is open: the store knows it.
		provider.count--
		s := answering(t, second.location, "ada@acme.example")
		after.refused(after.post(id, provider.respond(t, s), second.cookie), "replay")
	})
}
