package pluginsdk

import "fmt"

// Secret is a text that prints as [redacted] in every format. As a settings field it is marked secret by itself.
type Secret struct{ value string }

// NewSecret wraps a text.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal gives the text.
func (s Secret) Reveal() string { return s.value }

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return "[redacted]"
}

// Format keeps %#v, %+v, %x and the others from looking inside.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText keeps encoders, slog and hclog from looking inside.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
