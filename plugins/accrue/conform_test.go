package accrue_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/plugins/accrue"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConform(t *testing.T) {
	t.Parallel()
	plugintest.Conform(t, accrue.New, plugintest.Options{
		RequirePostgres: true,
		Settings:        `{"plan": {"team": {"seats": 5, "features": ["sso"], "limits": {"projects": 10}}}}`,
		BadSettings:     []string{`{"unsubscribed_seats": -2}`, `{"past_due_grace_days": 366}`, `{"plan": {"team": {"seats": -1}}}`, `{"plan": {"team": {"seats": 1000001}}}`},
		Effects: func(ctx context.Context, host *pluginsdk.Host) (n int, err error) {
			err = host.Database().QueryRowContext(ctx, `SELECT (SELECT count(*) FROM accrue_event) + (SELECT count(*) FROM accrue_seat)`).Scan(&n)
			return n, err
		},
	})
}
