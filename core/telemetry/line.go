package telemetry

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// lines writes each record, which comes with one Write, as one line: what a client, a plugin or a mail server said can't become a record
// of its own, nor steer a terminal (ASVS 5.0 16.4.1; CWE-117).
type lines struct{ w io.Writer }

func (l lines) Write(p []byte) (int, error) {
	record := bytes.TrimSuffix(p, []byte("\n"))
	if bytes.IndexFunc(record, breaks) < 0 {
		return l.w.Write(p)
	}
	var b strings.Builder
	for _, r := range string(record) {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case breaks(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('\n')
	if _, err := io.WriteString(l.w, b.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// breaks tells what ends a line somewhere, or means something to a terminal.
func breaks(r rune) bool {
	return r != '\t' && unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
}
