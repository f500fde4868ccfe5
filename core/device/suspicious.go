package device

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
)

// Suspicious reports whether a sign-in would come from a browser that the account does not know, on a network from which it was not
// used lately, while it has been used before.
func (s *Store) Suspicious(ctx context.Context, q store.Querier, accountID uuid.UUID, token string) (bool, error) {
	seen, err := s.Look(ctx, q, accountID, token)
	if err != nil || seen.Known {
		return false, err
	}
	var devices, known int
	err = q.QueryRow(ctx, `SELECT (SELECT count(*) FROM device WHERE account_id = $1),
		(SELECT count(*) FROM device_network WHERE account_id = $1 AND network = $2 AND last_seen_at > $3)`,
		accountID, networkOf(request.From(ctx).IP), s.now().Add(-networkTTL)).Scan(&devices, &known)
	if err != nil {
		return false, fmt.Errorf("look for network: %w", err)
	}
	return devices > 0 && known == 0, nil
}
