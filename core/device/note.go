package device

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
)

// Noted is what a sign-in showed.
type Noted struct {
	Token       string    // for the browser; secret. A new one when what it had is none of ours
	ID          uuid.UUID // of the device
	NewDevice   bool      // the account was not known in this browser
	FirstDevice bool      // nor ever in any other: there is nobody to warn
	NewNetwork  bool      // the account was not used from this network lately
}

// Note writes down that the account is used from the browser with this token and from the network of the request in ctx, in the
// transaction of the sign-in. token may be anything a browser sent. In a browser and a network known for less than an hour
// it only reads.
func (s *Store) Note(ctx context.Context, tx *store.Tx, accountID uuid.UUID, token string) (Noted, error) {
	info := request.From(ctx)
	out := Noted{Token: token}
	hash, ours := hashToken(token)
	found := false
	var err error
	if ours {
		if found, err = s.again(ctx, tx, accountID, hash, info, &out); err != nil {
			return Noted{}, err
		}
	}
	if ours && !found {
		if ours, err = s.exists(ctx, tx, hash); err != nil {
			return Noted{}, err
		}
	}
	if !ours {
		out.Token, hash = newToken()
	}
	if !found {
		if err := s.add(ctx, tx, accountID, hash, info, &out); err != nil {
			return Noted{}, err
		}
	}
	if out.NewNetwork, err = s.network(ctx, tx, accountID, networkOf(info.IP)); err != nil {
		return Noted{}, err
	}
	return out, nil
}

// again finds the account's row of a browser, and notes its use when that was not done lately.
func (s *Store) again(ctx context.Context, tx *store.Tx, accountID uuid.UUID, hash []byte, info request.Info, out *Noted) (bool, error) {
	var seen time.Time
	err := tx.QueryRow(ctx, `SELECT id, last_seen_at FROM device WHERE account_id = $1 AND token_hash = $2`, accountID, hash).Scan(&out.ID, &seen)
	if errors.Is(err, store.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read device: %w", err)
	}
	if now := s.now(); now.Sub(seen) >= noteEvery {
		if _, err := tx.Exec(ctx, `UPDATE device SET last_seen_at = $2, user_agent = $3 WHERE id = $1 AND last_seen_at < $2`,
			out.ID, now, userAgent(info)); err != nil {
			return false, fmt.Errorf("note device: %w", err)
		}
	}
	return true, nil
}

// exists reports whether any account knows the browser: only then the token is one that Sigra made.
func (s *Store) exists(ctx context.Context, tx *store.Tx, hash []byte) (bool, error) {
	var one int
	err := tx.QueryRow(ctx, `SELECT 1 FROM device WHERE token_hash = $1 LIMIT 1`, hash).Scan(&one)
	if errors.Is(err, store.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read device: %w", err)
	}
	return true, nil
}

// add makes the row of a browser that the account is new in.
func (s *Store) add(ctx context.Context, tx *store.Tx, accountID uuid.UUID, hash []byte, info request.Info, out *Noted) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	now := s.now()
	// Again when the row that stood in the way was forgotten between the two statements.
	for range 3 {
		n, err := tx.Exec(ctx, `INSERT INTO device (id, account_id, token_hash, user_agent, first_seen_at, last_seen_at) VALUES ($1, $2, $3, $4, $5, $5)
			ON CONFLICT (account_id, token_hash) DO NOTHING`, id, accountID, hash, userAgent(info), now)
		if err != nil {
			return fmt.Errorf("add device: %w", err)
		}
		if n == 1 {
			out.ID, out.NewDevice = id, true
			return s.added(ctx, tx, accountID, out)
		}
		// The same browser signs in twice at once, and the other was faster.
		if found, err := s.again(ctx, tx, accountID, hash, info, out); err != nil || found {
			return err
		}
	}
	return errors.New("add device: it is added and forgotten all the time")
}

// added does what a new device leads to: whether it is the first, and dropping the oldest beyond what is kept.
func (s *Store) added(ctx context.Context, tx *store.Tx, accountID uuid.UUID, out *Noted) error {
	n, err := tx.Exec(ctx, `INSERT INTO device_account (account_id, since) VALUES ($1, $2) ON CONFLICT (account_id) DO NOTHING`, accountID, s.now())
	if err != nil {
		return fmt.Errorf("note first device: %w", err)
	}
	if out.FirstDevice = n == 1; out.FirstDevice {
		return nil
	}
	if _, err := tx.Exec(ctx, `DELETE FROM device WHERE id IN (
			SELECT id FROM device WHERE account_id = $1 AND id <> $2 ORDER BY last_seen_at DESC, id DESC LIMIT 1000 OFFSET $3)`,
		accountID, out.ID, maxDevices-1); err != nil {
		return fmt.Errorf("drop oldest devices: %w", err)
	}
	return nil
}

// network notes the network of a sign-in and reports whether it is a new one.
func (s *Store) network(ctx context.Context, tx *store.Tx, accountID uuid.UUID, network string) (bool, error) {
	if network == "" {
		return false, nil
	}
	now := s.now()
	var seen time.Time
	err := tx.QueryRow(ctx, `SELECT last_seen_at FROM device_network WHERE account_id = $1 AND network = $2`, accountID, network).Scan(&seen)
	if errors.Is(err, store.ErrNoRows) {
		return s.addNetwork(ctx, tx, accountID, network, now)
	}
	if err != nil {
		return false, fmt.Errorf("read network: %w", err)
	}
	age := now.Sub(seen)
	if age < noteEvery {
		return false, nil
	}
	// Of several sign-ins at once from a network that had been forgotten, the first says that it is new.
	n, err := tx.Exec(ctx, `UPDATE device_network SET last_seen_at = $3 WHERE account_id = $1 AND network = $2 AND last_seen_at = $4`, accountID, network, now, seen)
	if err != nil {
		return false, fmt.Errorf("note network: %w", err)
	}
	return n == 1 && age >= networkTTL, nil
}

func (s *Store) addNetwork(ctx context.Context, tx *store.Tx, accountID uuid.UUID, network string, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, `INSERT INTO device_network (account_id, network, last_seen_at) VALUES ($1, $2, $3)
		ON CONFLICT (account_id, network) DO NOTHING`, accountID, network, now)
	if err != nil {
		return false, fmt.Errorf("add network: %w", err)
	}
	if n == 0 {
		return false, nil
	}
	if _, err := tx.Exec(ctx, `DELETE FROM device_network WHERE account_id = $1 AND network IN (
			SELECT network FROM device_network WHERE account_id = $1 AND network <> $2 ORDER BY last_seen_at DESC, network LIMIT 1000 OFFSET $3)`,
		accountID, network, maxNetworks-1); err != nil {
		return false, fmt.Errorf("drop oldest networks: %w", err)
	}
	return true, nil
}

// networkOf gives what a site or a provider's customer usually has: a /24 or a /48 (RFC 6177). Empty when the address is not known.
func networkOf(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	bits := 48
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		bits = 24
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

const maxUserAgent = 512 // bytes, as in request.Info

// userAgent is what can be stored of it: Postgres takes no NUL and no invalid UTF-8.
func userAgent(info request.Info) string {
	ua := info.UserAgent
	if len(ua) > maxUserAgent {
		ua = ua[:maxUserAgent]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(ua, ""), "\x00", "")
}
