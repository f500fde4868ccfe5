package main

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// Settings is the config block.
type Settings struct {
	Allowed []string `sigra:"allowed" doc:"E-mail domains whose people get in."`
}

// Domains answers questions.
type Domains struct{ allowed atomic.Pointer[[]string] }

var _ pluginsdk.Gate = (*Domains)(nil)

// Manifest says what it can be asked.
func (d *Domains) Manifest() pluginsdk.Manifest {
	return pluginsdk.Manifest{
		Name: "domains", Version: "1.0.0", Description: "Lets people of some e-mail domains in, and no others.", Settings: &Settings{},
		Questions: []pluginsdk.Question{pluginsdk.Registration, pluginsdk.Login},
	}
}

// Configure takes the list.
func (d *Domains) Configure(_ context.Context, _ *pluginsdk.Host, in pluginsdk.Settings) error {
	var s Settings
	if err := in.Decode(&s); err != nil {
		return err
	}
	for _, domain := range s.Allowed {
		if domain != strings.ToLower(domain) || strings.Contains(domain, "@") {
			return pluginsdk.Diagnostic("allowed", domain+" is no domain.", "Write it in lower case, without the @: example.com")
		}
	}
	d.allowed.Store(&s.Allowed)
	return nil
}

// Ask answers. A repeated question about one attempt gets the same answer, since nothing else goes into it.
func (d *Domains) Ask(_ context.Context, a pluginsdk.Ask) (pluginsdk.Answer, error) {
	switch a.Question {
	case pluginsdk.Registration, pluginsdk.Login:
		domain, _ := a.Context["email_domain"].(string)
		if !slices.Contains(*d.allowed.Load(), domain) {
			return pluginsdk.Deny("domain_not_allowed", "This service is for people of "+strings.Join(*d.allowed.Load(), ", ")+"."), nil
		}
	}
	return pluginsdk.Allow(), nil
}
