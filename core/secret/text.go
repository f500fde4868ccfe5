package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Text is a secret string. The zero value is the empty one.
//
// The string hides behind a pointer so that reflection-based printers that can't see Format show an address.
type Text struct{ v *string }

// New wraps a string.
func New(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{&s}
}

// Reveal gives the secret itself.
func (t Text) Reveal() string {
	if t.v == nil {
		return ""
	}
	return *t.v
}

// IsZero reports that there is no secret.
func (t Text) IsZero() bool { return t.v == nil }

// Equal compares in time that depends on the lengths alone.
func (t Text) Equal(o Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(o.Reveal())) == 1
}

// Format implements fmt.Formatter for every verb.
func (t Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String implements fmt.Stringer.
func (t Text) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (t Text) GoString() string { return redacted }

// MarshalText implements encoding.TextMarshaler, which JSON, XML and hclog use.
func (t Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer.
func (t Text) LogValue() slog.Value { return slog.StringValue(redacted) }
