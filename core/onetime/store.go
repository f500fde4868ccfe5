package onetime

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/typed"
)

// Migrations makes the tables of this package.
//
//go:embed migrations
var Migrations embed.FS

// Purpose is what a secret is for.
type Purpose string

// DefaultAttempts is how often a code may be guessed: with a million codes and five guesses, a flow is guessed once in
// 200 000 times (ASVS 5.0 6.6.3).
const DefaultAttempts = 5

// ErrInvalid says that a secret opens nothing: unknown, spent, expired, guessed too often or made for something else.
var ErrInvalid = fault.New(fault.Unauthenticated, "invalid_or_expired", "This link or code is wrong, was used already or has expired. Ask for a new one.")

// Sealer encrypts payloads; core/keyring is one.
type Sealer interface {
	Seal(plain []byte, purpose string) []byte
	// Open gives the plaintext back; stale says that it was sealed with a key that is no longer the newest.
	Open(sealed []byte, purpose string) (plain []byte, stale bool, err error)
}

// Config of a Store.
type Config struct {
	DB     *store.DB
	Sealer Sealer
	// Attempts is how often a code may be guessed; 0 means DefaultAttempts. A code guessed right in the last one counts.
	Attempts int
	Now      func() time.Time // nil means the clock
}

// Store issues and spends. Safe for concurrent use.
type Store struct {
	db       *store.DB
	sealer   Sealer
	attempts int
	now      func() time.Time
}

