package main

import (
	"context"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// Settings is the config block.
type Settings struct {
	Name     string        `sigra:"name,default=free" doc:"The plan of everybody without one of their own."`
	Features []string      `sigra:"features,optional" doc:"What is in it."`
	MaxAge   time.Duration `sigra:"max_age,default=5m" doc:"How long the claims may be used again."`
}

// Plan adds claims.
type Plan struct{ Settings }

var _ pluginsdk.Claims = (*Plan)(nil)

// plugin names the claims. They stand below the plugin's own name, so they can't clash with others.
func plugin() pluginsdk.Plugin {
	return pluginsdk.Define(pluginsdk.Manifest{
		Name: "plan", Version: "1.0.0", Description: "Says which plan somebody has.", Claims: []string{"name", "features"},
	}, func(_ context.Context, _ *pluginsdk.Host, s Settings) (*Plan, error) { return &Plan{s}, nil })
}

// Claims is asked in the way of a request, so it must be quick: what takes time is worked out beforehand.
func (p *Plan) Claims(_ context.Context, r pluginsdk.ClaimsRequest) (pluginsdk.ClaimsResponse, error) {
	if r.Principal.OrganizationID == "" {
		return pluginsdk.ClaimsResponse{MaxAge: p.MaxAge}, nil
	}
	return pluginsdk.ClaimsResponse{Claims: map[string]any{"name": p.Name, "features": p.Features}, MaxAge: p.MaxAge}, nil
}
