package passkey_test

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// site is a few bare pages around the package and assets/passkey.js, to the contract at the script's head. Whoever asks is
// believed to be who the path says.
type site struct {
	*world
	server *httptest.Server
	script []byte

	mu     sync.Mutex
	people map[string]passkey.User
	last   error           // the last refusal
	used   passkey.Used    // what the last use found out
	calls  map[string]int  // requests by path
	broken map[string]bool // paths that answer nothing sensible
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{world: newWorld(t, storetest.Open(t, store.SQLite, sources...)), people: map[string]passkey.User{}, calls: map[string]int{}, broken: map[string]bool{}}
	var err error
	if s.script, err = os.ReadFile("../../web/assets/passkey.js"); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /passkey.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = w.Write(s.script)
	})
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /.well-known/webauthn", func(w http.ResponseWriter, r *http.Request) {
		doc, ok := s.RelatedOrigins()
		if !ok || r.Host != rpID {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(doc)
	})
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) { s.page(w, loginPage, nil) })
	mux.HandleFunc("GET /dialog", func(w http.ResponseWriter, _ *http.Request) {
		s.page(w, dialogPage, map[string]any{"Form": form{Kind: "login", What: "login"}})
	})
	mux.HandleFunc("GET /in", func(w http.ResponseWriter, r *http.Request) { s.page(w, inPage, r.URL.Query()) })
	mux.HandleFunc("GET /{page}/{who}", s.personal)
	mux.HandleFunc("POST /options/{what}/{who}", s.options)
	mux.HandleFunc("POST /options/{what}", s.options)
	mux.HandleFunc("POST /finish/{what}/{who}", s.finish)
	mux.HandleFunc("POST /finish/{what}", s.finish)
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.calls[r.URL.Path]++
		broken := s.broken[r.URL.Path]
		s.mu.Unlock()
		if broken {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write([]byte("<h1>502</h1>"))
			return
		}
		// As strict as Sigra's own.
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		w.Header().Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	}))
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0) // browsers try plain HTTP too
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	return s
}

// member makes an account under a name for the path.
func (s *site) member(name string) passkey.User {
	s.t.Helper()
	u := s.person(name + "@example.org")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.people[name] = u
	return u
}

func (s *site) who(r *http.Request) passkey.User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.people[r.PathValue("who")]
}

func (s *site) refusal() passkey.Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return passkey.ReasonOf(s.last)
}

func (s *site) called(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[path]
}

func (s *site) breaks(path string, yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken[path] = yes
}

var frame = template.Must(template.New("").Parse(`
{{define "head"}}<!doctype html><html lang="en"><meta charset="utf-8"><title>Test</title><script src="/passkey.js" defer></script>{{end}}
{{define "form"}}<form data-passkey="{{.Kind}}" data-options="/options/{{.What}}" data-finish="/finish/{{.What}}" hidden>{{with .Field}}<input name="{{.}}">{{end}}<p role="alert" hidden></p><button id="{{.Kind}}">Passkey</button></form>{{end}}`))

var (
	loginPage = template.Must(template.Must(frame.Clone()).Parse(`{{template "head"}}<h1>Sign in</h1>
<form id="classic" action="/in" method="get" data-passkey-autofill data-options="/options/login" data-finish="/finish/login"><p role="alert" hidden></p>
<input id="email" name="email" autocomplete="username webauthn"><input id="password" name="password" type="password" value="hunter2"><input type="checkbox" name="remember" checked><button id="go">Go</button></form>
<form data-passkey="login" data-options="/options/login" data-finish="/finish/login" hidden data-text-cancelled="Nothing came of it."><p role="alert" hidden></p><button id="login">Passkey</button></form>`))
	dialogPage   = template.Must(template.Must(frame.Clone()).Parse(`{{template "head"}}<h1>Sign in by passkey</h1>{{template "form" .Form}}`))
	inPage       = template.Must(template.Must(frame.Clone()).Parse(`{{template "head"}}<h1>Signed in</h1><p id="who">{{.Get "who"}}</p><p id="how">{{.Get "how"}}</p>`))
	secondPage   = template.Must(template.Must(frame.Clone()).Parse(`{{template "head"}}<h1>Second factor</h1>{{template "form" .Form}}`))
	registerPage = template.Must(template.Must(frame.Clone()).Parse(`{{template "head"}}<h1>Passkeys</h1><ul>{{range .Keys}}<li>{{.Name}}</li>{{end}}</ul><div data-passkey-signal="{{.Signals}}"></div>{{template "form" .Form}}`))
	upgradePage  = template.Must(template.Must(frame.Clone()).Parse(`{{template "head"}}<h1>Welcome</h1><div id="upgrade" data-passkey-upgrade data-options="/options/upgrade/{{.}}" data-finish="/finish/upgrade/{{.}}"></div>`))
)

