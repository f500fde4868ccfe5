// Package secret holds values that must not be seen: root keys, database passwords, tokens.
//
// A Text prints as [redacted] in every format: every verb of fmt, JSON, text encoders, log/slog and hclog. The only way to
// the value is Reveal, so that a search for that word finds every place where a secret leaves its wrapping.
//
// The value hangs behind a pointer. Formatters that ignore methods (fmt inside an unexported field, a debugger's dump of a
// struct) find an address there, not the text.
//
// The package refuses to make, derive, store or check secrets; it only keeps them from being printed.
package secret
