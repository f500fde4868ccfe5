package lockspire

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/lang"
)

//go:embed templates/*.html
var templateFiles embed.FS

var (
	pages = template.Must(template.New("").Funcs(template.FuncMap{"scope": scopeText, "day": day}).ParseFS(templateFiles, "templates/*.html"))
	words = lang.MustNew(texts())
)

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// scopeText says what a scope lets an application do; a scope of the operator's own is shown as it is.
func scopeText(l lang.Strict, scope string) (string, error) {
	if key := "lockspire.scope." + scope; words.Default().Has(key) {
		return l.Text(key)
	}
	return scope, nil
}

// leave is how a browser gets to the client.
type leave int

const (
	leaveAtOnce leave = iota // by a redirect: nothing but the client's own request stands before it
	// leaveByPage shows a page that goes on by itself. Browsers hold the form-action of a page against every redirect that answers its form,
	// also those that the client makes in turn, and the sign-in was a form.
	leaveByPage
)

// toClient sends the browser to the client with an answer (OAuth 2.0 Multiple Response Type Encoding Practices §2.1; OAuth 2.0 Form Post Response Mode).
func (in *people) toClient(w http.ResponseWriter, r *http.Request, to target, answer url.Values, how leave) error {
	answer.Set("iss", in.issuer()) // RFC 9207 §2: always, on errors too
	if to.State != nil {
		answer.Set("state", *to.State)
	}
	w.Header().Set("Cache-Control", "no-store")
	if to.Mode == "form_post" {
		return formPost(w, to.URI, answer)
	}
	address := to.URI
	switch {
	case to.Mode == "fragment":
		address += "#"
	case strings.HasSuffix(address, "?"):
	case strings.Contains(address, "?"):
		address += "&"
	default:
		address += "?"
	}
	address += answer.Encode()
	if how == leaveByPage {
		w.Header().Set("Refresh", "0; url="+address)
		data := map[string]any{"To": template.URL(address), "Host": originOf(to.URI)} //nolint:gosec // registered, see checkRedirect
		return in.page(w, r, http.StatusOK, "lockspire.leave.title", "leave.html", data)
	}
	// RFC 9700 §4.12: 303, so that nothing posted to us is posted to the client.
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// submitScript posts the form of formPage. Its hash stands in the page's policy.
const submitScript = "document.forms[0].submit()"

var (
	formPage = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>Continue</title>` +
		`<form method="post" action="{{.To}}">{{range $name, $values := .Answer}}{{range $values}}<input type="hidden" name="{{$name}}" value="{{.}}">{{end}}{{end}}` +
		`<noscript><button type="submit">Continue</button></noscript></form><script>` + submitScript + `</script></html>`))
	submitHash = func() string {
		sum := sha256.Sum256([]byte(submitScript))
		return base64.StdEncoding.EncodeToString(sum[:])
	}()
)

func formPost(w http.ResponseWriter, uri string, answer url.Values) error {
	var body bytes.Buffer
	if err := formPage.Execute(&body, map[string]any{"To": template.URL(uri), "Answer": answer}); err != nil { //nolint:gosec // registered, see checkRedirect
		return err
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'sha256-"+submitHash+"'; form-action "+originOf(uri)+"; base-uri 'none'; frame-ancestors 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(body.Bytes()) // the client is gone if this fails
	return nil
}

// page shows a template in the house's layout.
func (in *service) page(w http.ResponseWriter, r *http.Request, status int, title, name string, data map[string]any) error {
	l := words.For(words.Match("", pluginsdk.RequestInfoFrom(r.Context()).Language))
	data["L"] = l.Strict()
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, data); err != nil {
		return err
	}
	path := ""
	for _, own := range []string{applicationsPath, adminPath} {
		if strings.HasPrefix(r.URL.Path, own) {
			path = own
		}
	}
	out, err := in.host.Pages().Render(r.Context(), pluginsdk.Page{
		Title: l.Text(title), BodyHTML: body.String(), Principal: pluginsdk.RequestPrincipal(r.Context()), Path: path, Language: l.Code(),
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(out.HTML)) // the client is gone if this fails
	return nil
}

// answer runs a handler and shows what it could not do.
func (in *people) answer(f handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := f(w, r)
		if err == nil {
			return
		}
		var said *pageError
		switch {
		case errors.As(err, &said):
		case errors.Is(err, errNoClient):
			said = &pageError{Status: http.StatusNotFound, Code: "no_client"}
		default:
			said = &pageError{Status: in.trouble(r, err), Code: "server_error"}
			w.Header().Set("Retry-After", "5")
		}
		w.Header().Del("Refresh")
		data := map[string]any{"Code": said.Code, "Why": said.Why, "Key": "lockspire.problem." + said.Code}
		if !words.Default().Has("lockspire.problem." + said.Code) {
			data["Key"] = "lockspire.problem.request"
		}
		if err := in.page(w, r, said.Status, "lockspire.problem.title", "problem.html", data); err != nil {
			http.Error(w, http.StatusText(said.Status), said.Status)
		}
	}
}

// trouble logs what went wrong on our side, and gives the status for it. The log has the route and not the address, which may hold a code.
func (in *service) trouble(r *http.Request, err error) int {
	switch {
	case r.Context().Err() != nil: // whoever asked has gone
	case pluginsdk.IsRetryable(err):
		in.log.Warn("request failed, it may work later", "route", r.Pattern, "error", err)
	default:
		in.log.Error("request failed", "route", r.Pattern, "error", err)
	}
	return http.StatusServiceUnavailable
}

// protocolError is a refusal that a program gets as JSON (RFC 6749 §5.2, RFC 6750 §3).
type protocolError struct {
	Status int
	Code   string
	Why    string
	// Challenge is the WWW-Authenticate header's scheme; empty: none.
	Challenge string
}

func (e *protocolError) Error() string { return e.Code + ": " + e.Why }

func refuse(code, why string) error {
	return &protocolError{Status: http.StatusBadRequest, Code: code, Why: why}
}

// answer runs a handler and tells in JSON what it could not do.
func (in *programs) answer(f handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store") // RFC 6749 §5.1
		w.Header().Set("Pragma", "no-cache")
		if preflight, err := in.cors(w, r); preflight {
			return
		} else if err != nil {
			in.trouble(r, err) // the browser is told nothing about this origin
		}
		err := f(w, r)
		if err == nil {
			return
		}
		var said *protocolError
		if !errors.As(err, &said) {
			said = &protocolError{Status: in.trouble(r, err), Code: "temporarily_unavailable", Why: "try again shortly"}
			w.Header().Set("Retry-After", "1")
		}
		switch said.Challenge {
		case "Basic":
			w.Header().Set("WWW-Authenticate", `Basic realm="`+in.issuer()+`", charset="UTF-8"`)
		case "Bearer":
			v := `Bearer realm="` + in.issuer() + `"`
			if said.Code != "" { // RFC 6750 §3.1: no code where no token came
				v += `, error="` + said.Code + `", error_description="` + said.Why + `"`
			}
			w.Header().Set("WWW-Authenticate", v)
		}
		body := map[string]string{}
		if said.Code != "" {
			body["error"] = said.Code
			if said.Why != "" {
				body["error_description"] = said.Why
			}
		}
		_ = writeJSON(w, said.Status, body)
	}
}

func writeJSON(w http.ResponseWriter, status int, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the client is gone if this fails
	return nil
}
