package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"unique"
)

// Redacted is what a set Text prints as.
const Redacted = "[redacted]"

// Text is a secret string. The zero value is unset and prints as nothing. Two are == when their values are, so that
// settings holding them can be compared as a whole; compare with what a stranger sent by Equal.
type Text struct{ value unique.Handle[string] }

// New wraps s. An empty s gives the zero value.
func New(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{value: unique.Make(s)}
}

// Reveal returns the secret. Call it where the value is used and nowhere else.
func (t Text) Reveal() string {
	if t.IsZero() {
		return ""
	}
	return t.value.Value()
}

// IsZero reports whether nothing is set.
func (t Text) IsZero() bool { return t == Text{} }

// Equal compares two secrets in time that does not depend on where they differ.
func (t Text) Equal(other Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(other.Reveal())) == 1
}

// String returns [redacted], or nothing for an unset secret.
func (t Text) String() string {
	if t.IsZero() {
		return ""
	}
	return Redacted
}

// GoString is String: %#v must not open what %v keeps shut.
func (t Text) GoString() string { return t.String() }

// Format prints String for every verb and flag, %x, %q and %#v included.
func (t Text) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, t.String()) }

// MarshalText redacts for JSON, XML and every other text encoder.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// LogValue redacts for log/slog.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }
