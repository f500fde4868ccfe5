package ratelimit

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

// Marker authenticates what Sigra hands out and gets back; *keyring.Ring is one.
type Marker interface {
	MAC(purpose string, msg []byte) []byte
}

// The difficulties there are: 2^6 hashes are none, and 2^28 take minutes in a browser.
const (
	MinDifficulty = 6
	MaxDifficulty = 28
)

// PuzzleConfig says how hard puzzles are.
type PuzzleConfig struct {
	Marks Marker
	// Difficulty is that of the first step: solving takes 2^Difficulty hashes on average. Zero means 21.
	Difficulty int
	// Max is the ceiling, whatever the step; zero means Difficulty+3.
	Max int
	TTL time.Duration    // how long a puzzle may be redeemed; zero means 5 min
	Now func() time.Time // nil: the system's
}

// Puzzles asks for proofs of work. It keeps nothing until a puzzle is redeemed: the challenge carries its own terms and a MAC.
//
//	challenge = base64url(version ‖ difficulty ‖ expiry ‖ salt ‖ MAC(version ‖ difficulty ‖ expiry ‖ salt ‖ SHA-256(scope)))
//
// Safe for concurrent use.
type Puzzles struct {
	marks      Marker
	difficulty int
	max        int
	ttl        time.Duration
	now        func() time.Time
}

var _ Verifier = (*Puzzles)(nil)

// NewPuzzles makes puzzles of a difficulty.
func NewPuzzles(cfg PuzzleConfig) (*Puzzles, error) {
	if cfg.Marks == nil {
		return nil, errors.New("puzzles need a key to authenticate them")
	}
	if cfg.Difficulty == 0 {
		cfg.Difficulty = 21
	}
	if cfg.Max == 0 {
		cfg.Max = min(cfg.Difficulty+3, MaxDifficulty)
	}
	if cfg.Difficulty < MinDifficulty || cfg.Max < cfg.Difficulty || cfg.Max > MaxDifficulty {
		return nil, fmt.Errorf("a puzzle's difficulty of %d to %d is out of range: %d to %d", cfg.Difficulty, cfg.Max, MinDifficulty, MaxDifficulty)
	}
	if cfg.TTL == 0 {
		cfg.TTL = 5 * time.Minute
	}
	if cfg.TTL < time.Second {
		return nil, fmt.Errorf("a puzzle that expires after %s can't be solved", cfg.TTL)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Puzzles{marks: cfg.Marks, difficulty: cfg.Difficulty, max: cfg.Max, ttl: cfg.TTL, now: cfg.Now}, nil
}

const (
	puzzlePurpose = "ratelimit.puzzle"
	puzzleVersion = 1
	saltSize      = 16 // 128 bits: no two puzzles are the same, and none is solved before it is asked for
	puzzleHead    = 1 + 1 + 8 + saltSize
	puzzleMAC     = 16 // half of what HMAC-SHA-256 gives (RFC 2104 §5)
)

var puzzleText = base64.RawURLEncoding.Strict() // strict: one puzzle has one text

// Issue implements Verifier. The scope is in the MAC and not in the text: nobody reads out of a puzzle whose account it is for.
func (p *Puzzles) Issue(scope string, step int) Challenge {
	d, expires := p.at(step), p.now().Add(p.ttl).Truncate(time.Second)
	b := make([]byte, puzzleHead, puzzleHead+puzzleMAC)
	b[0], b[1] = puzzleVersion, byte(d)
	binary.BigEndian.PutUint64(b[2:], uint64(expires.Unix()))
	_, _ = rand.Read(b[10:]) // never fails: crypto/rand ends the program instead
	b = append(b, p.mac(b, scope)...)
	return Challenge{Kind: ProofOfWork, Puzzle: puzzleText.EncodeToString(b), Difficulty: d, ExpiresAt: expires.UTC()}
}

// at is the difficulty of a step.
func (p *Puzzles) at(step int) int { return p.difficulty + min(max(step, 0), p.max-p.difficulty) }

func (p *Puzzles) mac(head []byte, scope string) []byte {
	sum := sha256.Sum256([]byte(scope))
	return p.marks.MAC(puzzlePurpose, append(append(make([]byte, 0, puzzleHead+len(sum)), head...), sum[:]...))[:puzzleMAC]
}

// Verify implements Verifier. Puzzles of one step less are taken too: what a stranger's failures add while somebody solves must
// not void the work.
func (p *Puzzles) Verify(_ context.Context, scope string, step int, proof Proof) (Ticket, error) {
	if len(proof.Challenge) != puzzleText.EncodedLen(puzzleHead+puzzleMAC) {
		return Ticket{}, fmt.Errorf("%w: no puzzle", ErrProof)
	}
	b, err := puzzleText.DecodeString(proof.Challenge)
	// The MAC first: nobody has us look at more than what we have made.
	if err != nil || len(b) != puzzleHead+puzzleMAC || !hmac.Equal(b[puzzleHead:], p.mac(b[:puzzleHead], scope)) {
		return Ticket{}, fmt.Errorf("%w: not a puzzle for this", ErrProof)
	}
	if b[0] != puzzleVersion {
		return Ticket{}, fmt.Errorf("%w: a puzzle of version %d", ErrProof, b[0])
	}
	expires := time.Unix(int64(binary.BigEndian.Uint64(b[2:])), 0)
	if !p.now().Before(expires) {
		return Ticket{}, fmt.Errorf("%w: expired", ErrProof)
	}
	d := int(b[1])
	if least := p.at(step - 1); d < least {
		return Ticket{}, fmt.Errorf("%w: of difficulty %d, needed is %d", ErrProof, d, least)
	}
	if !solves(proof.Challenge, d, proof.Solution) {
		return Ticket{}, fmt.Errorf("%w: not solved", ErrProof)
	}
	return NewTicket(ProofOfWork, proof.Challenge, expires), nil
}

var errWork = fault.New(fault.RateLimited, "proof_of_work_invalid", "The proof of work is wrong, has expired or was used before.")

// Redeem verifies and spends in one go, in the transaction of what the proof allows, for flows that need no back-off. The fault
// proof_of_work_invalid when the proof is not right, or another one was faster with it.
func (p *Puzzles) Redeem(ctx context.Context, tx *store.Tx, scope string, proof Proof) error {
	t, err := p.Verify(ctx, scope, 0, proof)
	if err == nil {
		err = Spend(ctx, tx, t)
	}
	if errors.Is(err, ErrProof) {
		return errWork.Because(err)
	}
	return err
}
