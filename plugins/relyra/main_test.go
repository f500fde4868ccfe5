package relyra_test

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/plugins/relyra"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is when these tests take place.
var now = time.Date(2027, 1, 15, 10, 0, 0, 0, time.UTC)

// each runs f on a fresh database of either kind. Without a Postgres server the test fails: half of it would be missing.
func each(t *testing.T, f func(t *testing.T, at pluginsdk.Location)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, plugintest.SQLiteAt(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		if os.Getenv(plugintest.PostgresEnv) == "" {
			t.Fatalf("%s is not set: run the tests by `make quick PKG=./plugins/...`, which makes a server for them", plugintest.PostgresEnv)
		}
		at, _ := plugintest.PostgresAt(t)
		f(t, at)
	})
}

func TestConform(t *testing.T) {
	t.Parallel()
	plugintest.Conform(t, func() pluginsdk.Plugin { return relyra.New() }, plugintest.Options{RequirePostgres: true})
}
