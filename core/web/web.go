package web

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/mux"
	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/cookie"
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
	ReturnTo    []string // where people may go on to after signing in or out beside Sigra itself; see NewReturnTo
	// SessionCookie is the cookie that sessions are in.
	SessionCookie cookie.SessionCookie
	Sealer        Sealer // of what a sign-in is for, on its way through the browser; nil: applications that send people here are not named

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
	*kit
	routes []route
	rules  endpoint.Table
}

// New reads the templates and assets; a mistake in an overriding one is an error here, not on a page. So is a page that does not say
// what it costs and who may see it.
func New(cfg Config) (*Pages, error) {
	if cfg.SignUps == nil || cfg.SignIns == nil || cfg.PasswordResets == nil || cfg.Sessions == nil {
		return nil, errors.New("web: sign-ups, sign-ins, password resets and sessions are needed")
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
	returnTo := NewReturnTo(cfg.BaseURL, cfg.ReturnTo)
	returnTo.sealer = cfg.Sealer
	// Browsers hold form-action against the redirect that answers a form, too, so the places to return to are in it.
	page := &renderer{
		set: settings{
			ServiceName: cfg.ServiceName, RegistrationClosed: cfg.RegistrationClosed, PasswordMinLength: cfg.PasswordMinLength,
			Usernames: cfg.Usernames, RememberMe: cfg.RememberMe, Plugins: cfg.Plugins,
		},
		goTo: returnTo, dev: cfg.Inbox != nil, forms: strings.Join(append([]string{"form-action 'self'"}, returnTo.sources()...), " "), now: cfg.Now, log: cfg.Logger,
	}
	if err := page.Use(cfg.Texts, cfg.Override); err != nil {
		return nil, err
	}
	callers := principal.NewChain(cfg.SessionCookie.Token, principal.CookieSession(cfg.Sessions))
	k := &kit{
		renderer: page, ReturnTo: returnTo,
		arrivals:  &arrivals{renderer: page, ReturnTo: returnTo, callers: callers, cookie: cfg.SessionCookie, signOut: cfg.SignIns.SignOut},
		scripts:   &scripts{renderer: page, ReturnTo: returnTo, signal: cfg.Signals},
		directory: &directory{renderer: page, ReturnTo: returnTo, others: cfg.Providers, joins: cfg.FederatedSignIns},
	}
	m := &mounter{kit: k, rules: endpoint.Table{}}
	if cfg.Recent != nil {
		m.recent = func(r *http.Request, who principal.Principal) error { return cfg.Recent(r.Context(), who) }
	}
	for _, d := range cfg.Services.domains(k) {
		d.Mount(m)
	}
	// Pictures, styles and scripts, which every page asks for.
	m.errs = append(m.errs, m.rules.Add(http.MethodGet, "/assets/", endpoint.Rules{Limit: ratelimit.Exempt, Access: endpoint.Anyone}))
	if err := errors.Join(m.errs...); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	return &Pages{kit: k, routes: m.routes, rules: m.rules}, nil
}

// Mount adds the pages to the router.
func (p *Pages) Mount(r *mux.Router) {
	for _, x := range p.routes {
		methods := []string{x.method}
		if x.method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		r.Handle(x.path, x.handler).Methods(methods...)
	}
	r.PathPrefix("/assets/").HandlerFunc(p.serveAsset).Methods(http.MethodGet, http.MethodHead)
}

// Rules are what each route of Mount declares.
func (p *Pages) Rules() endpoint.Table { return p.rules }

// Services are the flows and stores that the pages call. What is nil is not offered. Their errors are *fault.Error where a person
// can do something about them.
type Services struct {
	Sessions principal.Sessions // needed
	// Recent says nil of somebody who has proved who they are in the last minutes. Needed with Account.
	Recent func(ctx context.Context, p principal.Principal) error

	SignUps          SignUps        // needed
	SignIns          SignIns        // needed
	PasswordResets   PasswordResets // needed
	SecondFactors    SecondFactors
	StepUps          StepUps
	PasskeySignIns   PasskeySignIns
	Signals          Signals // nil: browsers are not told of passkeys that nobody has
	MagicLinks       MagicLinks
	FederatedSignIns FederatedSignIns
	Providers        Providers  // *federation.Service
	Offers           Offers     // nil: no plugin offers anything
	SignedOuts       SignedOuts // nil: a sign-out ends nothing elsewhere

	Account     OwnAccount // nil: there are no pages of the account; otherwise all from here to OwnPasskeys are needed
	OwnPassword OwnPassword
	OwnUsername OwnUsername
	OwnEmail    OwnEmail
	OwnTOTP     OwnTOTP
	OwnCodes    OwnCodes
	OwnDevices  OwnDevices
	OwnSessions OwnSessions
	OwnPasskeys OwnPasskeys
	OwnLogins   OwnLogins // nil: nothing is linked

	Organizations Organizations // nil: there are no organizations

	Inbox Inbox // nil: no /dev/mail
}

// domains are the parts of the pages that there are, by what is offered.
func (s Services) domains(k *kit) []domain {
	out := []domain{
		&home{k}, &signIn{kit: k, flows: s.SignIns, passkeys: s.PasskeySignIns, links: s.MagicLinks != nil, stepUps: s.StepUps != nil, ways: s.Offers, after: s.SignedOuts},
		&signUp{k, s.SignUps, s.Organizations}, &passwordReset{k, s.PasswordResets},
	}
	if s.Offers != nil {
		out = append(out, &offers{k, s.Offers})
	}
	if s.SecondFactors != nil {
		out = append(out, &secondFactor{k, s.SecondFactors})
	}
	if s.StepUps != nil {
		out = append(out, &stepUp{k, s.StepUps})
	}
	if s.PasskeySignIns != nil {
		out = append(out, &passkeySignIn{k, s.PasskeySignIns})
	}
	if s.MagicLinks != nil {
		out = append(out, &magicLink{k, s.MagicLinks})
	}
	if s.FederatedSignIns != nil {
		out = append(out, &providerSignIn{k, s.FederatedSignIns, s.OwnLogins})
	}
	if s.Account != nil {
		o := &ownKit{k, s.Account}
		linked := s.OwnLogins != nil && s.Providers != nil
		out = append(out,
			&accountOverview{o, s.OwnPasskeys, linked, s.Organizations != nil}, &accountPassword{o, s.OwnPassword}, &accountUsername{o, s.OwnUsername}, &accountEmail{o, s.OwnEmail},
			&accountAuthenticator{o, s.OwnTOTP}, &accountCodes{o, s.OwnCodes}, &accountDevices{o, s.OwnDevices}, &accountSessions{o, s.OwnSessions}, &accountPasskeys{o, s.OwnPasskeys})
		if linked {
			out = append(out, &accountLogins{o, s.OwnLogins})
		}
	}
	if s.Organizations != nil {
		out = append(out, &organizations{k, s.Organizations}, &management{k, s.Organizations}, &invitation{k, s.Organizations})
	}
	if s.Inbox != nil {
		out = append(out, &devMail{k, s.Inbox})
	}
	return out
}
