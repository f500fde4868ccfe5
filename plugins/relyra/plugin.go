package relyra

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/lang"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// Version is Relyra's own.
const Version = "0.1.0"

// name is what the plugin's routes, cookies and audit actions stand under.
const name = "relyra"

var (
	//go:embed migrations
	migrations embed.FS

	//go:embed texts
	textFiles embed.FS
)

// sweepInterval is how often what has expired is removed.
const sweepInterval = 10 * time.Minute

// Relyra is the satellite at work.
type Relyra struct {
	now   func() time.Time
	host  *pluginsdk.Host
	log   hclog.Logger
	store *store
	mux   *http.ServeMux
}

var (
	_ pluginsdk.Routes       = (*Relyra)(nil)
	_ pluginsdk.LoginMethods = (*Relyra)(nil)
	_ pluginsdk.Commands     = (*Relyra)(nil)
)

// New is the satellite as Sigra runs it.
func New() pluginsdk.Plugin {
	return At(func() time.Time { return time.Now().UTC() })
}

// At is New with a clock.
func At(now func() time.Time) pluginsdk.Plugin {
	return pluginsdk.Define(pluginsdk.Manifest{
		Name:        name,
		Version:     Version,
		Description: "Sign-in with a company's own identity provider, by SAML 2.0",
		Requires: []pluginsdk.Grant{
			pluginsdk.IdentityRead, pluginsdk.SessionsWrite, pluginsdk.DomainsRead, pluginsdk.SealUse, pluginsdk.AuditRecord, pluginsdk.PagesRender, pluginsdk.LeaseHold,
		},
		Wants: []pluginsdk.Grant{pluginsdk.SessionsAssure, pluginsdk.SessionsAdministrators},
		Routes: []pluginsdk.Route{
			{Path: "/relyra/saml", Access: pluginsdk.Public, CrossSite: pluginsdk.CrossSiteAnonymous, MaxBody: maxForm},
			{Path: "/relyra/admin", Title: "relyra.title", Section: pluginsdk.AdministrationSection, Access: pluginsdk.Administrators, MaxBody: maxUpload},
			{Path: "/relyra/organization", Title: "relyra.title", Section: pluginsdk.OrganizationSection, Access: pluginsdk.OrganizationAdministrators, MaxBody: maxUpload},
		},
		Actions:  actions(),
		Commands: commands(now),
		Texts:    lang.MustNew(texts()),
		Storage:  storage.New(migrations),
	}, func(_ context.Context, host *pluginsdk.Host, _ struct{}) (*Relyra, error) {
		p := &Relyra{now: now, host: host, log: host.Logger(), store: &store{db: host.Database()}}
		p.mux = p.routes()
		host.Every("sweep", sweepInterval, func(ctx context.Context) error { return errors.Join(p.followAll(ctx), p.store.sweep(ctx, p.now())) })
		return p, nil
	})
}

func texts() fs.FS {
	root, err := fs.Sub(textFiles, "texts")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return root
}

func actions() []pluginsdk.Action {
	change := func(verb, crud, description string) pluginsdk.Action {
		return pluginsdk.Action{
			Name: name + ".connection." + verb, Description: description, CRUD: crud, Metadata: []string{"name", "idp_entity_id", "certificates"}, Webhooks: true, Timeline: true,
		}
	}
	return []pluginsdk.Action{
		change("create", "c", "A connection to an identity provider was made."),
		change("update", "u", "What is agreed with an identity provider was changed."),
		change("enable", "u", "A connection was opened for sign-in."),
		change("disable", "u", "A connection was closed for sign-in."),
		change("delete", "d", "A connection was deleted."),
		{
			Name: name + ".sign_in.refused", Description: "What an identity provider sent was refused.", CRUD: "c", Outcomes: []string{"failure"},
			Metadata: []string{"gate", "trace_id"}, Timeline: true,
		},
	}
}

// ServeHTTP implements pluginsdk.Routes.
func (p *Relyra) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }
