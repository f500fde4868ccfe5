// Package unleash evaluates the definitions that Unleash gives its clients, as its client specification says, so that flags can be
// checked and moved without that server.
//
//	enabled? ──▶ dependencies hold? ──▶ one of the strategies applies? ──▶ a variant of the strategy, or of the feature
//
// This mode keeps Unleash's own meaning, which is not Rulestead's: NOT_IN and inverted constraints hold for an attribute that is
// missing, and everything in a context is text. Import says the same in Rulestead's rules, where it can be said, and refuses what
// can't.
//
// The package refuses to guess: an operator, a strategy or a segment that it doesn't know never applies.
package unleash
