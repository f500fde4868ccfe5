// Package flagd evaluates flagd's flag definitions: JSONLogic with flagd's own operations fractional, sem_ver, starts_with and
// ends_with.
//
//	DISABLED ──▶ the caller's default
//	targeting ──▶ a variant; null ──▶ the default variant, or the caller's default
//
// This mode keeps JSONLogic's own meaning, which is not Rulestead's: types are converted, and != holds for what is missing. Check
// holds a document against the rules of flagd's published schemas, which are stricter than evaluation. Import says a document in
// Rulestead's rules, where it can be said, and refuses what can't.
//
// An evaluation is bounded: it takes so many steps and no more. The package refuses to read flags from anywhere itself.
package flagd
