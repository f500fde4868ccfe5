package topic

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the table topic.
//
//go:embed migrations
var Migrations embed.FS

// The limits of topics.
const (
	MaxName    = 128  // bytes of a name
	MaxPayload = 1024 // bytes
	MaxTopics  = 100  // of one space
)

const defaultPoll = 250 * time.Millisecond

// Config of a Store.
type Config struct {
	DB     *store.DB     // migrated
	Poll   time.Duration // how often other nodes' notifications are looked for; 0: 4 times a second
	Logger hclog.Logger  // nil: silent
}

// Store notifies and watches. Safe for concurrent use.
type Store struct {
	db   *store.DB
	poll time.Duration
	log  hclog.Logger
	look chan struct{} // somebody notified here

	mu       sync.Mutex
	watchers map[*watcher]struct{}
}

// watcher is one Watch.
type watcher struct {
	key
	wake chan struct{} // holds one
	is   state         // guarded by Store.mu
}

type key struct{ space, name string }

type state struct {
	version int64
	payload string
}

// New makes a Store. Run must run for Watch to hear anything.
func New(cfg Config) (*Store, error) {
	if cfg.DB == nil {
		return nil, errors.New("topic: a database is needed")
	}
	if cfg.Poll <= 0 {
		cfg.Poll = defaultPoll
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	return &Store{db: cfg.DB, poll: cfg.Poll, log: cfg.Logger, look: make(chan struct{}, 1), watchers: map[*watcher]struct{}{}}, nil
}

// Notify tells whoever watches a topic of a space, on all nodes.
func (s *Store) Notify(ctx context.Context, space, name, payload string) error {
	switch {
	case name == "" || len(name) > MaxName:
		return fault.Newf(fault.Invalid, "invalid_topic", "A topic has 1 to %d bytes.", MaxName).At("topic")
	case len(payload) > MaxPayload:
		return fault.Newf(fault.TooLarge, "payload_too_large", "A payload has at most %d bytes.", MaxPayload).At("payload")
	}
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE topic SET version = version + 1, payload = $3 WHERE space = $1 AND name = $2`, space, name, payload)
		if err != nil || n == 1 {
			return err
		}
		var have int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM topic WHERE space = $1`, space).Scan(&have); err != nil {
			return err
		}
		if have >= MaxTopics {
			return fault.Newf(fault.Conflict, "too_many_topics", "There are %d topics already.", have).At("topic")
		}
		_, err = tx.Exec(ctx, `INSERT INTO topic (space, name, version, payload) VALUES ($1, $2, 1, $3)
			ON CONFLICT (space, name) DO UPDATE SET version = topic.version + 1, payload = excluded.payload`, space, name, payload)
		return err
	})
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	select {
	case s.look <- struct{}{}:
	default: // it will look anyway
	}
	return nil
}

// Change is what a watcher is told.
type Change struct {
	Payload string
	Reread  bool // something may have been missed: at the beginning, and after a gap
}

// Watch tells f once that it listens, and then of every change, until ctx ends or f fails.
func (s *Store) Watch(ctx context.Context, space, name string, f func(Change) error) error {
	if name == "" || len(name) > MaxName {
		return fault.Newf(fault.Invalid, "invalid_topic", "A topic has 1 to %d bytes.", MaxName).At("topic")
	}
	w := &watcher{key: key{space, name}, wake: make(chan struct{}, 1)}
	// Listening begins before the first look, so that what comes between the two is heard.
	s.mu.Lock()
	s.watchers[w] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, w)
	}()
	first, err := s.read(ctx, w.key)
	if err != nil {
		return err
	}
	if err := f(Change{Reread: true}); err != nil {
		return err
	}
	for last := first.version; ; {
		s.mu.Lock()
		is := w.is
		s.mu.Unlock()
		if is.version > last {
			c := Change{Payload: is.payload}
			if is.version != last+1 {
				c = Change{Reread: true}
			}
			last = is.version
			if err := f(c); err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.wake:
		}
	}
}

// Run looks for notifications until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(s.poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.look:
		}
		if err := s.tell(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("topics not looked at, will try again", "error", err)
		}
	}
}

// tell looks at what is watched and wakes those for whom something changed.
func (s *Store) tell(ctx context.Context) error {
	spaces := map[string][]*watcher{}
	s.mu.Lock()
	for w := range s.watchers {
		spaces[w.space] = append(spaces[w.space], w)
	}
	s.mu.Unlock()
	for space, watchers := range spaces {
		now, err := s.readAll(ctx, space)
		if err != nil {
			return err
		}
		s.mu.Lock()
		for _, w := range watchers {
			is, ok := now[w.name]
			if !ok || is.version <= w.is.version {
				continue
			}
			w.is = is
			select {
			case w.wake <- struct{}{}:
			default:
			}
		}
		s.mu.Unlock()
	}
	return nil
}

func (s *Store) read(ctx context.Context, k key) (is state, err error) {
	err = s.db.QueryRow(ctx, `SELECT version, payload FROM topic WHERE space = $1 AND name = $2`, k.space, k.name).Scan(&is.version, &is.payload)
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return is, fmt.Errorf("look at topic: %w", err)
	}
	return is, nil
}

func (s *Store) readAll(ctx context.Context, space string) (map[string]state, error) {
	rows, err := s.db.Query(ctx, `SELECT name, version, payload FROM topic WHERE space = $1`, space)
	if err != nil {
		return nil, fmt.Errorf("look at topics: %w", err)
	}
	defer rows.Close()
	out := map[string]state{}
	for rows.Next() {
		var name string
		var is state
		if err := rows.Scan(&name, &is.version, &is.payload); err != nil {
			return nil, fmt.Errorf("look at topics: %w", err)
		}
		out[name] = is
	}
	return out, rows.Err()
}
