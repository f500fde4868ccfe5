package smtp

import (
	"bytes"
	"fmt"
	netmail "net/mail"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	gomail "github.com/wneessen/go-mail"

	"github.com/sigra-auth/sigra/core/mail"
)

// parcel is a message ready for the wire.
type parcel struct {
	from, to string
	hello    string // what we call ourselves to the server
	utf8     bool   // the envelope has letters beyond ASCII
	body     []byte
}

// compose makes the MIME message. Two attempts at one message give the same bytes, but for the mark of a possible duplicate.
func compose(m mail.Message) (parcel, error) {
	if err := m.Check(); err != nil {
		return parcel{}, err
	}
	m.From.Address, m.To.Address = mail.ASCIIDomain(m.From.Address), mail.ASCIIDomain(m.To.Address)
	_, domain, _ := cutLast(m.From.Address)
	msg := gomail.NewMsg(gomail.WithCharset(gomail.CharsetUTF8), gomail.WithEncoding(gomail.EncodingQP), gomail.WithNoDefaultUserAgent(), gomail.WithBoundary("sigra-"+m.ID.String()))
	msg.FromMailAddress(&netmail.Address{Name: m.From.Name, Address: m.From.Address})
	msg.ToMailAddress(&netmail.Address{Name: m.To.Name, Address: m.To.Address})
	msg.Subject(m.Subject)
	msg.SetDateWithValue(written(m.ID).UTC())
	msg.SetMessageIDWithValue(m.ID.String() + "@" + domain)
	// RFC 3834 §5, and what Exchange understands instead: no out-of-office replies to a confirmation.
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
		return parcel{}, fmt.Errorf("compose mail: %w", err)
	}
	return parcel{from: m.From.Address, to: m.To.Address, hello: ourName(domain), utf8: !ascii(m.From.Address) || !ascii(m.To.Address), body: b.Bytes()}, nil
}

// written is when a message was queued, which its id tells.
func written(id uuid.UUID) time.Time {
	if id.Version() == 7 {
		return time.Unix(id.Time().UnixTime())
	}
	return time.Now()
}

func cutLast(address string) (local, domain string, ok bool) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address, "", false
	}
	return address[:at], address[at+1:], true
}

// ourName is this machine's name where it is a full one, as RFC 5321 §4.1.1.1 wants it, and otherwise the domain we write from.
func ourName(domain string) string {
	if name, err := os.Hostname(); err == nil && strings.Contains(name, ".") && ascii(name) && !strings.ContainsAny(name, " \r\n") {
		return name
	}
	return domain
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
