package mailglass

import (
	"bytes"
	"fmt"
	"net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// compose makes the MIME message. Two attempts at one message give the same bytes.
func compose(m pluginsdk.Message, at time.Time) ([]byte, error) {
	domain := m.From.Address[strings.LastIndexByte(m.From.Address, '@')+1:]
	id := boundary(m.IdempotencyKey)
	msg := gomail.NewMsg(gomail.WithCharset(gomail.CharsetUTF8), gomail.WithEncoding(gomail.EncodingQP), gomail.WithNoDefaultUserAgent(), gomail.WithBoundary("mailglass-"+id))
	msg.FromMailAddress(&mail.Address{Name: m.From.Name, Address: m.From.Address})
	msg.ToMailAddress(&mail.Address{Name: m.To.Name, Address: m.To.Address})
	msg.Subject(m.Subject)
	msg.SetDateWithValue(at.UTC())
	msg.SetMessageIDWithValue(id + "@" + domain)
	// RFC 3834 §5, and what Exchange understands instead: no out-of-office replies.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetGenHeader("X-Auto-Response-Suppress", "All")
	if m.Language != "" {
		msg.SetGenHeader("Content-Language", m.Language)
	}
	if m.PossibleDuplicate {
		msg.SetGenHeader("X-Sigra-Possible-Duplicate", "yes")
	}
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	var b bytes.Buffer
	if _, err := msg.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("compose: %w", err)
	}
	return b.Bytes(), nil
}

// boundary keeps of a key what a boundary and a Message-ID may have.
func boundary(key string) string {
	out := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, key)
	return out[:min(len(out), 50)]
}
