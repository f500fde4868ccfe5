package relyra_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/plugins/relyra"
	"github.com/sigra-auth/sigra/plugins/relyra/relyratest"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

// TestSimpleSAMLphp signs people in at a foreign identity provider: its own XML, its own signatures, its own pages.
func TestSimpleSAMLphp(t *testing.T) {
	t.Parallel()
	provider := relyratest.New(t)
	host := &plugintest.Fake{}
	host.AddOrganization(pluginsdk.Organization{ID: acme, Slug: "acme", Name: "Acme"})
	host.AddDomain(pluginsdk.Domain{Name: "corp.example", OrganizationID: acme, Verified: true, VerifiedAt: time.Now()})
	w := &world{plugintest.Start(t, relyra.New(), plugintest.Config{Host: host}), t, host}
	a := w.form(plugintest.Root, "/relyra/admin/new", url.Values{"organization": {"acme"}, "name": {"Acme"}, "metadata": {provider.Metadata()}})
	id := strings.TrimPrefix(a.header.Get("Location"), "/relyra/admin/")
	if a.status != http.StatusSeeOther {
		t.Fatalf("create: %d %s", a.status, a.body)
	}
	w.act(id, "enable")
	entity := "https://sigra.example/relyra/saml/" + id
	yes, no := true, false
	certificate := strings.Split(strings.SplitN(w.do(nil, http.MethodGet, "/relyra/saml/"+id+"/metadata", "").body, "<ds:X509Certificate>", 2)[1], "<")[0]

	for _, c := range []struct {
		name string
		sp   relyratest.ServiceProvider
		gate string
	}{
		{"response signed", relyratest.ServiceProvider{}, ""},
		{"assertion signed", relyratest.ServiceProvider{SignAssertion: &yes, SignResponse: &no}, ""},
		{"both signed", relyratest.ServiceProvider{SignAssertion: &yes}, ""},
		{"SHA-1", relyratest.ServiceProvider{Algorithm: "http://www.w3.org/2000/09/xmldsig#rsa-sha1"}, "algorithm_refused"},
		{"SHA-512", relyratest.ServiceProvider{Algorithm: "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512"}, ""},
		{"encrypted with CBC", relyratest.ServiceProvider{EncryptAssertions: true, Certificate: certificate}, "algorithm_refused"},
	} {
		t.Log(c.name)
		c.sp.ACS = entity + "/acs"
		provider.Trust(entity, c.sp)
		before := len(host.Minted())
		begun := w.beginAt(id)
		answer := provider.SignIn(begun.location, "alice", "alice-pass")
		if answer.Action != entity+"/acs" {
			t.Fatalf("%s: it posts to %q", c.name, answer.Action)
		}
		got := w.post(id, answer.Form.Get("SAMLResponse"), begun.cookie)
		if c.gate != "" {
			w.refused(got, c.gate)
			continue
		}
		minted := host.Minted()
		if got.status != http.StatusSeeOther || len(minted) != before+1 {
			t.Errorf("%s: %d %s", c.name, got.status, got.body)
			continue
		}
		if m := minted[before]; m.Email != "alice@corp.example" || m.Display != "Alice Ångström" || m.OrganizationID != acme || m.Subject != minted[0].Subject {
			t.Errorf("%s: minted %+v", c.name, m)
		}
	}

	// It can't encrypt but with CBC, for which there is an exception with an end.
	provider.Trust(entity, relyratest.ServiceProvider{ACS: entity + "/acs", EncryptAssertions: true, Certificate: certificate})
	for until, status := range map[string]int{time.Now().AddDate(0, 0, 7).Format("2006-01-02"): http.StatusSeeOther, time.Now().AddDate(0, 0, -7).Format("2006-01-02"): http.StatusForbidden} {
		w.form(plugintest.Root, "/relyra/admin/"+id, url.Values{"action": {"update"}, "name": {"Acme"}, "just_in_time": {"1"}, "allow_cbc_until": {until}})
		begun := w.beginAt(id)
		if got := w.post(id, provider.SignIn(begun.location, "alice", "alice-pass").Form.Get("SAMLResponse"), begun.cookie); got.status != status {
			t.Errorf("until %s: %d %s", until, got.status, got.body)
		}
	}

	// It refuses requests that are not signed, and takes ours when they are.
	provider.Trust(entity, relyratest.ServiceProvider{ACS: entity + "/acs", ValidateRequests: true, Certificate: certificate})
	w.form(plugintest.Root, "/relyra/admin/"+id, url.Values{"action": {"update"}, "name": {"Acme"}, "sign_requests": {"1"}, "just_in_time": {"1"}})
	begun := w.beginAt(id)
	if !strings.Contains(begun.location, "Signature=") {
		t.Fatalf("not signed: %s", begun.location)
	}
	if got := w.post(id, provider.SignIn(begun.location, "bob", "bob-pass").Form.Get("SAMLResponse"), begun.cookie); got.status != http.StatusSeeOther {
		t.Errorf("%d %s", got.status, got.body)
	}
}
