package device

import (
	"context"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

// Schema says what the package keeps.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Personal: []string{"device", "device_network", "device_account"}}
}

// Exported is what a person's export says of browsers and networks.
type Exported struct {
	Devices  []ExportedDevice  `json:"devices"`
	Networks []ExportedNetwork `json:"networks"`
}

// ExportedDevice is a browser that the account was used from.
type ExportedDevice struct {
	UserAgent    string    `json:"user_agent,omitempty"`
	FirstSeenAt  time.Time `json:"first_seen_at"`
	LastSeenAt   time.Time `json:"last_seen_at"`
	TrustedUntil time.Time `json:"trusted_until,omitzero"`
}

// ExportedNetwork is a network that the account was used from.
type ExportedNetwork struct {
	Network    string    `json:"network"`
	LastSeenAt time.Time `json:"last_seen_at"`
}

// Export gives the browsers and networks.
func (s *Store) Export(ctx context.Context, q store.Querier, who part.Subject) (any, error) {
	devices, err := s.List(ctx, q, who.UserID)
	if err != nil {
		return nil, err
	}
	out := Exported{Devices: []ExportedDevice{}, Networks: []ExportedNetwork{}}
	for _, d := range devices {
		out.Devices = append(out.Devices, ExportedDevice{d.UserAgent, d.FirstSeenAt, d.LastSeenAt, d.TrustedUntil})
	}
	rows, err := q.Query(ctx, `SELECT network, last_seen_at FROM device_network WHERE account_id = $1 ORDER BY last_seen_at DESC, network`, who.UserID)
	if err != nil {
		return nil, fmt.Errorf("export networks: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var n ExportedNetwork
		if err := rows.Scan(&n.Network, &n.LastSeenAt); err != nil {
			return nil, fmt.Errorf("export networks: %w", err)
		}
		out.Networks = append(out.Networks, n)
	}
	return out, rows.Err()
}
