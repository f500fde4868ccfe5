package event

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/commitlog"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the table host_event; it needs core/audit's.
//
//go:embed migrations
var Migrations embed.FS

// Config says where events lie.
type Config struct {
	DB       *store.DB        // migrated
	Now      func() time.Time // nil: the clock
	OnCommit func()           // called when events were stored; nil: nobody
	Reserved []string         // further first words that no application may use, beside Sigra's own
	MaxData  int              // bytes of data per event; 0: 64 KiB, which is also the most
}

// Store keeps host-emitted events. Safe for concurrent use.
type Store struct {
	db       *store.DB
	now      func() time.Time
	cl       *commitlog.Log
	reserved map[string]bool
	maxData  int
}

const (
	table   = "host_event"
	columns = `id, type, occurred_at, received_at, subject, source, data, organization_id, schema_name, version`
)

// New opens the store.
func New(cfg Config) (*Store, error) {
	if cfg.DB == nil {
		return nil, errors.New("the event store needs a database")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.MaxData <= 0 || cfg.MaxData > MaxData {
		cfg.MaxData = MaxData
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cl, err := commitlog.Open(ctx, commitlog.Config{DB: cfg.DB, Table: table, Columns: columns, Time: "received_at"})
	if err != nil {
		return nil, err
	}
	if cfg.OnCommit != nil {
		cl.OnCommit(func(commitlog.Position) { cfg.OnCommit() })
	}
	s := &Store{db: cfg.DB, now: cfg.Now, cl: cl, reserved: map[string]bool{}, maxData: cfg.MaxData}
	for _, r := range cfg.Reserved {
		s.reserved[r] = true
	}
	return s, nil
}

// Commits is the store in commit order, as the relay reads it.
func (s *Store) Commits() *commitlog.Log { return s.cl }

func (s *Store) isReserved(typ string) bool {
	for i, c := range typ {
		if c == '.' {
			return s.reserved[typ[:i]] || audit.Reserved(typ)
		}
	}
	return true
}

var insertSQL = `INSERT INTO host_event (era, id, type, occurred_at, received_at, subject, source, data, digest, organization_id, schema_name, version)
VALUES (` + commitlog.EraSQL(table) + `, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (id) DO NOTHING RETURNING era, tx, seq`

const digestSQL = `SELECT digest FROM host_event WHERE id = $1`

// Publish stores a batch of at most 500 events, all of them or none, and tells how many were new and how many had
// been stored before. An id that was used for other content is a conflict that names it.
func (s *Store) Publish(ctx context.Context, events []Event) (stored, duplicate int, err error) {
	if len(events) > MaxBatch {
		return 0, 0, fault.Newf(fault.TooLarge, "batch_too_large", "A batch has %d events; at most %d are taken.", len(events), MaxBatch).At("events")
	}
	now := s.now().UTC().Truncate(time.Microsecond)
	batch := make([]Event, len(events))
	digests := make([][]byte, len(events))
	for i, e := range events {
		if digests[i], err = s.prepare(&e, i, now); err != nil {
			return 0, 0, err
		}
		batch[i] = e
	}
	if len(batch) == 0 {
		return 0, 0, nil
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		stored, duplicate = 0, 0
		var last audit.Position
		for i, e := range batch {
			var p audit.Position
			err := tx.QueryRow(ctx, insertSQL, e.ID, e.Type, e.OccurredAt, e.ReceivedAt, e.Subject, e.Source, string(e.Data), digests[i], e.OrganizationID, e.Schema, e.Version).
				Scan(&p.Era, &p.Tx, &p.Seq)
			if err == nil {
				stored++
				last = p
				continue
			}
			if !errors.Is(err, store.ErrNoRows) {
				return err
			}
			var was []byte
			if err := tx.QueryRow(ctx, digestSQL, e.ID).Scan(&was); err != nil {
				return err
			}
			if !bytes.Equal(was, digests[i]) {
				return fault.Newf(fault.Conflict, "event_conflict", "The event id %q was used before, with other content.", e.ID).
					At(fmt.Sprintf("events[%d].id", i))
			}
			duplicate++
		}
		if stored > 0 {
			tx.AfterCommit(func() { s.cl.Committed(last) })
		}
		return nil
	})
	if err != nil {
		var f *fault.Error
		if errors.As(err, &f) {
			return 0, 0, err
		}
		return 0, 0, fmt.Errorf("publish events: %w", err)
	}
	return stored, duplicate, nil
}

// Read gives up to limit events after a position in commit order, and the position to go on from.
func (s *Store) Read(ctx context.Context, after audit.Position, limit int) ([]Event, audit.Position, error) {
	if limit <= 0 || limit > audit.MaxRead {
		limit = audit.MaxRead
	}
	events := make([]Event, 0, min(limit, 64))
	err := s.cl.Read(ctx, after, limit, func(scan commitlog.Scan) error {
		e, err := scanEvent(scan)
		if err != nil {
			return err
		}
		events = append(events, e)
		return nil
	})
	if err != nil {
		return nil, after, err
	}
	if n := len(events); n > 0 {
		after = events[n-1].Position
	}
	return events, after, nil
}

// Get finds one event.
func (s *Store) Get(ctx context.Context, id string) (Event, error) {
	row := s.db.QueryRow(ctx, `SELECT era, tx, seq, `+columns+` FROM host_event WHERE id = $1`, id)
	e, err := scanEvent(func(p *audit.Position, dest ...any) error {
		return row.Scan(append([]any{&p.Era, &p.Tx, &p.Seq}, dest...)...)
	})
	if errors.Is(err, store.ErrNoRows) {
		return Event{}, fault.New(fault.NotFound, "event_not_found", "There is no event with this id.")
	}
	if err != nil {
		return Event{}, fmt.Errorf("get event: %w", err)
	}
	return e, nil
}

// Retain removes events received before a moment, in small audited batches, and never past the floor.
func (s *Store) Retain(ctx context.Context, log *audit.Log, r audit.Retention) (int, error) {
	return audit.Prune(ctx, log, s.cl, r, func(_ context.Context, _ *store.Tx, scan commitlog.Scan) (func() error, error) {
		_, err := scanEvent(scan)
		return nil, err
	})
}

func scanEvent(scan commitlog.Scan) (Event, error) {
	var e Event
	var data string
	if err := scan(&e.Position, &e.ID, &e.Type, &e.OccurredAt, &e.ReceivedAt, &e.Subject, &e.Source, &data, &e.OrganizationID, &e.Schema, &e.Version); err != nil {
		return Event{}, err
	}
	e.OccurredAt, e.ReceivedAt, e.Data = e.OccurredAt.UTC(), e.ReceivedAt.UTC(), json.RawMessage(data)
	return e, nil
}
