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
	run := plugintest.Start(t, &Plan{}, plugintest.Config{Settings: `{"name": "gold", "features": ["export"]}`})
	got, age, err := run.Claims(t.Context(), &pluginsdk.Principal{UserID: "1", OrganizationID: "2"}, "session_jwt")
	if err != nil || age != 5*time.Minute {
		t.Fatal(age, err)
	}
	if d := cmp.Diff(map[string]any{"name": "gold", "features": []any{"export"}}, got); d != "" {
		t.Error(d)
	}
	if got, _, err := run.Claims(t.Context(), &pluginsdk.Principal{UserID: "1"}, "session_jwt"); err != nil || len(got) != 0 {
		t.Errorf("without an organization: %v, %v", got, err)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	plugintest.Conform(t, func() pluginsdk.Plugin { return &Plan{} }, plugintest.Options{})
}
