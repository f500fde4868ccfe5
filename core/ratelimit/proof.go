package ratelimit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

// The kinds of challenges.
const (
	ProofOfWork = "proof_of_work"
	Captcha     = "captcha"
)

// Challenge is what a client is asked to do before its attempt is judged, in plain values for an answer or a page.
type Challenge struct {
	Kind string // ProofOfWork or Captcha

	// Of a proof of work: the puzzle, how hard it is and until when it may be redeemed. See Solve.
	Puzzle     string
	Difficulty int
	ExpiresAt  time.Time

	// Of a captcha: whose widget to show, and the site's public key for it.
	Provider string
	SiteKey  string
}

// Proof is what a client answers. The zero value is none.
type Proof struct {
	Challenge string // Challenge.Puzzle as it was given; empty for a captcha
	Solution  string // the puzzle's solution, or the token that the captcha's widget gave
}

// Ticket stands for a proof that was found right. It is good for one Spend.
type Ticket struct {
	ID        [sha256.Size]byte
	ExpiresAt time.Time // when the proof is refused anyway, and the ticket may be forgotten
}

// NewTicket names a proof by its kind and by what it proves.
func NewTicket(kind, what string, expires time.Time) Ticket {
	return Ticket{ID: sha256.Sum256([]byte(kind + "\x00" + what)), ExpiresAt: expires}
}

// ErrProof says that a proof is not right: malformed, made up, for something else, expired, too easy or used before.
var ErrProof = errors.New("the proof is not right")

// Verifier asks for proofs and judges them. *Puzzles is one, *captcha.Verifier another.
type Verifier interface {
	// Issue makes a challenge for a scope, which names what the proof will be good for. A step more should make it
	// twice as dear.
	Issue(scope string, step int) Challenge
	// Verify judges a proof without using it up. It may ask somebody elsewhere, so no transaction may be open. The
	// error is ErrProof when the proof is not right; any other means that this could not be found out.
	Verify(ctx context.Context, scope string, step int, p Proof) (Ticket, error)
}

// spentMargin is how much longer than its proof a spent id is kept, because the clocks of two nodes may differ.
const spentMargin = 10 * time.Minute

// Spend uses a ticket up, in the transaction of what it allows: of any number at the same moment, on any number of nodes,
// one succeeds. The others get ErrProof.
func Spend(ctx context.Context, tx *store.Tx, t Ticket) error {
	n, err := tx.Exec(ctx, `INSERT INTO ratelimit_spent (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`,
		t.ID[:], t.ExpiresAt.Add(spentMargin).UnixMicro())
	if err != nil {
		return fmt.Errorf("spend a proof: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("%w: used before", ErrProof)
	}
	return nil
}

// spent looks whether a ticket was used up already, to refuse early. It promises nothing: Spend decides.
func spent(ctx context.Context, q store.Querier, t Ticket) error {
	var one int
	err := q.QueryRow(ctx, `SELECT 1 FROM ratelimit_spent WHERE id = $1`, t.ID[:]).Scan(&one)
	switch {
	case errors.Is(err, store.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("look for a spent proof: %w", err)
	}
	return fmt.Errorf("%w: used before", ErrProof)
}

// Demand is a refusal that says what would be accepted. It wraps the fault that a client is told, so errors.As finds both.
// The fault's RetryAfter is when an attempt with a proof will be judged.
type Demand struct {
	Challenge Challenge
	Unproved  time.Duration // when an attempt without a proof will be judged, if nobody fails meanwhile

	fault *fault.Error
}

// Error is the text for logs.
func (d *Demand) Error() string { return d.fault.Error() }

// Unwrap gives the fault.
func (d *Demand) Unwrap() error { return d.fault }

// Require makes the refusal of an attempt that lacks a proof: a fault of kind RateLimited whose code is the challenge's kind
// and "_required".
func (c Challenge) Require(wait, unproved time.Duration) *Demand {
	message := "There were many failed attempts. Solve the challenge that comes with this answer, then try again."
	return c.demand("_required", message, wait, unproved, nil)
}

// Reject makes the refusal of an attempt whose proof is not right, with a new challenge; its code ends in "_invalid".
func (c Challenge) Reject(wait, unproved time.Duration, cause error) *Demand {
	message := "The proof that came with this attempt is wrong, has expired or was used before. Solve the new challenge, then try again."
	return c.demand("_invalid", message, wait, unproved, cause)
}

func (c Challenge) demand(code, message string, wait, unproved time.Duration, cause error) *Demand {
	// Not less than a second: Retry-After knows nothing shorter, and solving takes about as long.
	f := fault.New(fault.RateLimited, c.Kind+code, message).After(max(wait, time.Second))
	if cause != nil {
		f = f.Because(cause)
	}
	return &Demand{Challenge: c, Unproved: unproved, fault: f}
}
