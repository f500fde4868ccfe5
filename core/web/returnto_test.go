package web_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/web"
)

func TestReturnTo(t *testing.T) {
	t.Parallel()
	r := web.NewReturnTo("https://id.example.com", []string{"https://app.example.com", "http://localhost:3000", "https://*.apps.example.com", "myapp://"})
	for raw, want := range map[string]string{
		"/account":                                   "/account",
		"/threadline?actor=1&x=%2Fy":                 "/threadline?actor=1&x=%2Fy",
		"/a%20b":                                     "/a%20b",
		"/":                                          "/",
		"/threadline/":                               "/threadline/",
		"/threadline#part":                           "/threadline",
		"https://id.example.com/account":             "/account",
		"https://ID.example.com/account":             "/account",
		"https://id.example.com":                     "/",
		"https://app.example.com/done?a=b":           "https://app.example.com/done?a=b",
		"https://app.example.com":                    "https://app.example.com",
		"http://localhost:3000/x":                    "http://localhost:3000/x",
		"https://one.apps.example.com/x?y=1":         "https://one.apps.example.com/x?y=1",
		"https://ONE.apps.example.com":               "https://one.apps.example.com",
		"https://apps.example.com/x":                 "",
		"https://.apps.example.com/x":                "",
		"https://a.b.apps.example.com/x":             "",
		"https://one.apps.example.com:8443/x":        "",
		"https://evilapps.example.com/x":             "",
		"http://one.apps.example.com/x":              "",
		"https://one.apps.example.com.evil.test/":    "",
		"myapp://callback?x=1":                       "myapp://callback?x=1",
		"MyApp://callback/done":                      "myapp://callback/done",
		"myapp:callback":                             "",
		"myapp2://callback":                          "",
		"":                                           "",
		"account":                                    "",
		"//evil.example":                             "",
		"///evil.example":                            "",
		`/\evil.example`:                             "",
		`\\evil.example`:                             "",
		`/a\b`:                                       "",
		"/%2fevil.example":                           "",
		"/%2Fevil.example":                           "",
		"/%5cevil.example":                           "",
		"/%2f":                                       "",
		"//":                                         "",
		"/%252fevil.example":                         "",
		"/%25252fevil.example":                       "",
		"/.//evil.example":                           "",
		"/..//evil.example":                          "",
		"/x/../..//evil.example":                     "",
		"/%2e%2e//evil.example":                      "",
		"/\t/evil.example":                           "",
		"/\n/evil.example":                           "",
		"/%09/evil.example":                          "",
		"/%0d%0aSet-Cookie:x":                        "",
		" /account":                                  "",
		"https:evil.example":                         "",
		"https:/evil.example":                        "",
		"https:///evil.example":                      "",
		"https://evil.example":                       "",
		"https://app.example.com.evil.example/":      "",
		"https://app.example.com@evil.example/":      "",
		"https://user:pw@app.example.com/":           "",
		"https://app.example.com:8443/":              "",
		"http://app.example.com/":                    "",
		"https://app.example.com\\@evil.example/":    "",
		"https://app.example.com//evil":              "",
		"http://id.example.com/account":              "",
		"javascript:alert(1)":                        "",
		"JaVaScRiPt:alert(1)":                        "",
		"data:text/html,x":                           "",
		"/login":                                     "",
		"/logout":                                    "",
		"/\u2044evil.example":                        "/%E2%81%84evil.example",
		"/search?q=two words":                        "/search?q=two%20words",
		"/bücher/größe?q=ä&x=%C3%A4":                 "/b%C3%BCcher/gr%C3%B6%C3%9Fe?q=%C3%A4&x=%C3%A4",
		"/a b#c d":                                   "/a%20b",
		"https://app.example.com/日本 語":               "https://app.example.com/%E6%97%A5%E6%9C%AC%20%E8%AA%9E",
		"https://äpp.example.com/":                   "",
		"https://app.example.com\u3002evil.example/": "",
		"https://app .example.com/":                  "",
		"/account ":                                  "",
		"/a\u202eb":                                  "",
		"/a\u00a0b":                                  "",
		"/a\u2028b":                                  "",
		"/a\u0085b":                                  "",
		"/a\xffb":                                    "",
		"/a\ufffdb":                                  "",
		"/" + strings.Repeat("a", 2048):              "",
	} {
		got, ok := r.Safe(raw)
		if got != want || ok != (want != "") {
			t.Errorf("Safe(%q) = %q, %v; want %q", raw, got, ok, want)
		}
	}
}

// FuzzReturnTo holds that whatever is let through leads, for a browser on a page of Sigra's, to Sigra or an allowed origin.
func FuzzReturnTo(f *testing.F) {
	r := web.NewReturnTo("https://id.example.com", []string{"https://app.example.com"})
	base, err := url.Parse("https://id.example.com/login")
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"/a", "//evil", `/\evil`, "/%2fevil", "https://app.example.com/x", "https:evil", "/a?b=//c", "/.//x", "https://app.example.com%2eevil/", "/%5c%5cevil"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, ok := r.Safe(raw)
		if !ok {
			if got != "" {
				t.Errorf("refused %q and gave %q", raw, got)
			}
			return
		}
		for i := range len(got) {
			if got[i] <= ' ' || got[i] >= 0x7f || got[i] == '\\' {
				t.Fatalf("%q became %q", raw, got)
			}
		}
		// As a browser does it: a leading // or /\ names a host.
		if strings.HasPrefix(got, "/") {
			if strings.HasPrefix(got, "//") {
				t.Fatalf("%q became %q", raw, got)
			}
		} else if !strings.HasPrefix(got, "https://app.example.com/") && got != "https://app.example.com" && !strings.HasPrefix(got, "https://app.example.com?") {
			t.Fatalf("%q became %q", raw, got)
		}
		u, err := base.Parse(got)
		if err != nil {
			t.Fatalf("%q became %q: %v", raw, got, err)
		}
		if o := u.Scheme + "://" + u.Host; o != "https://id.example.com" && o != "https://app.example.com" {
			t.Fatalf("%q leads to %s", raw, o)
		}
		for p, i := got, 0; i < 4; i++ { // nor after somebody decodes it once more
			if strings.HasPrefix(p, "//") || strings.HasPrefix(p, `/\`) {
				t.Fatalf("%q decodes to %q", raw, p)
			}
			path, _, _ := strings.Cut(p, "?")
			next, err := url.PathUnescape(path)
			if err != nil || next == p {
				break
			}
			p = next
		}
		if again, ok := r.Safe(got); !ok || again != got {
			t.Fatalf("%q is not stable: %q, %v", got, again, ok)
		}
	})
}
