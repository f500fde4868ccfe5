package flow

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/store"
)

// ChangeMetadata changes an object and writes down which members, never their values. e begins the row.
func (k *Kit) ChangeMetadata(ctx context.Context, tx *store.Tx, e audit.Entry, userID uuid.UUID, c metadata.Change) (metadata.Object, error) {
	out, changed, err := k.Metadata.Apply(ctx, tx, userID, c)
	if err != nil || len(changed) == 0 {
		return out, err
	}
	e.Action, e.Targets = "account.update", []audit.Ref{User(userID)}
	e.Metadata = map[string]any{"scope": string(c.Scope), "fields": someOf(changed)}
	return out, k.Record(ctx, tx, e)
}

// The bounds of the names in one audit row.
const (
	maxFields    = 16
	maxFieldName = 64
)

// someOf shortens a list of names that somebody else made up, for the log.
func someOf(names []string) []string {
	out := make([]string, 0, min(len(names), maxFields))
	for _, n := range names[:min(len(names), maxFields)] {
		if r := []rune(n); len(r) > maxFieldName {
			n = string(r[:maxFieldName]) + "…"
		}
		out = append(out, n)
	}
	if len(names) > maxFields {
		out = append(out, "…")
	}
	return out
}
