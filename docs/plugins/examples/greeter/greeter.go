package main

import (
	"context"
	"embed"

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

// Greeter greets, with one set of settings.
type Greeter struct {
	Settings
	host *pluginsdk.Host
}

// plugin says what the plugin is and what it needs.
func plugin() pluginsdk.Plugin {
	return pluginsdk.Define(pluginsdk.Manifest{
		Name:        "greeter",
		Version:     "1.0.0",
		Description: "Greets people and counts their sign-ins.",
		Requires:    []pluginsdk.Grant{pluginsdk.PagesRender},
		Wants:       []pluginsdk.Grant{pluginsdk.AuditRecord},
		Routes:      []pluginsdk.Route{{Path: "/greeter", Title: "Greeter", Access: pluginsdk.SignedIn}},
		Storage:     storage.New(migrations),
	}, configure)
}

// configure makes a Greeter, at the start and whenever the settings change.
func configure(_ context.Context, host *pluginsdk.Host, s Settings) (*Greeter, error) {
	if len(s.Greeting) > 100 {
		return nil, pluginsdk.Diagnostic("greeting", "The greeting is too long.", "It may have at most 100 characters.")
	}
	host.Logger().Info("ready to greet", "greeting", s.Greeting)
	return &Greeter{s, host}, nil
}
