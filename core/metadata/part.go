package metadata

import (
	"context"
	"encoding/json"

	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

// Schema says what the package keeps.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Personal: []string{"account_metadata"}}
}

// Export gives the objects of all scopes that were ever written. The private ones are as much about the person as the others.
func (s *Store) Export(ctx context.Context, q store.Querier, who part.Subject) (any, error) {
	out := map[Scope]json.RawMessage{}
	for _, scope := range Scopes() {
		o, err := s.Get(ctx, q, who.UserID, scope)
		if err != nil {
			return nil, err
		}
		if o.Version > 0 {
			out[scope] = o.Value
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}
