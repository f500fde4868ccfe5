package main

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"sync/atomic"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

//go:embed migrations
var migrations embed.FS

// Seats counts seats.
type Seats struct {
	host atomic.Pointer[pluginsdk.Host]
}

var _ pluginsdk.EventSink = (*Seats)(nil)

// Manifest says which events it takes.
func (s *Seats) Manifest() pluginsdk.Manifest {
	return pluginsdk.Manifest{
		Name: "seats", Version: "1.0.0", Description: "Knows how many seats each customer has bought.",
		Events:  []string{"billing.seats.*"},
		Storage: storage.New(migrations),
	}
}

// Configure has no settings to take.
func (s *Seats) Configure(_ context.Context, host *pluginsdk.Host, _ pluginsdk.Settings) error {
	s.host.Store(host)
	return nil
}

// Receive keeps the newest number of each customer. The same event may come again: it changes nothing then.
func (s *Seats) Receive(ctx context.Context, events []pluginsdk.Event) (refused []pluginsdk.Refusal, err error) {
	err = storage.Tx(ctx, s.host.Load().Database(), func(tx *sql.Tx) error {
		refused = nil // the transaction may run again
		for _, e := range events {
			var bought struct{ Seats *int }
			if json.Unmarshal(e.Data, &bought) != nil || bought.Seats == nil || *bought.Seats < 0 {
				refused = append(refused, pluginsdk.Refusal{ID: e.ID, Reason: `its data is not {"seats": number}`})
				continue
			}
			if _, err := tx.ExecContext(ctx,
				`INSERT INTO seat (customer, seats, since) VALUES ($1, $2, $3)
				ON CONFLICT (customer) DO UPDATE SET seats = excluded.seats, since = excluded.since WHERE seat.since <= excluded.since`,
				e.Subject, *bought.Seats, e.OccurredAt); err != nil {
				return err
			}
		}
		return nil
	})
	return refused, err
}
