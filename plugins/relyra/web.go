package relyra

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"net/http"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/plugins/relyra/saml"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/lang"
)

//go:embed templates/*.html
var templateFiles embed.FS

var (
	pages = template.Must(template.New("").ParseFS(templateFiles, "templates/*.html"))
	words = lang.MustNew(texts())
)

func (p *Relyra) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /relyra/saml/{id}/login", p.answer(p.login))
	mux.HandleFunc("POST /relyra/saml/{id}/acs", p.answer(p.consume))
	mux.HandleFunc("GET /relyra/saml/{id}/acs", p.answer(p.wrongBinding))
	mux.HandleFunc("GET /relyra/saml/{id}/metadata", p.answer(p.publish))
	for _, root := range []string{"/relyra/admin", "/relyra/organization"} {
		mux.HandleFunc("GET "+root, p.answer(p.listPage))
		mux.HandleFunc("GET "+root+"/new", p.answer(p.newPage))
		mux.HandleFunc("POST "+root+"/new", p.answer(p.createPage))
		mux.HandleFunc("GET "+root+"/{id}", p.answer(p.connectionPage))
		mux.HandleFunc("POST "+root+"/{id}", p.answer(p.changePage))
		mux.HandleFunc("GET "+root+"/{id}/test", p.answer(p.testPage))
	}
	mux.HandleFunc("/", p.answer(func(http.ResponseWriter, *http.Request) error { return shown{http.StatusNotFound, "nowhere"} }))
	return mux
}

// shown is an error whose words are in the texts, under relyra.problem.<key>.
type shown struct {
	status int
	key    string
}

func (s shown) Error() string { return s.key }

// refusedSignIn is a refusal as the person sees it: a code, and where to try again.
type refusedSignIn struct {
	gate  saml.Gate
	trace uuid.UUID
	again string
}

func (r refusedSignIn) Error() string { return "sign-in refused: " + string(r.gate) }

func (p *Relyra) wrongBinding(http.ResponseWriter, *http.Request) error {
	return shown{http.StatusMethodNotAllowed, "binding"}
}

// answer runs a handler and shows what it could not do.
func (p *Relyra) answer(f func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := f(w, r)
		if err == nil {
			return
		}
		var said shown
		var refused refusedSignIn
		data := map[string]any{}
		switch {
		case errors.As(err, &refused):
			said = shown{http.StatusForbidden, "refused"}
			data["Gate"], data["Trace"], data["Again"] = refused.gate, refused.trace, refused.again
		case errors.As(err, &said):
		case errors.Is(err, errNoConnection):
			said = shown{http.StatusNotFound, "no_connection"}
		case r.Context().Err() != nil: // whoever asked has gone
			said = shown{http.StatusServiceUnavailable, "unavailable"}
		case pluginsdk.IsRetryable(err):
			p.log.Warn("request failed, it may work later", "error", err)
			said = shown{http.StatusServiceUnavailable, "unavailable"}
			w.Header().Set("Retry-After", "5")
		default:
			p.log.Error("request failed", "error", err)
			said = shown{http.StatusInternalServerError, "internal"}
		}
		data["Key"] = "relyra.problem." + said.key
		if err := p.page(w, r, said.status, "relyra.problem.title", "problem.html", data); err != nil {
			http.Error(w, http.StatusText(said.status), said.status)
		}
	}
}

// page shows a template in the house's layout.
func (p *Relyra) page(w http.ResponseWriter, r *http.Request, status int, title, name string, data map[string]any) error {
	l := words.For(words.Match("", pluginsdk.RequestInfoFrom(r.Context()).Language))
	data["L"], data["Root"] = l.Strict(), rootOf(r)
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, data); err != nil {
		return err
	}
	out, err := p.host.Pages().Render(r.Context(), pluginsdk.Page{
		Title: l.Text(title), BodyHTML: body.String(), Principal: pluginsdk.RequestPrincipal(r.Context()), Path: rootOf(r), Language: l.Code(),
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

// post sends a message by the POST binding: the browser submits a form to the identity provider. It takes a click, since pages of the house
// run no script.
func (p *Relyra) post(w http.ResponseWriter, r *http.Request, c *Connection, out *saml.Outgoing) error {
	return p.page(w, r, http.StatusOK, "relyra.post.title", "post.html", map[string]any{"Name": c.Name, "URL": out.URL, "Form": out.Form})
}

// actor says who acts on a page, and on which organization's connections. The host has let in only those who may.
func actor(r *http.Request) acting {
	who, info := pluginsdk.RequestPrincipal(r.Context()), pluginsdk.RequestInfoFrom(r.Context())
	by := acting{audit: pluginsdk.AuditEntry{Request: info}.By(who)}
	if who == nil || !who.Administrator || rootOf(r) == "/relyra/organization" {
		by.organization = "-" // nobody's
		if who != nil && who.OrganizationID != "" {
			by.organization = who.OrganizationID
		}
	}
	return by
}

func rootOf(r *http.Request) string {
	const organization = "/relyra/organization"
	if len(r.URL.Path) >= len(organization) && r.URL.Path[:len(organization)] == organization {
		return organization
	}
	return "/relyra/admin"
}

// inWords is an error that an administrator made, with what to say; ok is false for any other.
func inWords(err error) (text string, ok bool) {
	if r, is := saml.AsRefusal(err); is {
		return r.Error(), true
	}
	for _, known := range []error{errName, errOrganization, errDeleteFirst} {
		if errors.Is(err, known) {
			return known.Error(), true
		}
	}
	var enable *cannotEnable
	if errors.As(err, &enable) {
		return enable.Error(), true
	}
	return "", false
}

func (p *Relyra) organizationNames(ctx context.Context, connections []*Connection) (map[string]string, error) {
	var ids []string
	for _, c := range connections {
		ids = append(ids, c.OrganizationID)
	}
	names := map[string]string{}
	if len(ids) == 0 {
		return names, nil
	}
	found, err := p.host.Identity().Organizations(ctx, ids...)
	for _, o := range found {
		names[o.ID] = o.Name
	}
	return names, err
}
