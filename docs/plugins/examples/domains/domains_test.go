package main

import (
	"testing"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

func TestDomains(t *testing.T) {
	t.Parallel()
	run := plugintest.Start(t, &Domains{}, plugintest.Config{Settings: `{"allowed": ["example.com"]}`})
	for domain, want := range map[string]string{"example.com": "allow", "example.net": "deny", "": "deny"} {
		for _, q := range []pluginsdk.Question{pluginsdk.Registration, pluginsdk.Login} {
			d, err := run.Ask(t.Context(), pluginsdk.Ask{Question: q, Context: map[string]any{"email_domain": domain}})
			if err != nil || d.Answer != want {
				t.Errorf("%s of %q: %+v, %v; want %s", q, domain, d, err, want)
			}
		}
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	plugintest.Conform(t, func() pluginsdk.Plugin { return &Domains{} }, plugintest.Options{
		Settings:    `{"allowed": ["example.com"]}`,
		BadSettings: []string{`{"allowed": ["@example.com"]}`},
	})
}
