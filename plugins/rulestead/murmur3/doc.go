// Package murmur3 is MurmurHash3 in its x86 variant of 32 bits, by which Unleash and flagd assign people to groups. Definitions
// that come from them keep everybody's group only with the same hash.
//
// It is no cryptographic hash. The package refuses to be one: who can choose their identifier can choose their bucket.
package murmur3
