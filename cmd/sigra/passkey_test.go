package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest/virtual"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
	"github.com/sigra-auth/sigra/core/web/browsertest"
)

// TestPasskeys plays what becomes of passkeys in a real Chromium with virtual authenticators, on the pages of a real server: one
// for each database, reached by its name over TLS. Every scene has an account, a browser profile and authenticators of its own.
func TestPasskeys(t *testing.T) {
	t.Parallel()
	others := elsewhere(t)
	hosts := map[string]string{"sqlite": "example.org", "postgres": "example.net"}
	halls := map[string]*hall{}
	var rules []string
	for _, db := range storetest.Databases(t) {
		h := newHall(t, hosts[db.Name], db.URL)
		halls[db.Name] = h
		rules = append(rules, "MAP "+h.host+" "+h.in.addr)
	}
	rules = append(rules, "MAP *.example.org "+others, "MAP *.example.net "+others, "MAP example.com "+others, "MAP evil.example "+others, "MAP * ~NOTFOUND")
	browser := browsertest.Chromium(t, chromedp.Flag("host-resolver-rules", strings.Join(rules, ", ")), chromedp.Flag("ignore-certificate-errors", true))
	for name, h := range halls {
		h.browser = browser
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("at once", func(t *testing.T) {
				scenes := slices.Concat(signInScenes, registerScenes, factorScenes, refusalScenes, lostScenes)
				// make soak plays them all on both. What they store is tested on both by core/auth, so here each is played once.
				switch third := func(i int) bool { return i%3 == 0 }; {
				case name == "sqlite" && *soak:
					scenes = append(scenes, browserScenes...)
				case name == "sqlite":
					scenes = append(some(scenes, func(i int) bool { return !third(i) }), some(browserScenes, func(i int) bool { return i%2 == 0 })...)
				case !*soak:
					scenes = some(scenes, third)
				}
				for _, c := range scenes {
					t.Run(c.name, func(t *testing.T) {
						t.Parallel()
						c.play(h.scene(t))
					})
				}
			})
			// Each with settings of its own.
			for _, c := range settingScenes {
				t.Run(c.name, func(t *testing.T) {
					s := h.scene(t)
					s.in.configure(setup{database: h.database, extra: hallSettings(c.passkey)})
					s.in.cli("reload")
					c.play(s)
				})
			}
			t.Run("a second factor is demanded", func(t *testing.T) {
				s := h.scene(t)
				h.in.configure(setup{database: h.database, extra: hallSettings("") + "second_factor {\n  required = true\n}\n"})
				h.in.stop()
				h.in.start()
				demanded(s)
			})
		})
	}
}

// some are the scenes whose numbers are picked.
func some(scenes []passkeyScene, pick func(int) bool) (out []passkeyScene) {
	for i, s := range scenes {
		if pick(i) {
			out = append(out, s)
		}
	}
	return out
}

// passkeyScene is what happens to one person.
type passkeyScene struct {
	name string
	play func(s *scene)
}

// settingScene is one under other settings.
type settingScene struct {
	name    string
	passkey string // lines of the passkey block
	play    func(s *scene)
}

// hallSettings are cheap to hash with, and related to example.com.
func hallSettings(passkey string) string {
	if !strings.Contains(passkey, "related_origins") {
		passkey += "\n  related_origins = [\"https://example.com\"]"
	}
	return "password {\n  queue_timeout = \"30s\"\n  argon2 {\n    memory = \"7MiB\"\n    time = 5\n  }\n" + unscreened + "}\npasskey {\n" + passkey + "\n}\n" + devMail
}

// elsewhere is every other site: one empty page. It gives the address it listens on.
func elsewhere(t *testing.T) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, `<!doctype html><title>Elsewhere</title><h1>Elsewhere</h1>`)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // browsers try plain HTTP too
	s.StartTLS()
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "https://")
}

// hall is one server, for many scenes.
type hall struct {
	host, database string
	in             *instance
	db             *store.DB
	browser        context.Context
}

func newHall(t *testing.T, host, database string) *hall {
	t.Helper()
	h := &hall{host: host, database: database, in: newInstance(t, setup{database: database, host: host, extra: hallSettings("")})}
	h.in.start()
	var err error
	if h.db, err = store.Open(t.Context(), store.Config{URL: database, DataDir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.db.Close() })
	return h
}

// scene is one person with an account, in front of a tab where passkeys are offered by buttons only.
type scene struct {
	*tab
	*hall
	in    *instance
	email string
	id    string
	token string // of the session that the sign-up began
}

func (h *hall) scene(t *testing.T) *scene {
	t.Helper()
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(t.Name()[strings.LastIndex(t.Name(), "/")+1:]))
	s := &scene{hall: h, in: h.in.forTest(t), tab: newTab(t, h.browser), email: name + "@example.org"}
	in := s.in.signUp(s.email)
	s.id, s.token = in.Session.UserID, in.Token
	s.tab.do("get ready", virtual.Enable(), virtual.BeforePages(virtual.NoConditional), focused())
	return s
}

