package threadline_test

import (
	"context"
	"testing"

	"github.com/sigra-auth/sigra/plugins/threadline"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

func TestConform(t *testing.T) {
	t.Parallel()
	plugintest.Conform(t, func() pluginsdk.Plugin { return threadline.New() }, plugintest.Options{
		RequirePostgres: true,
		Settings:        `{"page_size": 20}`,
		BadSettings:     []string{`{"page_size": 0}`, `{"page_size": 201}`, `{"page_size": -1}`, `{"page_size": 1e18}`},
		// Every entry, link and conflict counts: a redelivery must add none of them.
		Effects: func(ctx context.Context, host *pluginsdk.Host) (n int, err error) {
			err = host.Database().QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM threadline_entry) + (SELECT COUNT(*) FROM threadline_link)
				+ (SELECT COUNT(*) FROM threadline_conflict)`).Scan(&n)
			return n, err
		},
	})
}
