package flow

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
)

// Actors of audit rows that are nobody in particular.
var (
	Anonymous = audit.Ref{Type: "anonymous"}
	System    = audit.Ref{Type: "system"}
)

// unknownUser stands where there is no account, so that a refusal writes as many rows for an unknown address as for a known one.
const unknownUser = "unknown"

// User is an account as the actor or target of an audit row; uuid.Nil is nobody's.
func User(id uuid.UUID) audit.Ref {
	if id == uuid.Nil {
		return audit.Ref{Type: "user", ID: unknownUser}
	}
	return audit.Ref{Type: "user", ID: id.String()}
}

// By begins an audit row of what somebody does to their own account.
func By(p principal.Principal) audit.Entry {
	return audit.Entry{Actor: User(p.UserID), SessionID: p.SessionID}
}

// Record writes an audit row in the transaction of what it tells of.
func (k *Kit) Record(ctx context.Context, tx *store.Tx, e audit.Entry) error {
	_, err := k.audit.Record(ctx, tx, e)
	return err
}
