package mail

import (
	"context"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/sigra-auth/sigra/core/fault"
)

// errLetters says that the mail server can't write to an address. It tells nothing of who has it.
var errLetters = fault.New(fault.Invalid, "email_letters", "Our mail server can't write to addresses with letters other than a to z before the @. Use another address.").At("email")

// ASCIIDomain gives an address with its domain in A-labels (RFC 5891 §2.3.2.1), as every mail server takes it, with SMTPUTF8 or without.
// What is no domain name stays as it is.
func ASCIIDomain(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 || ascii(address[at:]) {
		return address
	}
	domain, err := idna.Lookup.ToASCII(address[at+1:])
	if err != nil {
		return address
	}
	return address[:at+1] + domain
}

// Writable refuses an address that the mailer has no letters for. A stranger may learn that: it depends on the address as it is spelled alone.
func (q *Queue) Writable(ctx context.Context, address string) error {
	if ascii(ASCIIDomain(address)) {
		return nil
	}
	if m, ok := q.Mailer().(Lettered); ok && !m.TakesUTF8(ctx, q.from.Address) {
		return errLetters
	}
	return nil
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
