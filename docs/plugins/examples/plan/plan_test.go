package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	run := plugintest.Start(t, plugin(), plugintest.Config{Settings: `{"name": "gold", "features": ["export"]}`})
	got, err := run.Claims(t.Context(), pluginsdk.ClaimsRequest{Principal: pluginsdk.Principal{UserID: "1", OrganizationID: "2"}, Audience: "session_jwt"})
	if err != nil || got.MaxAge != 5*time.Minute {
		t.Fatal(got, err)
	}
	if d := cmp.Diff(map[string]any{"name": "gold", "features": []any{"export"}}, got.Claims); d != "" {
		t.Error(d)
	}
	if got, err := run.Claims(t.Context(), pluginsdk.ClaimsRequest{Principal: pluginsdk.Principal{UserID: "1"}}); err != nil || len(got.Claims) != 0 {
		t.Errorf("without an organization: %v, %v", got, err)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	plugintest.Conform(t, plugin, plugintest.Options{})
}
