package main

import (
	"testing"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

func TestDomains(t *testing.T) {
	t.Parallel()
	run := plugintest.Start(t, plugin(), plugintest.Config{Settings: `{"allowed": ["example.com"]}`})
	for domain, want := range map[string]string{"example.com": "allow", "example.net": "deny", "": "deny"} {
		for _, q := range []pluginsdk.Question{pluginsdk.Registration, pluginsdk.Login} {
			ask := plugintest.SampleAsk(q)
			if ask.Login != nil {
				ask.Login.EmailDomain = domain
			} else {
				ask.Registration.EmailDomain = domain
			}
			d, err := run.Ask(t.Context(), ask)
			if err != nil || d.Decision != want {
				t.Errorf("%s of %q: %+v, %v; want %s", q, domain, d, err, want)
			}
		}
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	plugintest.Conform(t, plugin, plugintest.Options{
		Settings:    `{"allowed": ["example.com"]}`,
		BadSettings: []string{`{"allowed": ["@example.com"]}`},
	})
}
