package main

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/apitoken"
	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/sessionjwt"
	"github.com/sigra-auth/sigra/core/store"
)

func openApplications(_ context.Context, p *parts) (hooks, error) {
	var err error
	if p.applications, err = apitoken.New(apitoken.Config{DB: p.db, Audit: p.audit, Logger: p.log.Named("apitoken")}); err != nil {
		return hooks{}, err
	}
	return hooks{Run: p.applications.Run, Clean: p.applications.Clean}, nil
}

func openSessionTokens(ctx context.Context, p *parts) (hooks, error) {
	var err error
	p.tokens, err = sessionjwt.New(ctx, sessionjwt.Config{
		DB: p.db, Keys: p.keys, Audit: p.audit, Issuer: p.cfg.Server.BaseURL, Audience: p.cfg.Session.TokenAudience, Logger: p.log.Named("sessionjwt"),
	})
	if err != nil {
		return hooks{}, err
	}
	return hooks{Run: p.tokens.Run}, nil
}

func openSessions(_ context.Context, p *parts) (hooks, error) {
	var err error
	p.sessions, err = session.New(session.Config{DB: p.db, Audit: p.audit, Settings: sessionSettings(p.cfg), Logger: p.log.Named("session")})
	if err != nil {
		return hooks{}, err
	}
	return hooks{
		Run: p.sessions.Run, Clean: p.sessions.Clean, Export: p.sessions.Export,
		Erase: part.ByID(func(ctx context.Context, tx *store.Tx, id uuid.UUID) error {
			_, err := p.sessions.RevokeAllIn(ctx, tx, id, uuid.Nil)
			return err
		}),
		Reload: func(next *config.Config) error { return p.sessions.Configure(sessionSettings(next)) },
	}, nil
}
