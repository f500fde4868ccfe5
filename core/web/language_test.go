package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/gorilla/mux"
	"golang.org/x/net/html"

	"github.com/sigra-auth/sigra/core/auth/authtest"
	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
	"github.com/sigra-auth/sigra/core/web"
)

// inLanguage serves pages of flows that fail with err, to somebody whose language is found as the server's edge does.
func inLanguage(t *testing.T, err error) func(*http.Request) *http.Response {
	t.Helper()
	p, nerr := web.New(web.Config{BaseURL: "http://localhost:8484", Services: noFlows(err)})
	if nerr != nil {
		t.Fatal(nerr)
	}
	r := mux.NewRouter()
	p.Mount(r)
	return func(req *http.Request) *http.Response {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req.WithContext(request.With(req.Context(), request.Info{Language: p.Language(req)})))
		return w.Result()
	}
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	serve := inLanguage(t, nil)
	for _, c := range []struct{ name, path, accept, cookie, want string }{
		{"nothing", "/login", "", "", "en"},
		{"the browser's", "/login", "de-CH,de;q=0.9,en;q=0.8", "", "de"},
		{"one we lack", "/login", "ja", "", "en"},
		{"chosen goes before the browser's", "/login", "de", "fr", "fr"},
		{"a cookie of nonsense", "/login", "de", "☺", "de"},
		{"the address goes before both", "/login?lang=es", "de", "fr", "es"},
		{"a variant", "/login?lang=es-MX", "", "", "es"},
		{"an address of nonsense", "/login?lang=klingon", "de", "", "de"},
		{"a long one", "/login?lang=" + strings.Repeat("x", 99), "de", "", "de"},
		{"from right to left", "/login", "ar", "", "ar"},
	} {
		r := httptest.NewRequest("GET", c.path, nil)
		r.Header.Set("Accept-Language", c.accept)
		if c.cookie != "" {
			r.Header.Set("Cookie", cookie.Language+"="+c.cookie)
		}
		res := serve(r)
		body := text(t, res)
		dir := map[bool]string{true: "rtl", false: "ltr"}[c.want == "ar"]
		if !strings.Contains(body, `<html lang="`+c.want+`" dir="`+dir+`">`) || res.Header.Get("Content-Language") != c.want {
			t.Errorf("%s: %q, want %s", c.name, res.Header.Get("Content-Language"), c.want)
		}
		if vary := res.Header.Get("Vary"); !strings.Contains(vary, "Accept-Language") || !strings.Contains(vary, "Cookie") {
			t.Errorf("Vary: %q", vary)
		}
		// What an address asks for holds for the pages after it.
		if kept := strings.HasPrefix(res.Header.Get("Set-Cookie"), cookie.Language+"=es;"); kept != (c.want == "es") {
			t.Errorf("%s: cookie %q", c.name, res.Header.Get("Set-Cookie"))
		}
	}
}

// TestChooseLanguage: the choice at the foot of every page is a form, and leads back to where it was made.
func TestChooseLanguage(t *testing.T) {
	t.Parallel()
	serve := inLanguage(t, nil)
	body := text(t, serve(httptest.NewRequest("GET", "/login?return_to=%2Fx&lang=de", nil)))
	if !strings.Contains(body, `name="back" value="/login?return_to=%2Fx"`) || !strings.Contains(body, `value="ar" lang="ar" dir="rtl">العربية</button>`) ||
		!strings.Contains(body, `<span lang="de" dir="ltr" aria-current="true">Deutsch</span>`) {
		t.Errorf("no choice of languages: %s", body)
	}
	for back, want := range map[string]string{
		"/login?return_to=%2Fx": "/login?return_to=%2Fx", "/login?lang=fr": "/login", "": "/", "//evil.example": "/", "https://evil.example/": "/",
		`/\evil.example`: "/", "/a/../b": "/", "/account?a=1&lang=de": "/account?a=1",
	} {
		res := serve(formPost("/language", url.Values{"lang": {"de"}, "back": {back}}))
		c := res.Header.Get("Set-Cookie")
		if res.StatusCode != 303 || res.Header.Get("Location") != want || !strings.HasPrefix(c, cookie.Language+"=de;") || !strings.Contains(c, "Max-Age=") {
			t.Errorf("%q: %d %q, cookie %q", back, res.StatusCode, res.Header.Get("Location"), c)
		}
	}
	res := serve(formPost("/language", url.Values{"lang": {"klingon"}}))
	if res.StatusCode != 303 || res.Header.Get("Set-Cookie") != "" {
		t.Errorf("a language that there isn't: %d %v", res.StatusCode, res.Header)
	}
}

// TestFaultsAreTranslated: by their code where there is a text, in their own words where there is none.
func TestFaultsAreTranslated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  *fault.Error
		want string
	}{
		{fault.New(fault.Unauthenticated, "invalid_credentials", "x"), "Die E-Mail-Adresse oder das Passwort ist falsch."},
		{fault.New(fault.Invalid, "password_too_short", "x"), "Das Passwort braucht mindestens 8 Zeichen."},
		{fault.New(fault.Denied, "unknown_to_us", "Words of a plugin's own."), "Words of a plugin's own."},
		{fault.New(fault.Denied, "denied", "A gate's own words."), "A gate's own words."},
		{fault.New(fault.Denied, "denied", "This is not allowed by a rule of this service."), "Eine Regel dieses Dienstes erlaubt das nicht."},
	} {
		r := formPost("/login", url.Values{"email": {"a@b.example"}, "password": {"x"}})
		r.Header.Set("Accept-Language", "de")
		if body := html.UnescapeString(text(t, inLanguage(t, c.err)(r))); !strings.Contains(body, c.want) {
			t.Errorf("%v: %s", c.err, body)
		}
	}
}

var (
	templateKey = regexp.MustCompile(`\.(?:Text|Plural) "([^"]+)"`)
	goKey       = regexp.MustCompile(`"((?:page|fault)\.[a-z0-9_.]*)"`)
)

// TestTexts_existAndAreUsed holds templates, handlers and catalogue together: no key without a text, no text that no page has.
func TestTexts_existAndAreUsed(t *testing.T) {
	t.Parallel()
	texts, err := lang.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for pattern, find := range map[string]*regexp.Regexp{"templates/*.html": templateKey, "*.go": goKey} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range find.FindAllStringSubmatch(string(b), -1) {
				keys = append(keys, m[1])
				// A key that ends in a dot or an underscore is the beginning of several.
				if !strings.HasSuffix(m[1], ".") && !strings.HasSuffix(m[1], "_") && !texts.Default().Has(m[1]) {
					t.Errorf("%s: there is no text %s", file, m[1])
				}
			}
		}
	}
	for key, file := range texts.Default().Places() {
		used := slices.ContainsFunc(keys, func(k string) bool {
			return k == key || (strings.HasSuffix(k, ".") || strings.HasSuffix(k, "_")) && strings.HasPrefix(key, k)
		})
		if strings.HasPrefix(key, "page.") && !used {
			t.Errorf("%s: no page has the text %s", file, key)
		}
	}
}

var faultCode = regexp.MustCompile(`(?:fault\.Newf?\(fault\.\w+,\s*|reject\()"([a-z_0-9]+)"[,)]`)

// notOnPages are codes of faults that programs and operators get to see.
var notOnPages = []string{
	"invalid_address", "invalid_body", "invalid_language", "invalid_purpose", "invalid_subject", "mail_too_large", "no_mailer", // messages that Sigra or a plugin makes
	"invalid_cursor", "invalid_status", "too_many_ids", // lists of the API
	"administrator_only", "invite_instead", "invalid_kind", "invalid_method", "invalid_metadata", "metadata_too_large", "domain_not_found", "domain_taken", "domain_not_verified", "invalid_domain", "too_many_domains", "dns_unavailable", // what the API does to organizations
	"invalid_aal", "invalid_session", "return_to_not_allowed", "too_long", // what plugins ask of a sign-in
	"metrics_local_only", "local_only", "control_key_required",
}

// TestFaults_haveTexts: what the packages below the pages refuse with has words in every language.
func TestFaults_haveTexts(t *testing.T) {
	t.Parallel()
	texts, err := lang.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, dir := range []string{"account", "auth", "credential/*", "device", "federation", "gate", "mail", "membership", "onetime", "org", "ratelimit", "ratelimit/captcha", "server", "session", "store", "web"} {
		files, err := filepath.Glob("../" + dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range faultCode.FindAllStringSubmatch(string(b), -1) {
				if seen++; !texts.Default().Has("fault."+m[1]) && !slices.Contains(notOnPages, m[1]) {
					t.Errorf("%s: there is no text fault.%s", file, m[1])
				}
			}
		}
	}
	if seen < 60 {
		t.Errorf("only %d faults found", seen)
	}
}

// TestTemplates_sayNothingThemselves: every word of a page comes out of the catalogues.
func TestTemplates_sayNothingThemselves(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("templates/*.html")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	actions := regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	worded := map[string]bool{"aria-label": true, "title": true, "alt": true, "placeholder": true, "content": false, "label": true}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		z := html.NewTokenizer(strings.NewReader(actions.ReplaceAllString(string(b), "")))
		for z.Next() != html.ErrorToken {
			tag := z.Token()
			if tag.Type == html.TextToken && strings.ContainsFunc(tag.Data, unicode.IsLetter) {
				t.Errorf("%s says %q", file, strings.TrimSpace(tag.Data))
			}
			for _, a := range tag.Attr {
				if worded[a.Key] && strings.ContainsFunc(a.Val, unicode.IsLetter) {
					t.Errorf("%s says %s=%q", file, a.Key, a.Val)
				}
			}
		}
	}
}

