package main

import (
	"context"
	"slices"
	"strings"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// Settings is the config block.
type Settings struct {
	Allowed []string `sigra:"allowed" doc:"Email domains whose people get in."`
}

// Domains answers questions.
type Domains struct{ allowed []string }

var _ pluginsdk.Gate = (*Domains)(nil)

// plugin says what it can be asked.
func plugin() pluginsdk.Plugin {
	return pluginsdk.Define(pluginsdk.Manifest{
		Name: "domains", Version: "1.0.0", Description: "Lets people of some email domains in, and no others.",
		Questions: []pluginsdk.GateQuestion{{Question: pluginsdk.Registration}, {Question: pluginsdk.Login}},
	}, configure)
}

// configure takes the list.
func configure(_ context.Context, _ *pluginsdk.Host, s Settings) (*Domains, error) {
	for _, domain := range s.Allowed {
		if domain != strings.ToLower(domain) || strings.Contains(domain, "@") {
			return nil, pluginsdk.Diagnostic("allowed", domain+" is no domain.", "Write it in lower case, without the @: example.com")
		}
	}
	return &Domains{s.Allowed}, nil
}

// Ask answers. A repeated question about one attempt gets the same answer, since nothing else goes into it.
func (d *Domains) Ask(_ context.Context, a pluginsdk.Ask) (pluginsdk.Answer, error) {
	switch a.Question {
	case pluginsdk.Registration, pluginsdk.Login:
		if !slices.Contains(d.allowed, a.EmailDomain()) {
			return pluginsdk.Deny("domain_not_allowed", "This service is for people of "+strings.Join(d.allowed, ", ")+"."), nil
		}
	}
	return pluginsdk.Allow(), nil
}