// New makes a Store.
func New(cfg Config) (*Store, error) {
	if cfg.DB == nil || cfg.Sealer == nil {
		return nil, errors.New("onetime: a database and a sealer are needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Attempts <= 0 {
		cfg.Attempts = DefaultAttempts
	}
	now := cfg.Now
	return &Store{db: cfg.DB, sealer: cfg.Sealer, attempts: cfg.Attempts, now: func() time.Time { return now().UTC().Truncate(time.Microsecond) }}, nil
}

// Request says what to issue.
type Request struct {
	Purpose   Purpose
	AccountID uuid.UUID // uuid.Nil makes a decoy
	TTL       time.Duration
	Flow      bool // a flow token for the browser, and with it a code
	// Subject is whom wrong codes are counted for, over all rows: the address or the id that the row was asked for with, so that a decoy
	// has one like any other row. Empty: nobody.
	Subject string
	Payload []byte // kept sealed; a decoy should give as many bytes as the real thing has
}

// Issued are the secrets of one row. They exist nowhere else.
type Issued struct {
	ID        uuid.UUID
	Link      string // for the mail
	Flow      string // for the browser
	Code      string // for the mail
	ExpiresAt time.Time
}

// Issue makes a row in the caller's transaction.
func (s *Store) Issue(ctx context.Context, tx *store.Tx, r Request) (Issued, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Issued{}, err
	}
	now := s.now()
	out := Issued{ID: id, ExpiresAt: now.Add(r.TTL)}
	link, _, linkHash := newSecret()
	out.Link = link
	var flowHash, mac []byte
	if r.Flow {
		flow, raw, hash := newSecret()
		code, err := newCode()
		if err != nil {
			return Issued{}, err
		}
		out.Flow, out.Code, flowHash, mac = flow, code, hash, codeMAC(raw, code)
	}
	var accountID any = r.AccountID
	if r.AccountID == uuid.Nil {
		accountID = nil
		out.Link, out.Code = "", ""
		_, _ = rand.Read(linkHash)
		_, _ = rand.Read(mac)
	}
	var sealed []byte
	if r.Payload != nil {
		sealed = s.sealer.Seal(r.Payload, Sealed.Purpose(id))
	}
	var subject []byte
	if r.Subject != "" {
		h := sha256.Sum256([]byte(r.Subject))
		subject = h[:]
	}
	_, err = tx.Exec(ctx, `INSERT INTO onetime (id, purpose, account_id, link_hash, flow_hash, code_mac, payload, created_at, expires_at, subject)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, id, string(r.Purpose), accountID, linkHash, flowHash, mac, sealed, now, out.ExpiresAt, subject)
	if err != nil {
		return Issued{}, fmt.Errorf("issue one-time secret: %w", err)
	}
	return out, nil
}

// Grant is a row that somebody showed a secret of. It is good for one Spend.
type Grant struct {
	ID        uuid.UUID
	Purpose   Purpose
	AccountID uuid.UUID
	Payload   []byte
	Approved  bool // see Approve
	ExpiresAt time.Time
	Subject   string // what Request.Subject became; empty: none
	flowHash  []byte
}

// SubjectOf is what Request.Subject becomes in a Grant.
func SubjectOf(subject string) string {
	h := sha256.Sum256([]byte(subject))
	return hex.EncodeToString(h[:])
}

// Decoy reports that the row can lead nowhere.
func (g Grant) Decoy() bool { return g.AccountID == uuid.Nil }

// account is the column's value.
func (g Grant) account() any {
	if g.Decoy() {
		return nil
	}
	return g.AccountID
}

// InFlow reports whether flow is this row's flow token: the browser that asked is the one that came back.
func (g Grant) InFlow(flow string) bool {
	_, hash, ok := decode(flow)
	return ok && len(g.flowHash) > 0 && subtle.ConstantTimeCompare(hash, g.flowHash) == 1
}

const grantColumns = `id, account_id, payload, flow_hash, approved_at IS NOT NULL, expires_at, subject`

func (s *Store) grant(row store.Row, p Purpose, more ...any) (Grant, error) {
	g := Grant{Purpose: p}
	var account *uuid.UUID
	var sealed, subject []byte
	err := row.Scan(append([]any{&g.ID, &account, &sealed, &g.flowHash, &g.Approved, &g.ExpiresAt, &subject}, more...)...)
	if errors.Is(err, store.ErrNoRows) {
		return Grant{}, ErrInvalid
	}
	if err != nil {
		return Grant{}, fmt.Errorf("read one-time secret: %w", err)
	}
	if account != nil {
		g.AccountID = *account
	}
	g.Subject = hex.EncodeToString(subject)
	if sealed != nil { // a decoy's too: opening it is work like any other
		if g.Payload, _, err = s.sealer.Open(sealed, Sealed.Purpose(g.ID)); err != nil {
			return Grant{}, fmt.Errorf("open one-time payload: %w", err)
		}
	}
	return g, nil
}

// Look finds what a link stands for and changes nothing. ErrInvalid when it stands for nothing.
func (s *Store) Look(ctx context.Context, p Purpose, link string) (Grant, error) {
	_, hash, ok := decode(link)
	if !ok {
		return Grant{}, ErrInvalid
	}
	return s.grant(s.db.QueryRow(ctx, `SELECT `+grantColumns+` FROM onetime
		WHERE link_hash = $1 AND purpose = $2 AND spent_at IS NULL AND expires_at > $3 AND account_id IS NOT NULL`, hash, string(p), s.now()), p)
}

// LookFlow finds what a flow token stands for and changes nothing: what the browser that began a flow shows while it
// waits. It finds decoys too, which look alike. ErrInvalid when the flow is over.
func (s *Store) LookFlow(ctx context.Context, q store.Querier, p Purpose, flow string) (Grant, error) {
	_, hash, ok := decode(flow)
	if !ok {
		return Grant{}, ErrInvalid
	}
	return s.grant(q.QueryRow(ctx, `SELECT `+grantColumns+` FROM onetime
		WHERE flow_hash = $1 AND purpose = $2 AND spent_at IS NULL AND expires_at > $3`, hash, string(p), s.now()), p)
}

// Approve notes that whoever holds the link lets the browser with the flow go on, in the caller's transaction. ErrInvalid
// when the row is spent, expired or approved already.
func (s *Store) Approve(ctx context.Context, tx *store.Tx, g Grant) error {
	n, err := tx.Exec(ctx, `UPDATE onetime SET approved_at = $2
		WHERE id = $1 AND account_id IS NOT DISTINCT FROM $3 AND approved_at IS NULL AND spent_at IS NULL AND expires_at > $2`, g.ID, s.now(), g.account())
	if err != nil {
		return fmt.Errorf("approve one-time secret: %w", err)
	}
	if n == 0 {
		return ErrInvalid
	}
	return nil
}

// Guess tries a code within its flow, in the caller's transaction, which must commit either way: the attempt counts.
// ErrInvalid when the flow is not open to guesses (any more); otherwise right says whether the code matched.
func (s *Store) Guess(ctx context.Context, tx *store.Tx, p Purpose, flow, code string) (g Grant, right bool, err error) {
	raw, hash, ok := decode(flow)
	if !ok {
		return Grant{}, false, ErrInvalid
	}
	var mac []byte
	g, err = s.grant(tx.QueryRow(ctx, `UPDATE onetime SET attempts = attempts + 1
		WHERE flow_hash = $1 AND purpose = $2 AND spent_at IS NULL AND expires_at > $3 AND attempts < $4
		RETURNING `+grantColumns+`, code_mac`, hash, string(p), s.now(), s.attempts), p, &mac)
	if err != nil {
		return Grant{}, false, err
	}
	digits, ok := typed.Digits(code, CodeDigits)
	right = subtle.ConstantTimeCompare(codeMAC(raw, digits), mac) == 1 && ok && g.AccountID != uuid.Nil
	return g, right, nil
}

// Try counts an attempt to prove something else about a link, such as the password chosen at sign-up, in the
// caller's transaction, which must commit. ErrInvalid when there are no attempts left. Guess and Try share the count.
func (s *Store) Try(ctx context.Context, tx *store.Tx, g Grant) error {
	n, err := tx.Exec(ctx, `UPDATE onetime SET attempts = attempts + 1
		WHERE id = $1 AND account_id IS NOT DISTINCT FROM $4 AND spent_at IS NULL AND expires_at > $2 AND attempts < $3`, g.ID, s.now(), s.attempts, g.account())
	if err != nil {
		return fmt.Errorf("count attempt: %w", err)
	}
	if n == 0 {
		return ErrInvalid
	}
	return nil
}

// Spend uses the row up, in the transaction of what it allows. ErrInvalid when somebody was faster, time ran out or the row was retired.
func (s *Store) Spend(ctx context.Context, tx *store.Tx, g Grant) error {
	n, err := tx.Exec(ctx, `UPDATE onetime SET spent_at = $2, payload = NULL
		WHERE id = $1 AND account_id IS NOT DISTINCT FROM $3 AND spent_at IS NULL AND expires_at > $2`, g.ID, s.now(), g.account())
	if err != nil {
		return fmt.Errorf("spend one-time secret: %w", err)
	}
	if n == 0 {
		return ErrInvalid
	}
	return nil
}

// Forget ends what is still open for an account of these purposes.
func (s *Store) Forget(ctx context.Context, tx *store.Tx, accountID uuid.UUID, purposes ...Purpose) error {
	for _, p := range purposes {
		if _, err := tx.Exec(ctx, `DELETE FROM onetime WHERE account_id = $1 AND purpose = $2 AND spent_at IS NULL`, accountID, string(p)); err != nil {
			return fmt.Errorf("forget one-time secrets: %w", err)
		}
	}
	return nil
}

// Retire ends what is still open for an account of these purposes without a trace that anybody who asked could see: a row that a browser has
// the flow of becomes a decoy, which lives on as decoys do and leads nowhere. Whoever asked for an address that is not theirs learns
// nothing from what its owner does.
func (s *Store) Retire(ctx context.Context, tx *store.Tx, accountID uuid.UUID, purposes ...Purpose) error {
	for _, p := range purposes {
		if _, err := tx.Exec(ctx, `UPDATE onetime SET account_id = NULL WHERE account_id = $1 AND purpose = $2 AND spent_at IS NULL AND flow_hash IS NOT NULL`,
			accountID, string(p)); err != nil {
			return fmt.Errorf("retire one-time secrets: %w", err)
		}
	}
	return s.Forget(ctx, tx, accountID, purposes...)
}

// ForgetAll ends everything that is still open for an account.
func (s *Store) ForgetAll(ctx context.Context, tx *store.Tx, accountID uuid.UUID) error {
	if _, err := tx.Exec(ctx, `DELETE FROM onetime WHERE account_id = $1 AND spent_at IS NULL`, accountID); err != nil {
		return fmt.Errorf("forget one-time secrets: %w", err)
	}
	return nil
}

// ForgetLater ends what is still open of the same account and purpose and was issued after g. Ids are in that order, to the
// millisecond and within a node.
func (s *Store) ForgetLater(ctx context.Context, tx *store.Tx, g Grant) error {
	if _, err := tx.Exec(ctx, `DELETE FROM onetime WHERE account_id = $1 AND purpose = $2 AND id > $3 AND spent_at IS NULL`, g.AccountID, string(g.Purpose), g.ID); err != nil {
		return fmt.Errorf("forget one-time secrets: %w", err)
	}
	return nil
}

// Clean deletes rows past their end, in batches, and returns how many. Spent ones stay until then, so that
// what is spent can't be issued anew by chance or mistake.
func (s *Store) Clean(ctx context.Context) (int64, error) {
	const batch = 500
	var total int64
	for {
		var n int64
		err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			n, err = tx.Exec(ctx, `DELETE FROM onetime WHERE id IN (SELECT id FROM onetime WHERE expires_at <= $1 LIMIT $2)`, s.now(), batch)
			return err
		})
		if err != nil {
			return total, fmt.Errorf("delete expired one-time secrets: %w", err)
		}
		if total += n; n < batch {
			return total, nil
		}
	}
}