func (s *site) page(w http.ResponseWriter, t *template.Template, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := t.Execute(w, data); err != nil {
		s.t.Error(err)
	}
}

type form struct{ Kind, What, Field string }

func (s *site) personal(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("who")
	switch kind := r.PathValue("page"); kind {
	case "second", "stepup":
		s.page(w, secondPage, map[string]any{"Form": form{Kind: kind, What: kind + "/" + name}})
	case "upgrade":
		s.page(w, upgradePage, name)
	case "keys":
		u := s.who(r)
		keys, err := s.List(r.Context(), s.db, u.ID)
		if err != nil {
			s.t.Error(err)
		}
		signals, err := s.Accepted(r.Context(), s.db, u)
		if err != nil {
			s.t.Error(err)
		}
		b, err := json.Marshal(signals)
		if err != nil {
			s.t.Error(err)
		}
		s.page(w, registerPage, map[string]any{"Keys": keys, "Signals": string(b), "Form": form{Kind: "register", What: "register/" + name, Field: "name"}})
	default:
		http.NotFound(w, r)
	}
}

// refuse answers with a problem document.
func (s *site) refuse(w http.ResponseWriter, err error) {
	s.mu.Lock()
	s.last = err
	s.mu.Unlock()
	f := fault.From(err)
	status := map[fault.Kind]int{fault.Unauthenticated: 401, fault.Denied: 403, fault.NotFound: 404, fault.Conflict: 409, fault.Invalid: 422}[f.Kind]
	if status == 0 {
		s.t.Error(err)
		status = 500
	}
	problem := map[string]any{"code": f.Code, "detail": f.Message}
	if signal, ok := s.UnknownCredential(err); ok {
		problem["signal"] = signal
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(problem)
}

func purposeOf(what string) passkey.Purpose {
	return map[string]passkey.Purpose{"login": passkey.PurposeLogin, "second": passkey.PurposeSecondFactor, "stepup": passkey.PurposeStepUp}[what]
}

func (s *site) options(w http.ResponseWriter, r *http.Request) {
	var body struct{ Fields map[string]string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Fields["password"] != "" {
		s.t.Errorf("%s was asked with %v, %v", r.URL.Path, body, err)
	}
	u := s.who(r)
	var c passkey.Ceremony
	err := s.try(func(ctx context.Context, tx *store.Tx) (err error) {
		switch what := r.PathValue("what"); what {
		case "register", "upgrade":
			c, err = s.BeginRegistration(ctx, tx, u, passkey.RegistrationOptions{Conditional: what == "upgrade"})
		default:
			c, err = s.BeginLogin(ctx, tx, passkey.LoginOptions{Purpose: purposeOf(what), AccountID: u.ID, RequireUV: what == "login", TrustUV: what != "login"})
		}
		return err
	})
	if err != nil {
		s.refuse(w, err)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"token": c.Token, "options": c.Options})
}

func (s *site) finish(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Token      string
		Credential json.RawMessage
		Fields     map[string]string
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Fields["password"] != "" {
		s.t.Errorf("%s was told %v, %v", r.URL.Path, body.Fields, err)
	}
	to := url.Values{}
	path := "/in"
	u := s.who(r)
	var err error
	switch what := r.PathValue("what"); what {
	case "register", "upgrade":
		path = "/keys/" + r.PathValue("who")
		var reg passkey.Registration
		if reg, err = s.VerifyRegistration(r.Context(), u.ID, body.Token, body.Credential); err == nil {
			_, err = s.add(reg, body.Fields["name"])
		}
	default:
		var a passkey.Assertion
		if a, err = s.VerifyLogin(r.Context(), purposeOf(what), u.ID, body.Token, body.Credential); err == nil {
			var used passkey.Used
			used, err = s.use(a)
			s.mu.Lock()
			s.used = used
			s.mu.Unlock()
			to.Set("who", s.nameOf(a.AccountID))
			to.Set("how", fmt.Sprintf("%s, verified %v, two factors %v, remember %q", a.Purpose, a.UserVerified, a.TwoFactors, body.Fields["remember"]))
		}
	}
	if err != nil {
		s.refuse(w, err)
		return
	}
	if len(to) > 0 {
		path += "?" + to.Encode()
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"redirect": path})
}

func (s *site) nameOf(id uuid.UUID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, u := range s.people {
		if u.ID == id {
			return name
		}
	}
	return "nobody"
}

func (s *site) address() string { return strings.TrimPrefix(s.server.URL, "https://") }
