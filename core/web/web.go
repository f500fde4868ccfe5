package web

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"
	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// Link is an entry of the navigation, and of the account page, which also shows the description.
type Link struct{ Title, Path, Description string }

// Config is what the pages are made of.
type Config struct {
	BaseURL     string   // Sigra's own address
	ServiceName string   // what pages call this service; empty means Sigra
	ReturnTo    []string // origins, besides Sigra's own, to send people back to after signing in

	Services
	Plugins func(who principal.Principal, language string) []Link // pages of plugins this person may open; nil means none

	RegistrationClosed bool
	PasswordMinLength  int            // said beside the field; zero means 8
	Usernames          flow.Usernames // as the flows have it
	RememberMe         bool           // offer "stay signed in"

	Texts    *lang.Catalogues // nil: those that are built in
	Override fs.FS            // templates/… and assets/… in it replace those of the same name; nil means none

	Logger hclog.Logger // nil means silent
	Now    func() time.Time
}

// Pages serves the pages. Make it with New. Words, templates and assets can change while it does, see Use.
type Pages struct {
	cfg      Config
	log      hclog.Logger
	now      atomic.Pointer[skin]
	returnTo ReturnTo
	rules    endpoint.Table
	forms    string // form-action of the pages' Content-Security-Policy
}

// New reads the templates and assets; a mistake in an overriding one is an error here, not on a page.
func New(cfg Config) (*Pages, error) {
	if cfg.Auth == nil || cfg.Sessions == nil {
		return nil, errors.New("web: Auth and Sessions are needed")
	}
	if originOf(cfg.BaseURL) == "" {
		return nil, fmt.Errorf("web: base URL %q is not an http or https address", cfg.BaseURL)
	}
	if cfg.ServiceName == "" {
		cfg.ServiceName = "Sigra"
	}
	if cfg.PasswordMinLength == 0 {
		cfg.PasswordMinLength = 8
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return time.Now().UTC() }
	}
	p := &Pages{rules: endpoint.Table{}, cfg: cfg, log: cfg.Logger, returnTo: NewReturnTo(cfg.BaseURL, cfg.ReturnTo)}
	if err := p.Use(cfg.Texts, cfg.Override); err != nil {
		return nil, err
	}
	// Browsers hold form-action against the redirect that answers a form, too, so the places to return to are in it.
	targets := p.returnTo.allowedOrigins()
	slices.Sort(targets)
	p.forms = strings.Join(append([]string{"form-action 'self'"}, targets...), " ")
	r := mux.NewRouter()
	p.Mount(r)
	return p, r.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		template, err := route.GetPathTemplate()
		if err != nil {
			return err
		}
		methods, err := route.GetMethods()
		if err != nil {
			return err
		}
		for _, m := range methods {
			rules := endpoint.Rules{Limit: classes[m+" "+template], Access: endpoint.Anyone, Body: maxForm}
			if rules.Limit == "" {
				rules.Limit = ratelimit.General
			}
			if template == "/assets/" {
				rules.Limit = ratelimit.Exempt
			}
			p.rules[m+" "+template] = rules
		}
		return nil
	})
}

// Rules are what each route of Mount declares.
func (p *Pages) Rules() endpoint.Table { return p.rules }

// classes are the pages that are not of class general.
var classes = map[string]ratelimit.Class{
	"POST /login": ratelimit.Hash, "POST /confirm": ratelimit.Guess, "POST /register/check-mail": ratelimit.Guess, "POST /set-password": ratelimit.Hash,
	"POST /login/second-factor": ratelimit.Guess, "POST /login/second-factor/passkey/finish": ratelimit.Guess, "POST /login/passkey/finish": ratelimit.Guess,
	"POST /login/link/sent": ratelimit.Guess, "POST /login/link/open": ratelimit.Guess, "POST /login/link/approve": ratelimit.Guess, "POST /reset/sent": ratelimit.Guess,
	"POST /step-up": ratelimit.Guess, "POST /step-up/passkey/finish": ratelimit.Guess, "POST /account/password": ratelimit.Hash,
	"POST /register": ratelimit.Mail, "POST /register/resend": ratelimit.Mail, "POST /reset": ratelimit.Mail, "POST /login/link": ratelimit.Mail, "POST /step-up/mail": ratelimit.Mail,
}

// mounter adds a page to the router: what shows it, what takes its form. Either may be nil.
type mounter func(path string, show, take http.HandlerFunc)

// Mount adds the pages to the router.
func (p *Pages) Mount(r *mux.Router) {
	on := func(path string, show, take http.HandlerFunc) {
		if show != nil {
			r.HandleFunc(path, show).Methods(http.MethodGet, http.MethodHead)
		}
		if take != nil {
			r.HandleFunc(path, take).Methods(http.MethodPost)
		}
	}
	on("/", p.home, nil)
	on("/language", nil, p.chooseLanguage)
	p.mountSignIn(on)
	p.mountAccount(on)
	if p.cfg.Inbox != nil {
		on("/dev/mail", p.inbox, nil)
		on("/dev/mail/{id}", p.message, nil)
		on("/dev/mail/{id}/html", p.messageHTML, nil)
	}
	r.PathPrefix("/assets/").HandlerFunc(p.serveAsset).Methods(http.MethodGet, http.MethodHead)
}
