package accrue

import (
	"context"
	"slices"
	"time"
)

// ledger gives an account's subscriptions and grants as they were at a time.
func (s *store) ledger(ctx context.Context, q querier, acc account, at time.Time) (subs []subscription, grants []grant, err error) {
	all, err := s.events(ctx, q, held+` AND occurred_at <= $2`, acc.String(), at)
	if err != nil {
		return nil, nil, err
	}
	of := map[string][]event{}
	var ids, features []string
	for _, e := range all {
		if f := e.Change.Feature; f != "" {
			features = append(features, f)
			continue
		}
		id := e.Change.Subscription
		of[id] = append(of[id], e)
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		sortEvents(of[id])
		subs = append(subs, fold(id, of[id]))
	}
	slices.Sort(features)
	for _, f := range slices.Compact(features) {
		if last, ok := lastGrant(all, f); ok && last.Type != revoked {
			grants = append(grants, grant{f, last.Change.Quantity, last.Change.ExpiresAt, last.Change.Reason})
		}
	}
	return subs, grants, nil
}
