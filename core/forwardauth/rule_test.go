package forwardauth_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/forwardauth"
	"github.com/sigra-auth/sigra/core/principal"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"/orders/7?x=1": "/orders/7", "/": "/", "/a/": "/a/", "/caf%C3%A9": "/café", "/a%20b": "/a b",
		"//evil": "", "/a//b": "", "/a/../b": "", "/a/./b": "", "/%2e%2e/b": "", "/a%2fb": "", "/a%2Fb": "", "/a%5cb": "", "/a\\b": "", "/a%252fb": "", "/a;x=1": "",
		"": "", "orders": "", "http://other/x": "", "*": "", "/a%00": "", "/%zz": "",
	} {
		r, err := forwardauth.Parse("get", "HTTPS", "App.Example.com.:443", target)
		if want == "" {
			if fault.From(err).Code != "ambiguous_path" {
				t.Errorf("%q: %+v, %v", target, r, err)
			}
			continue
		}
		if err != nil || r.Path != want || r.Method != "GET" || r.Scheme != "https" || r.Host != "app.example.com" {
			t.Errorf("%q: %+v, %v", target, r, err)
		}
	}
	for _, method := range []string{"", "GET POST", "G\r\nX"} {
		if _, err := forwardauth.Parse(method, "https", "x", "/"); err == nil {
			t.Errorf("%q is a method", method)
		}
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	org := uuid.New()
	rules := forwardauth.Rules{
		{Name: "assets", Paths: []string{"/assets/*"}, Methods: []string{"GET"}, Access: forwardauth.Public},
		{Name: "admin", Hosts: []string{"app.example.com", "*.apps.example.com"}, Paths: []string{"/admin/*"}, Access: forwardauth.SignedIn, AAL: "aal2", MaxAge: time.Hour,
			Organization: org.String(), Roles: []string{"boss"}},
		{Name: "closed", Paths: []string{"/closed"}, Access: forwardauth.Nobody},
	}
	find := func(method, host, path string) string {
		return rules.Find(forwardauth.Request{Method: method, Host: host, Path: path}).Name
	}
	for want, got := range map[string][]string{
		"assets":  {find("GET", "x", "/assets/a.css"), find("HEAD", "x", "/assets"), find("GET", "x", "/assets/")},
		"default": {find("POST", "x", "/assets/a.css"), find("GET", "x", "/assetsx"), find("GET", "x", "/admin"), find("GET", "a.b.apps.example.com", "/admin"), find("GET", "apps.example.com", "/admin"), find("GET", "x", "/closed/y")},
		"admin":   {find("GET", "app.example.com", "/admin"), find("DELETE", "one.apps.example.com", "/admin/x")},
		"closed":  {find("GET", "x", "/closed")},
	} {
		for i, name := range got {
			if name != want {
				t.Errorf("%s, %d: %s", want, i, name)
			}
		}
	}
	now := time.Now()
	in := principal.Principal{Kind: principal.User, UserID: uuid.New(), OrganizationID: org, Role: "boss", AAL: "aal2", AuthTime: now.Add(-time.Minute)}
	with := func(change func(*principal.Principal)) principal.Principal {
		p := in
		change(&p)
		return p
	}
	for name, c := range map[string]struct {
		rule int
		who  principal.Principal
		want forwardauth.Verdict
	}{
		"everybody sees assets":        {0, principal.Principal{}, forwardauth.Allowed},
		"nobody is signed in":          {1, principal.Principal{}, forwardauth.NeedsSignIn},
		"all is as it should be":       {1, in, forwardauth.Allowed},
		"one factor":                   {1, with(func(p *principal.Principal) { p.AAL = "aal1" }), forwardauth.NeedsProof},
		"proved long ago":              {1, with(func(p *principal.Principal) { p.AuthTime = now.Add(-time.Hour - time.Second) }), forwardauth.NeedsProof},
		"proved just in time":          {1, with(func(p *principal.Principal) { p.AuthTime = now.Add(-time.Hour) }), forwardauth.Allowed},
		"another organization":         {1, with(func(p *principal.Principal) { p.OrganizationID = uuid.New() }), forwardauth.Refused},
		"no organization":              {1, with(func(p *principal.Principal) { p.OrganizationID = uuid.Nil }), forwardauth.Refused},
		"another role":                 {1, with(func(p *principal.Principal) { p.Role = "clerk" }), forwardauth.Refused},
		"an application's key":         {1, principal.Principal{Kind: principal.Application}, forwardauth.Refused},
		"closed, whoever it is":        {2, in, forwardauth.Refused},
		"closed, and nobody signed in": {2, principal.Principal{}, forwardauth.Refused},
	} {
		if got, why := rules[c.rule].Judge(c.who, now); got != c.want {
			t.Errorf("%s: %s %s", name, got, why)
		}
	}
}