var (
	latinWord = regexp.MustCompile(`[A-Za-z]{2,}`)
	// What is written in Latin letters in every language: names, addresses and what machines are called.
	sameEverywhere = regexp.MustCompile(`Sigra|GitHub|HTML|JavaScript|HTTPS|QR|[\w.]+@[\w.]+|/[\w/-]+`)
)

// latin holds that a page in Arabic says nothing in another language. What is quoted (bdi, code, the names of languages) may.
func (b *browser) latin(path string, p page) {
	b.t.Helper()
	quoted := 0
	for z := html.NewTokenizer(strings.NewReader(p.body)); z.Next() != html.ErrorToken; {
		tag := z.Token()
		switch tag.Type {
		case html.StartTagToken, html.EndTagToken:
			if slices.Contains([]string{"bdi", "code", "title", "footer", "nav"}, tag.Data) {
				quoted += map[bool]int{true: 1, false: -1}[tag.Type == html.StartTagToken]
			}
		case html.TextToken:
			if words := latinWord.FindAllString(sameEverywhere.ReplaceAllString(tag.Data, ""), -1); quoted == 0 && len(words) > 0 {
				b.t.Errorf("%s: says %q in Arabic", path, words)
			}
		}
		for _, a := range tag.Attr {
			if !slices.Contains([]string{"aria-label", "title", "alt"}, a.Key) && !strings.HasPrefix(a.Key, "data-text-") {
				continue
			}
			if words := latinWord.FindAllString(sameEverywhere.ReplaceAllString(a.Val, ""), -1); len(words) > 0 {
				b.t.Errorf("%s: %s says %q in Arabic", path, a.Key, words)
			}
		}
	}
	if strings.ContainsAny(p.body, "⟨⟩") {
		b.t.Errorf("%s: a text is missing", path)
	}
}

// TestEveryPage_inArabic walks the pages in a language that is written from right to left, refusals included. inspect looks.
func TestEveryPage_inArabic(t *testing.T) {
	t.Parallel()
	c := newClock()
	e := startWith(t, storetest.Open(t, store.SQLite, sources...), authtest.Options{Now: c.now, Providers: []config.Provider{github}, Members: anyoneCreates.Members}, nil)
	b := e.browser(t)
	b.language = "ar"
	for _, path := range []string{
		"/login", "/login?notice=signed-out", "/login?notice=expired", "/login?notice=password-set", "/register", "/reset", "/login/link", "/login/link?token=", "/login/link?token=x",
		"/confirm?token=x", "/confirm", "/set-password?token=x", "/dev/mail", "/nothing", "/login/callback/github?state=x", "/login/callback/nobody",
	} {
		b.get(path)
	}
	b.post("/login", "email", "x", "password", "y")
	b.post("/register", "email", "x", "password", "y")
	b.post("/register", "email", alice, "password", "short")
	b.post("/register", "email", alice, "password", first)
	b.get("/register/check-mail")
	b.post("/register/check-mail", "code", "1")
	b.post("/register/resend")
	b.get("/register/check-mail?notice=sent")
	if _, err := e.queue.Dispatch(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, code := e.mail(t, alice)
	b.post("/register/check-mail", "code", code).sends(t, "/account")
	b.get("/logout")
	b.post("/reset", "email", alice)
	b.get("/reset/sent")
	b.post("/reset/sent", "code", "1", "password", "x")
	b.post("/login/link", "email", alice)
	b.get("/login/link/sent")
	b.get("/login/link/status")
	b.post("/login/link/sent")
	link, _ := e.mail(t, alice)
	b.get(link)
	other := e.browser(t)
	other.language = "ar"
	other.get(link)
	number := b.get("/login/link/sent").find(t, `<strong dir="ltr">(\d\d)</strong>`)
	other.post("/login/link/approve", "token", link[strings.Index(link, "=")+1:], "number", number).shows(t, 200)
	b.get("/login/link/status")
	b.post("/login/provider/github")
	for _, path := range []string{"/account/password", "/account/email", "/account/passkeys", "/account/authenticator", "/account/devices", "/account/logins", "/account/recovery-codes"} {
		b.get(path).shows(t, 200)
	}
	organizationInArabic(t, e, b)
	c.pass(10 * time.Minute)
	b.get("/step-up")
	b.get("/step-up?aal=aal2")
	b.post("/step-up", "method", "password", "password", "x")
	b.post("/step-up", "method", "password", "password", first).sends(t, "/account")
	b.post("/account/authenticator/begin")
	key := b.get("/account/authenticator").key(t)
	b.post("/account/authenticator", "code", codeAt(t, key, c.now())).shows(t, 200)
	b.post("/logout")
	b.post("/login", "email", alice, "password", first)
	b.get("/login/second-factor")
	b.get("/login/second-factor?method=recovery_code")
	b.post("/login/second-factor", "method", "totp", "code", "1")
	b.post("/login/second-factor", "method", "totp", "code", codeAt(t, key, c.now().Add(30*time.Second))).sends(t, "/account")
}
