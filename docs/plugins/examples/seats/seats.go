package main

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

//go:embed migrations
var migrations embed.FS

// Seats counts seats.
type Seats struct{ db *sql.DB }

var _ pluginsdk.EventSink = (*Seats)(nil)

// plugin says which events it takes.
func plugin() pluginsdk.Plugin {
	return pluginsdk.Define(pluginsdk.Manifest{
		Name: "seats", Version: "1.0.0", Description: "Knows how many seats each customer has bought.",
		Events:  []string{"billing.seats.*"},
		Storage: storage.New(migrations),
	}, func(_ context.Context, host *pluginsdk.Host, _ struct{}) (*Seats, error) {
		return &Seats{host.Database()}, nil
	})
}

// Receive keeps the newest number of each customer. The same event may come again: it changes nothing then.
func (s *Seats) Receive(ctx context.Context, r pluginsdk.ReceiveRequest) (out pluginsdk.ReceiveResponse, err error) {
	err = storage.Tx(ctx, s.db, func(tx *sql.Tx) error {
		out.Refused = nil // the transaction may run again
		for _, e := range r.Events {
			var bought struct{ Seats *int }
			if json.Unmarshal(e.Data, &bought) != nil || bought.Seats == nil || *bought.Seats < 0 {
				out.Refused = append(out.Refused, pluginsdk.Refusal{ID: e.ID, Reason: `its data is not {"seats": number}`})
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
	return out, err
}
