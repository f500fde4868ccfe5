// Package rule decides what a flag's value is for somebody: definitions are compiled once into an immutable Snapshot, and evaluated
// on it without locks, without input or output and, for most flags, without allocation.
//
// A flag that is off has its off value. Otherwise, the first of these that applies decides:
//
//	prerequisites   another flag does not have the value that this one needs: the off value
//	targets         the value of an attribute is listed
//	rules           in order; the first whose condition is true, and whose share of the population the subject falls into
//	default
//
// # Conditions
//
// A condition is true, false or unknown. A clause about an attribute that is missing, or of another type than the operator needs, is
// unknown; so is its negation, and so is "not" of it. Unknown never lets a rule apply. That is why a missing attribute can't satisfy
// not_equals, not_in or any other negation. Types are never coerced: "1" is no number.
//
// # Shares
//
// A rule with a percentage applies to a stable share of the population, and a split gives each a stable part of it. The bucket of a
// subject is the first eight bytes, big-endian, of the SHA-256 of
//
//	rulestead/v1[/split|/holdout]\n<salt of the rule, the flag, or its key>\n<value of the attribute>
//
// modulo 10 000; the rule applies below percentage × 100. Raising a percentage keeps everybody who was in. docs/rules.md publishes
// buckets, and how those of Unleash and flagd are found, which a rule can take instead.
//
// The package refuses to know where definitions are kept and who asks.
package rule
