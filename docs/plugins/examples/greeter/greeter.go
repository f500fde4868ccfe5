package main

import (
	"context"
	"embed"
	"sync/atomic"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

//go:embed migrations
var migrations embed.FS

// Settings is the config block.
type Settings struct {
	Greeting string   `sigra:"greeting,optional,default=Hello" doc:"What to say before the name."`
	Shout    bool     `sigra:"shout,optional" doc:"Say it loudly."`
	Ignore   []string `sigra:"ignore,optional" doc:"Ids of accounts that are not counted."`
}

// Greeter greets. Calls come while Configure runs, so what it sets is replaced as a whole.
type Greeter struct{ state atomic.Pointer[state] }

type state struct {
	Settings
	host *pluginsdk.Host
}

// Manifest says what the plugin is and what it needs.
func (g *Greeter) Manifest() pluginsdk.Manifest {
	return pluginsdk.Manifest{
		Name:        "greeter",
		Version:     "1.0.0",
		Description: "Greets people and counts their sign-ins.",
		Settings:    &Settings{},
		Requires:    []pluginsdk.Service{pluginsdk.PagesService},
		Wants:       []pluginsdk.Service{pluginsdk.AuditRecord},
		Routes:      []pluginsdk.Route{{Path: "/greeter", Title: "Greeter", Access: pluginsdk.SignedIn}},
		Storage:     storage.New(migrations),
	}
}

// Configure takes the settings, at the start and whenever they change.
func (g *Greeter) Configure(_ context.Context, host *pluginsdk.Host, in pluginsdk.Settings) error {
	var s Settings
	if err := in.Decode(&s); err != nil {
		return err
	}
	if len(s.Greeting) > 100 {
		return pluginsdk.Diagnostic("greeting", "The greeting is too long.", "It may have at most 100 characters.")
	}
	g.state.Store(&state{s, host})
	host.Logger().Info("ready to greet", "greeting", s.Greeting)
	return nil
}
