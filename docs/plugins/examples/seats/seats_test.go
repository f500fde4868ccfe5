package main

import (
	"context"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

func TestSeats(t *testing.T) {
	t.Parallel()
	run := plugintest.Start(t, plugin(), plugintest.Config{})
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	out, err := run.Receive(t.Context(),
		pluginsdk.Event{ID: "2", Type: "billing.seats.changed", OccurredAt: noon.Add(time.Hour), Subject: "acme", Data: []byte(`{"seats": 20}`)},
		pluginsdk.Event{ID: "1", Type: "billing.seats.changed", OccurredAt: noon, Subject: "acme", Data: []byte(`{"seats": 10}`)},
		pluginsdk.Event{ID: "3", Type: "billing.seats.changed", OccurredAt: noon, Subject: "acme", Data: []byte(`{"seats": "many"}`)},
	)
	if err != nil || len(out.Refused) != 1 || out.Refused[0].ID != "3" {
		t.Fatalf("refused %v, %v", out.Refused, err)
	}
	var seats int
	if err := run.SDK().Database().QueryRowContext(t.Context(), `SELECT seats FROM seat WHERE customer = 'acme'`).Scan(&seats); err != nil || seats != 20 {
		t.Errorf("acme has %d seats, %v; the newest event says 20", seats, err)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	plugintest.Conform(t, plugin, plugintest.Options{
		Effects: func(ctx context.Context, host *pluginsdk.Host) (n int, err error) {
			err = host.Database().QueryRowContext(ctx, `SELECT count(*) FROM seat`).Scan(&n)
			return n, err
		},
	})
}
