package flow

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// Scope is a kind of what gives access to an account beside its credentials.
type Scope uint8

// The scopes of End.
const (
	// Sessions are those there are.
	Sessions Scope = 1 << iota
	// Waiting are sign-ins under way: first factors that wait for a second, logins that wait to be linked. A sign-in at a provider that has not
	// come back yet is nobody's so far, and is judged when it does.
	Waiting
	// Mailed are links and codes on their way: to sign in, to set a password, to prove anew who one is, to move to another address.
	// The way back to an address from before is not among them: whoever took an account over ends everything next.
	Mailed
	// Trust is what spares browsers the second factor.
	Trust

	// Everything is all of them: what "sign out everywhere" means (ASVS 5.0 7.4.2, 7.4.3).
	Everything = Sessions | Waiting | Mailed | Trust
)

// End ends what gives access to an account, in the transaction of whatever demands it. keep is the session that goes on; uuid.Nil: none
// does. The account must be locked. It writes the row about trust that ends, which e begins and cause explains; the row about the action
// itself is the caller's. It names the sessions that ended.
func (k *Kit) End(ctx context.Context, tx *store.Tx, a account.Account, what Scope, keep uuid.UUID, e audit.Entry, cause string) (sessions session.Ended, err error) {
	if what&Waiting != 0 {
		if err := k.Onetime.Forget(ctx, tx, a.ID, waitingPurposes...); err != nil {
			return nil, err
		}
	}
	if what&Mailed != 0 {
		if err := k.Onetime.Retire(ctx, tx, a.ID, mailedPurposes...); err != nil {
			return nil, err
		}
	}
	if what&Sessions != 0 {
		if sessions, err = k.Sessions.RevokeAllIn(ctx, tx, a.ID, keep); err != nil {
			return nil, err
		}
	}
	if what&Trust != 0 {
		n, err := k.Devices.RevokeAllTrust(ctx, tx, a.ID)
		if err != nil || n == 0 {
			return sessions, err
		}
		e.Action, e.Targets, e.Metadata = "trusted_device.revoke", []audit.Ref{User(a.ID)}, map[string]any{"cause": cause, "count": n}
		return sessions, k.Record(ctx, tx, e)
	}
	return sessions, nil
}
