package mail

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sigra-auth/sigra/core/fault"
)

// Bounds of a message.
const (
	maxSubject = 998 // one line of RFC 5322 §2.1.1
	maxName    = 256
	maxBody    = 1 << 20
)

// Check refuses what could become another header, another recipient or no mail at all. It stands here, before the queue,
// so that no mailer has to be trusted with it (ASVS 5.0 1.3.11).
func (m Message) Check() error {
	if err := checkAddress(m.To); err != nil {
		return err
	}
	if err := checkAddress(m.From); err != nil {
		return err
	}
	switch {
	case m.Purpose == "" || len(m.Purpose) > 100 || !line(m.Purpose):
		return fault.New(fault.Invalid, "invalid_purpose", "A mail needs a purpose.").At("purpose")
	case len(m.Subject) > maxSubject || !line(m.Subject):
		return fault.New(fault.Invalid, "invalid_subject", "The subject has a line break, a control character or is too long.").At("subject")
	case len(m.Language) > 35 || strings.ContainsFunc(m.Language, func(r rune) bool { return r != '-' && (r > 'z' || !unicode.IsLetter(r) && !unicode.IsDigit(r)) }):
		return fault.New(fault.Invalid, "invalid_language", "The language is no BCP 47 tag.").At("language")
	case m.Stream != "" && m.Stream != Transactional && m.Stream != Operational && m.Stream != Bulk:
		return fault.New(fault.Invalid, "invalid_stream", "A stream is transactional, operational or bulk.").At("stream")
	case len(m.TemplateVersion) > 64 || !line(m.TemplateVersion):
		return fault.New(fault.Invalid, "invalid_template_version", "A template's version has at most 64 printable characters.").At("template_version")
	case m.Text == "":
		return fault.New(fault.Invalid, "invalid_body", "A mail needs a text.").At("text")
	case len(m.Text) > maxBody || len(m.HTML) > maxBody:
		return fault.New(fault.TooLarge, "mail_too_large", "The mail is too large.").At("text")
	case !utf8.ValidString(m.Text) || !utf8.ValidString(m.HTML):
		return fault.New(fault.Invalid, "invalid_body", "The mail is not UTF-8.").At("text")
	}
	return nil
}

func checkAddress(a Address) error {
	bad := fault.New(fault.Invalid, "invalid_address", "This is not a mail address that can be written to.").At("to")
	at := strings.LastIndexByte(a.Address, '@')
	if at < 1 || at == len(a.Address)-1 || len(a.Address) > 254 || !line(a.Address) || strings.ContainsAny(a.Address, " <>(),;:\"\\[]") {
		return bad
	}
	if len(a.Name) > maxName || !line(a.Name) {
		return bad
	}
	return nil
}

// line reports that s is UTF-8 on one line without control characters or the Unicode line separators.
func line(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return false
		}
	}
	return true
}
