// Package rulestead is the satellite that decides by rules: flags that answer the questions Sigra asks before an action, flags
// that applications read, and the history of both.
//
// Sigra supplies who and what a decision is about and asks; what may be done is decided here, never in the core.
//
//	definitions ──submit──▶ compiled? ──yes──▶ a new version, with who and why ──▶ every node's snapshot, within a second
//	                          │no       │                      ▲
//	                          │         └──▶ a change: open ───┘ approved by others, and its time has come
//	                          │                  └──▶ rejected, or outdated: the definitions changed under it
//	                          └──▶ every mistake, and nothing changed
//
// A version is the whole of the definitions and never changes; a rollback applies an earlier one again, as a new version. Every
// node evaluates on an immutable snapshot (package rule), which never goes back. While the database is away, the last snapshot
// goes on deciding, and health says how old it is.
//
// Where the settings ask for approvals, a change is the only way to a new version but one: a flag can be turned off at once, as far
// as that opens no gate.
//
// A gate flag's values are allow, deny and step_up. Of several flags that answer one question, the strictest decides. Without
// flags every question is answered with allow.
//
// The package refuses to know passwords, sessions and organizations beyond what Sigra tells it with a question.
package rulestead
