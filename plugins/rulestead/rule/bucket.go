package rule

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/sigra-auth/sigra/plugins/rulestead/murmur3"
)

// buckets is how many there are: shares are cut in steps of 0.01 percent.
const buckets = 10_000

// The purposes of buckets. Whoever is in a share must not therefore be in a certain part of its split.
const (
	forShare   = ""
	forSplit   = "/split"
	forHoldout = "/holdout"
)

// Bucket is the bucket of a subject in a share, 0 to 9999. It is the same in every release: docs/rules.md publishes vectors.
func Bucket(salt, subject string) uint64 { return bucket(forShare, salt, subject) }

// SplitBucket is the bucket of a subject in a split.
func SplitBucket(salt, subject string) uint64 { return bucket(forSplit, salt, subject) }

// HoldoutBucket is the bucket of a subject that says whether it is kept out of an experiment.
func HoldoutBucket(salt, subject string) uint64 { return bucket(forHoldout, salt, subject) }

func bucket(purpose, salt, subject string) uint64 {
	var buf [256]byte
	b := append(buf[:0], "rulestead/v1"...)
	b = append(b, purpose...)
	b = append(b, '\n')
	b = append(b, salt...)
	b = append(b, '\n')
	b = append(b, subject...)
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:8]) % buckets
}

// hash is how a rule finds buckets.
type hash uint8

const (
	sha256Hash  hash = iota
	unleashHash      // murmur3 of salt:subject
	flagdHash        // murmur3 of salt and subject
)

var hashes = map[string]hash{"": sha256Hash, "sha256": sha256Hash, "unleash": unleashHash, "flagd": flagdHash}

// unleashSplitSeed is the seed by which Unleash picks variants, so that they don't depend on who is in the share.
const unleashSplitSeed = 86028157

// inShare reports whether a subject is in a share of so many buckets.
func (h hash) inShare(salt, subject string, below uint64) bool {
	if h == unleashHash {
		return (uint64(murmur3.Sum32(salt+":"+subject, 0))%100+1)*100 <= below
	}
	return Bucket(salt, subject) < below
}

// position is where of total weights a subject falls, from 0.
func (h hash) position(salt, subject string, total uint64) uint64 {
	switch h {
	case unleashHash:
		return uint64(murmur3.Sum32(salt+":"+subject, unleashSplitSeed)) % total
	case flagdHash:
		return uint64(murmur3.Sum32(salt+subject, 0)) * total >> 32
	}
	return SplitBucket(salt, subject) * total / buckets
}
