package main

import (
	"context"
	"sync/atomic"
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
type Plan struct{ settings atomic.Pointer[Settings] }

var _ pluginsdk.Claims = (*Plan)(nil)

// Manifest names the claims. They stand below the plugin's own name, so they can't clash with others.
func (p *Plan) Manifest() pluginsdk.Manifest {
	return pluginsdk.Manifest{
		Name: "plan", Version: "1.0.0", Description: "Says which plan somebody has.", Settings: &Settings{}, Claims: []string{"name", "features"},
	}
}

// Configure takes the plan.
func (p *Plan) Configure(_ context.Context, _ *pluginsdk.Host, in pluginsdk.Settings) error {
	var s Settings
	if err := in.Decode(&s); err != nil {
		return err
	}
	p.settings.Store(&s)
	return nil
}

// Claims is asked in the way of a request, so it must be quick: what takes time is worked out beforehand.
func (p *Plan) Claims(_ context.Context, who pluginsdk.Principal, _ string) (map[string]any, time.Duration, error) {
	s := p.settings.Load()
	if who.OrganizationID == "" {
		return nil, s.MaxAge, nil
	}
	features := []any{}
	for _, f := range s.Features {
		features = append(features, f)
	}
	return map[string]any{"name": s.Name, "features": features}, s.MaxAge, nil
}
