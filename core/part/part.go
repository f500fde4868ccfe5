package part

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

// Part is one registration. H is the house, in which a part finds the parts before it and puts itself; C is the configuration.
type Part[H, C any] struct {
	Name   string // one word; the key in a person's export
	Schema Schema // zero: it owns no tables
	// Open makes the part, in the house, and says what it can do.
	Open func(ctx context.Context, house H) (Hooks[C], error)
}

// Hooks are what an open part can do. Nil means that there is nothing to do.
type Hooks[C any] struct {
	// Run works in the background until ctx ends, and then returns nil.
	Run func(ctx context.Context) error
	// Clean deletes what is past its end and says how much that was. It is called every ten minutes or so, on every node.
	Clean func(ctx context.Context) (int64, error)
	// Reload puts another configuration into effect, as far as that is possible while running. An error means that all stays as it was.
	Reload func(next C) error
	// Export gives everything that the part holds about a person, but for credentials, as a value for JSON; nil: nothing.
	Export func(ctx context.Context, q store.Querier, s Subject) (any, error)
	// Erase removes it, in the transaction of the deletion.
	Erase func(ctx context.Context, tx *store.Tx, s Subject) error
	// Close gives up what the part holds outside of the database.
	Close func() error
}

// Subject is a person by all the names that a part may know them by. It is read before anything is erased.
type Subject struct {
	UserID   uuid.UUID
	Email    string // in the form of account.ParseEmail; empty without one
	Username string // in the form in which usernames are compared; empty without one
}

// Ref is how logs and events call the person.
func (s Subject) Ref() string { return "user:" + s.UserID.String() }

// ByID makes an Erase of a function that knows people by their id alone.
func ByID(erase func(ctx context.Context, tx *store.Tx, userID uuid.UUID) error) func(context.Context, *store.Tx, Subject) error {
	return func(ctx context.Context, tx *store.Tx, s Subject) error { return erase(ctx, tx, s.UserID) }
}

// NoExport is the Export of a part whose rows say nothing to the person whom they are about: hashes, counters, sealed messages that
// wait. It is written out, so that leaving Export out is a mistake that is found.
func NoExport(context.Context, store.Querier, Subject) (any, error) { return nil, nil }