// focused lets the page of a tab that is behind others ask for passkeys too.
func focused() step {
	return virtual.Command(emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
}

func (s *scene) plug(o virtual.Options) *virtual.Authenticator {
	s.t.Helper()
	return virtual.Plug(s.do, o)
}

// enter gives the browser the session that the sign-up began.
func (s *scene) enter() {
	s.t.Helper()
	s.do("enter", s.keep(cookie.Session, s.token))
}

// keep puts a cookie of Sigra's into the browser.
func (s *scene) keep(name, value string) step {
	yes := true
	return virtual.Command(network.SetCookie, network.SetCookieParams{Name: name, Value: value, URL: s.in.url + "/", Path: "/", Secure: &yes, HTTPOnly: &yes})
}

// secondTab opens another tab of the same browser, with the same cookies.
func (s *scene) secondTab() *scene {
	s.t.Helper()
	second := *s
	beside := s.Beside(s.t)
	second.tab = &tab{beside, s.t, beside.Context}
	second.do("get ready", virtual.Enable(), virtual.BeforePages(virtual.NoConditional), focused())
	return &second
}

// leave drops the session; the browser stays known.
func (s *scene) leave() {
	s.t.Helper()
	s.do("leave", virtual.Command(network.DeleteCookies, network.DeleteCookiesParams{Name: cookie.Session, URL: s.in.url + "/"}))
}

// at opens a page.
func (s *scene) at(path, heading string) step {
	return chromedp.Steps(open(s.in.url+path), arrive(heading))
}

const passkeyButton = `form[data-passkey] button`

// register adds a passkey on its page; name may be empty.
func (s *scene) register(name string) {
	s.t.Helper()
	s.do("open the form", s.at("/account/passkeys/new", "Add a passkey"))
	if name != "" {
		s.do("name it", typed(`form[data-passkey] input[name=name]`, name))
	}
	s.do("add a passkey", click(passkeyButton), arrive("Passkeys"), says("The passkey is added."))
}

// equipped is a person with one passkey and no session.
func (s *scene) equipped(o virtual.Options) *virtual.Authenticator {
	s.t.Helper()
	v := s.plug(o)
	s.enter()
	s.register("")
	s.leave()
	return v
}

// byButton asks to sign in with a passkey.
func (s *scene) byButton() {
	s.t.Helper()
	s.do("ask", s.at("/login", "Sign in"), click(passkeyButton))
}

// byPassword signs in with the password, up to the page that comes then.
func (s *scene) byPassword(then string) {
	s.t.Helper()
	s.do("the password", s.at("/login", "Sign in"), typed("#email", s.email), typed("#password", testPassword), submit(then))
}

// askedAfterPassword turns the passkey on as the second factor, and gives the recovery codes.
func (s *scene) askedAfterPassword() []string {
	s.t.Helper()
	s.do("as the second factor", s.at("/account/passkeys", "Passkeys"), click(`form[action="/account/passkeys/after-password"] button`), arrive("Your recovery codes"))
	codes := evaluated[[]string](s, `[...document.querySelectorAll("ol.codes code")].map((e) => e.textContent)`)
	if len(codes) < 10 {
		s.t.Fatalf("recovery codes %v in\n%s", codes, s.text())
	}
	return codes
}

// evaluated is what a script in the page gives, at last.
func evaluated[T any](s *scene, js string) T {
	s.t.Helper()
	v, err := chromedp.Run(s.ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		s.t.Fatalf("%s: %v", js, err)
	}
	return v
}

// says waits until the page has a text, alerted until it tells the person so.
func says(want string) step { return until(`document.body.innerText.includes(` + quoted(want) + `)`) }
func alerted(want string) step {
	return until(`[...document.querySelectorAll('[role="alert"]')].some(e => !e.hidden && e.textContent.includes(` + quoted(want) + `))`)
}

// assurance is what a session rests on.
type assurance struct {
	Email, AAL string
	AMR        []string
}

// session is the browser's; nil when it has none.
func (s *scene) session() *assurance {
	s.t.Helper()
	token := ""
	for _, c := range virtual.Ask(s.do, network.GetCookies, network.GetCookiesParams{URLs: []string{s.in.url + "/"}}).Cookies {
		if c.Name == cookie.Session {
			token = c.Value
		}
	}
	r, err := s.in.call("GET", "/v1/session", token, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if token == "" || r.status == http.StatusUnauthorized {
		return nil
	}
	var a assurance
	r.decode(s.t, &a)
	return &a
}

// arrived waits for the account page, and wants the session to be the person's own and to rest on so much.
func (s *scene) arrived(aal string, amr ...string) {
	s.t.Helper()
	s.do("arrive", arrive("Your account"), says(s.email))
	s.assured(aal, amr...)
}

func (s *scene) assured(aal string, amr ...string) {
	s.t.Helper()
	a := s.session()
	for deadline := time.Now().Add(10 * time.Second); (a == nil || a.AAL != aal) && time.Now().Before(deadline); a = s.session() {
		time.Sleep(50 * time.Millisecond) // the browser may not have stored the cookie yet
	}
	if a == nil || a.Email != s.email || a.AAL != aal {
		s.t.Fatalf("the session is %+v, want %s at %s", a, s.email, aal)
	}
	slices.Sort(a.AMR)
	slices.Sort(amr)
	if !slices.Equal(a.AMR, amr) {
		s.t.Errorf("the session rests on %v, want %v", a.AMR, amr)
	}
}

// outside wants no session.
func (s *scene) outside() {
	s.t.Helper()
	if a := s.session(); a != nil {
		s.t.Errorf("there is a session: %+v", a)
	}
}

// passkeyRow is an audit row with what else the scenes look at.
type passkeyRow struct {
	Action, Outcome, Reason string
	AuthMethod              string `json:"auth_method"`
	Metadata                map[string]any
}

// rows are the audit rows of an action about somebody, the newest first.
func (s *scene) rows(action, about string) []passkeyRow {
	s.t.Helper()
	r, err := s.in.control("GET", "/v1/audit?"+url.Values{"action": {action}, "target_type": {"user"}, "target_id": {about}, "limit": {"200"}}.Encode(), nil)
	if err != nil || r.status != http.StatusOK {
		s.t.Fatalf("audit: %d %s %v", r.status, r.body, err)
	}
	var page struct{ Rows []passkeyRow }
	r.decode(s.t, &page)
	return page.Rows
}

// audited wants the account's last row of an action to have a reason, and gives it.
func (s *scene) audited(action, reason string) passkeyRow {
	s.t.Helper()
	rows := s.rows(action, s.id)
	if len(rows) == 0 {
		s.t.Fatalf("there is no row %s", action)
	}
	if rows[0].Reason != reason {
		s.t.Errorf("%s for %q, want %q", action, rows[0].Reason, reason)
	}
	return rows[0]
}

// unaudited wants no row of an action.
func (s *scene) unaudited(action string) {
	s.t.Helper()
	if rows := s.rows(action, s.id); len(rows) > 0 {
		s.t.Errorf("there is a row %+v", rows[0])
	}
}

// refused waits for the refusal, which is the same for every cause, and wants its cause in the audit log. A cause of which
// nobody is believed to be the account is written down of nobody; it may not occur in two scenes.
func (s *scene) refused(reason string) {
	s.t.Helper()
	s.do("be refused", alerted("This passkey could not be verified."))
	s.outside()
	for _, about := range []string{s.id, "unknown"} {
		if slices.ContainsFunc(s.rows("auth.login.failure", about), func(r passkeyRow) bool { return r.Reason == reason && r.Metadata["method"] == "passkey" }) {
			return
		}
	}
	s.t.Errorf("nothing was refused for %s", reason)
}

// sql changes the database behind the server's back, where else time would have to pass.
func (s *scene) sql(text string, args ...any) {
	s.t.Helper()
	if err := s.db.Tx(s.t.Context(), func(ctx context.Context, tx *store.Tx) error { _, err := tx.Exec(ctx, text, args...); return err }); err != nil {
		s.t.Fatal(err)
	}
}

// ownPasskey is one of the account's as the API lists it.
type ownPasskey struct {
	ID, Name, Model        string
	Discoverable, BackedUp bool
}

func (s *scene) passkeys() []ownPasskey {
	s.t.Helper()
	var list struct{ Passkeys []ownPasskey }
	s.in.must(http.StatusOK, "GET", "/v1/account/passkeys", s.token, nil).decode(s.t, &list)
	return list.Passkeys
}

// eventually waits for something that no page tells.
func (s *scene) eventually(what string, ok func() bool) {
	s.t.Helper()
	s.in.eventually(patient, what, func() error {
		if !ok() {
			return errNotYet
		}
		return nil
	})
}

// asked are a ceremony's options from the API.
type asked struct {
	Ceremony string
	Options  json.RawMessage
}

func (s *scene) ask(path, token string, body any) (out asked) {
	s.t.Helper()
	s.in.must(http.StatusOK, "POST", path, token, body).decode(s.t, &out)
	return out
}

// getThere has another site's page use a passkey with Sigra's question; its answer, or the name of the browser's refusal.
func (s *scene) getThere(site string) (ceremony string, answer json.RawMessage, refusal string) {
	s.t.Helper()
	q := s.ask("/v1/login/passkey/options", "", map[string]any{})
	s.do("go there", open(site), arrive("Elsewhere"))
	got := evaluated[string](s, fmt.Sprintf(`navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(%s.publicKey) })
		.then((c) => JSON.stringify(c.toJSON()), (e) => e.name)`, q.Options))
	if !strings.HasPrefix(got, "{") {
		return q.Ceremony, nil, got
	}
	return q.Ceremony, json.RawMessage(got), ""
}
