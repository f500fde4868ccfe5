package main

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

func TestGreeter(t *testing.T) {
	t.Parallel()
	run := plugintest.Start(t, plugin(), plugintest.Config{Settings: `{"greeting": "Good day"}`})
	if _, err := run.Record(t.Context(), plugintest.Rows()...); err != nil {
		t.Fatal(err)
	}
	resp, err := run.Client(plugintest.Ada).Get("http://sigra/greeter")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if want := "Good day, Ada! You have signed in 1 times."; !strings.Contains(string(body), want) {
		t.Errorf("the page is %q, it should say %q", body, want)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	plugintest.Conform(t, plugin, plugintest.Options{
		BadSettings: []string{`{"greeting": "` + strings.Repeat("x", 101) + `"}`},
		Effects: func(ctx context.Context, host *pluginsdk.Host) (n int, err error) {
			err = host.Database().QueryRowContext(ctx, `SELECT count(*) FROM sign_in`).Scan(&n)
			return n, err
		},
	})
}
