package process

import (
	"strings"
	"unicode"
)

// Printable drops from a plugin's text what could steer a terminal or fake another line of the log.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r == '\uFFFD', unicode.IsControl(r), r == '\u2028', r == '\u2029', unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, s)
}
