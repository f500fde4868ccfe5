package lockspire

import (
	"context"
	"embed"
	"io/fs"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/lang"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// Version is Lockspire's own.
const Version = "0.1.0"

// name is what the plugin's pages, cookies and audit actions stand under.
const name = "lockspire"

// The pages that don't move with the issuer.
const (
	applicationsPath = "/lockspire/applications"
	adminPath        = "/lockspire/admin"
)

var (
	//go:embed migrations
	migrations embed.FS

	//go:embed texts
	textFiles embed.FS
)

const (
	sweepInterval = 10 * time.Minute
	keyInterval   = time.Hour
	maxForm       = 32 << 10 // bytes of a form
)

// service is what all parts share: what grants and tokens are, whoever asks.
type service struct {
	settings settings
	host     *pluginsdk.Host
	log      hclog.Logger
	now      func() time.Time
	store    *store
	grants   *grants
	keys     *keyring
}

// programs answers programs: the token endpoint and those beside it.
type programs struct{ *service }

// people answers browsers: authorization, consent, and what a person has allowed.
type people struct{ *service }

// registrar registers clients, for administrators by page and for operators by command.
type registrar struct{ *service }

// instance is Lockspire with one set of settings.
type instance struct {
	*service
	programs  *programs
	people    *people
	registrar *registrar
	mux       *http.ServeMux
}

var (
	_ pluginsdk.Routes         = (*instance)(nil)
	_ pluginsdk.Commands       = (*instance)(nil)
	_ pluginsdk.Subject        = (*instance)(nil)
	_ pluginsdk.HealthReporter = (*instance)(nil)
)

// New is the satellite as Sigra runs it.
func New() pluginsdk.Plugin { return At(time.Now) }

// At is New with a clock.
func At(now func() time.Time) pluginsdk.Plugin {
	utc := func() time.Time { return now().UTC().Truncate(time.Microsecond) } // what both databases keep
	return pluginsdk.Define(pluginsdk.Manifest{
		Name:        name,
		Version:     Version,
		Description: "OAuth 2.0 and OpenID Connect authorization server",
		Requires: []pluginsdk.Grant{
			pluginsdk.IdentityRead, pluginsdk.SessionsRead, pluginsdk.SealUse, pluginsdk.AuditRecord, pluginsdk.PagesRender, pluginsdk.LeaseHold,
		},
		Wants:    []pluginsdk.Grant{pluginsdk.ClaimsRead},
		Routes:   routes(),
		Actions:  actions(),
		Commands: commands(),
		Texts:    lang.MustNew(texts()),
		Storage:  storage.New(migrations),
	}, func(_ context.Context, host *pluginsdk.Host, s settings) (*instance, error) {
		if err := s.check(); err != nil {
			return nil, err
		}
		db := host.Database()
		shared := &service{
			settings: s, host: host, log: host.Logger(), now: utc, store: &store{db: db}, grants: &grants{db: db},
			keys: &keyring{db: db, seal: host.Seal(), now: utc},
		}
		in := &instance{service: shared, programs: &programs{shared}, people: &people{shared}, registrar: &registrar{shared}}
		in.mux = in.handlers()
		host.Every("sweep", sweepInterval, func(ctx context.Context) error { return in.store.sweep(ctx, in.now()) })
		host.Every("keys", keyInterval, func(ctx context.Context) error { return in.keys.rotateDue(ctx, s.KeyRotation) })
		return in, nil
	})
}

func texts() fs.FS {
	root, err := fs.Sub(textFiles, "texts")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return root
}

func routes() []pluginsdk.Route {
	program := func(path string) pluginsdk.Route {
		return pluginsdk.Route{Path: path, Access: pluginsdk.Public, CrossSite: pluginsdk.CrossSiteMachine, MaxBody: maxForm}
	}
	return []pluginsdk.Route{
		program("{issuer_path}/.well-known/openid-configuration"),
		program("/.well-known/oauth-authorization-server{issuer_path}"), // RFC 8414 §3.1: in front of the issuer's path
		program("{issuer_path}/jwks"),
		program("{issuer_path}/token"),
		program("{issuer_path}/userinfo"),
		program("{issuer_path}/revoke"),
		program("{issuer_path}/introspect"),
		// A page of another site may post a request here; it is looked at as nobody's, and the person comes back by GET.
		{Path: "{issuer_path}/authorize", Access: pluginsdk.Public, CrossSite: pluginsdk.CrossSiteAnonymous, MaxBody: maxForm},
		{Path: "{issuer_path}/interaction", Access: pluginsdk.Public, CrossSite: pluginsdk.CrossSiteRefused, MaxBody: maxForm},
		{Path: applicationsPath, Title: "lockspire.applications.title", Section: pluginsdk.AccountSection, Access: pluginsdk.SignedIn, MaxBody: maxForm},
		{Path: adminPath, Title: "lockspire.admin.title", Section: pluginsdk.AdministrationSection, Access: pluginsdk.Administrators, MaxBody: maxForm},
	}
}

// handler is an HTTP handler that leaves its errors to others: programs.answer or people.answer.
type handler func(http.ResponseWriter, *http.Request) error

func (in *instance) handlers() *http.ServeMux {
	mux, at := http.NewServeMux(), in.settings.IssuerPath
	mux.HandleFunc(at+"/.well-known/openid-configuration", in.programs.discovery)
	mux.HandleFunc("/.well-known/oauth-authorization-server"+at, in.programs.discovery)
	mux.HandleFunc(at+"/jwks", in.programs.jwks)
	for path, f := range map[string]handler{
		"/token": in.programs.token, "/userinfo": in.programs.userinfo, "/revoke": in.programs.revoke, "/introspect": in.programs.introspect,
	} {
		mux.HandleFunc(at+path, in.programs.answer(f))
	}
	for pattern, f := range map[string]handler{
		at + "/authorize":                     in.people.authorize,
		"GET " + at + "/interaction/{id}":     in.people.resume,
		"POST " + at + "/interaction/{id}":    in.people.decide,
		"GET " + applicationsPath:             in.people.applicationsPage,
		"POST " + applicationsPath:            in.people.withdraw,
		"GET " + adminPath:                    in.registrar.clientsPage,
		"GET " + adminPath + "/clients/{id}":  in.registrar.clientPage,
		"POST " + adminPath + "/clients/{id}": in.registrar.changeClient,
		"/": func(http.ResponseWriter, *http.Request) error {
			return &pageError{Status: http.StatusNotFound, Code: "not_found"}
		},
	} {
		mux.HandleFunc(pattern, in.people.answer(f))
	}
	return mux
}

// issuer is what tokens say who issued them.
func (in *service) issuer() string { return in.host.BaseURL() + in.settings.IssuerPath }

// ServeHTTP implements pluginsdk.Routes.
func (in *instance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// RFC 9700 §4.2.4: an address may have a code or state in it.
	w.Header().Set("Referrer-Policy", "no-referrer")
	in.mux.ServeHTTP(w, r)
}

// Command implements pluginsdk.Commands: `sigra lockspire …`.
func (in *instance) Command(ctx context.Context, c *pluginsdk.CommandCall) error {
	return in.registrar.command(ctx, c)
}

func actions() []pluginsdk.Action {
	about := []string{"name", "kind", "scopes"}
	action := func(what, crud, description string, outcomes ...string) pluginsdk.Action {
		return pluginsdk.Action{Name: name + "." + what, Description: description, CRUD: crud, Outcomes: outcomes, Metadata: about, Webhooks: true, Timeline: true}
	}
	return []pluginsdk.Action{
		action("client.create", "c", "A client was registered."),
		action("client.disable", "u", "A client was disabled and its grants ended."),
		action("client.enable", "u", "A client was enabled."),
		action("client.delete", "d", "A client was deleted with all its grants."),
		action("client.rotate_secret", "u", "A client got another secret."),
		action("consent.grant", "c", "A person allowed an application access."),
		action("consent.refuse", "c", "A person refused an application access.", "failure"),
		action("consent.withdraw", "d", "A person withdrew an application's access."),
		action("token.issue", "c", "Tokens were issued for an authorization."),
		action("token.revoke", "d", "An application gave back a token; its grant ended."),
		action("token.reuse", "u", "A code or refresh token came a second time; its grant ended.", "failure"),
		action("key.rotate", "u", "A signing key was replaced by command."),
	}
}

// record writes an audit row. It is called inside the transaction of what it tells of, before that commits: a change without its row can't be.
func (in *service) record(ctx context.Context, e pluginsdk.AuditEntry, what string, c *Client, scopes []string) error {
	e.Action = name + "." + what
	if e.Outcome == "" {
		e.Outcome = "success"
	}
	if c != nil {
		e.Targets = append(e.Targets, pluginsdk.Ref{Type: "oauth_client", ID: c.ID, Display: c.Name})
		e.Metadata = map[string]any{"name": c.Name, "kind": string(c.Kind)}
		if scopes != nil {
			list := []any{}
			for _, s := range scopes {
				list = append(list, s)
			}
			e.Metadata["scopes"] = list
		}
	}
	if e.IdempotencyKey == "" {
		e.IdempotencyKey = uuid.Must(uuid.NewV7()).String()
	}
	_, err := in.host.Audit().Record(ctx, e)
	return err
}

// byClient is a row of which a client is the actor.
func byClient(ctx context.Context, c *Client) pluginsdk.AuditEntry {
	return pluginsdk.AuditEntry{Actor: pluginsdk.Ref{Type: "oauth_client", ID: c.ID, Display: c.Name}, Request: pluginsdk.RequestInfoFrom(ctx)}
}

// Health implements pluginsdk.HealthReporter.
func (in *instance) Health(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
	defer cancel()
	facts := map[string]string{"issuer": in.issuer()}
	for what, query := range map[string]string{"clients": `SELECT count(*) FROM lockspire_client`, "keys": `SELECT count(*) FROM lockspire_key`} {
		var n int64
		err := in.store.db.QueryRowContext(ctx, query).Scan(&n)
		switch {
		case ctx.Err() != nil:
			facts["database"] = "busy"
			return facts, nil
		case err != nil:
			return facts, err
		}
		facts[what] = strconv.FormatInt(n, 10)
	}
	return facts, nil
}

// Export implements pluginsdk.Subject.
func (in *instance) Export(ctx context.Context, r pluginsdk.ExportRequest) (pluginsdk.ExportResponse, error) {
	consents, err := in.store.consents(ctx, in.store.db, r.UserID, "")
	if err != nil {
		return pluginsdk.ExportResponse{}, pluginsdk.Retryable(err)
	}
	standing, err := in.grants.standing(ctx, r.UserID, in.now(), 1000)
	if err != nil {
		return pluginsdk.ExportResponse{}, pluginsdk.Retryable(err)
	}
	type exported struct {
		ClientID  string    `json:"client_id"`
		Scopes    []string  `json:"scopes"`
		CreatedAt time.Time `json:"created_at"`
		UsedAt    time.Time `json:"used_at"`
	}
	list := []exported{}
	for _, g := range standing {
		list = append(list, exported{g.ClientID, g.Detail.Scopes, g.CreatedAt, g.UsedAt})
	}
	return pluginsdk.ExportResponse{Data: map[string]any{"consents": append([]consent{}, consents...), "authorizations": list}}, nil
}

// Erase implements pluginsdk.Subject.
func (in *instance) Erase(ctx context.Context, r pluginsdk.EraseRequest) (pluginsdk.EraseResponse, error) {
	return pluginsdk.EraseResponse{}, pluginsdk.Retryable(erase(ctx, in.store.db, r.UserID))
}
