package ratelimit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// A puzzle is 32 small ones instead of one large: the work is the same on average, but who has bad luck needs half as much again
// and not five times as much, and there is progress to show.
const (
	parts    = 32
	partBits = 5 // log2(parts)
)

// work hashes one attempt at a part: SHA-256(seed ‖ part ‖ counter), both in four bytes, big-endian. It fits one block.
type work [sha256.Size + 8]byte

func newWork(challenge string) *work {
	var w work
	seed := sha256.Sum256([]byte(challenge))
	copy(w[:], seed[:])
	return &w
}

// solved reports whether the hash begins with as many zero bits as a part must have.
func (w *work) solved(part, counter uint32, zeros int) bool {
	binary.BigEndian.PutUint32(w[sha256.Size:], part)
	binary.BigEndian.PutUint32(w[sha256.Size+4:], counter)
	sum := sha256.Sum256(w[:])
	return bits.LeadingZeros32(binary.BigEndian.Uint32(sum[:])) >= zeros
}

// maxSolution is the length of 32 counters of ten digits with dots between them.
const maxSolution = parts*10 + parts - 1

// solves reports whether a solution is right.
func solves(challenge string, difficulty int, solution string) bool {
	if len(solution) > maxSolution || strings.Count(solution, ".") != parts-1 {
		return false
	}
	w, part := newWork(challenge), uint32(0)
	for text := range strings.SplitSeq(solution, ".") {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil || !w.solved(part, uint32(n), difficulty-partBits) {
			return false
		}
		part++
	}
	return true
}

// Solve finds the solution of a puzzle: for each of its parts, numbered from 0, the smallest counter with which
// SHA-256(SHA-256(challenge) ‖ part ‖ counter) begins with difficulty-5 zero bits; the counters in decimal, joined by dots. It
// takes 2^difficulty hashes on average and gives up when ctx ends.
func Solve(ctx context.Context, challenge string, difficulty int) (string, error) {
	if difficulty < MinDifficulty || difficulty > MaxDifficulty {
		return "", fmt.Errorf("solve a puzzle: a difficulty of %d is out of range", difficulty)
	}
	w, out := newWork(challenge), make([]byte, 0, maxSolution)
	for part := range uint32(parts) {
		counter := uint32(0)
		for !w.solved(part, counter, difficulty-partBits) {
			if counter == math.MaxUint32 {
				return "", errors.New("solve a puzzle: it has no solution") // never seen: 2^32 tries where 2^23 are expected
			}
			if counter++; counter%(1<<14) == 0 && ctx.Err() != nil {
				return "", fmt.Errorf("solve a puzzle: %w", ctx.Err())
			}
		}
		if part > 0 {
			out = append(out, '.')
		}
		out = strconv.AppendUint(out, uint64(counter), 10)
	}
	return string(out), nil
}
