package main

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"time"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/mail/smtp"
)

// mailAdmin is outgoing mail as the API sees it.
type mailAdmin struct{ *parts }

var _ httpapi.Mail = mailAdmin{}

// Queue implements httpapi.Mail.
func (m mailAdmin) Queue(ctx context.Context) (mail.Status, error) { return m.mail.Status(ctx) }

// Mailer implements httpapi.Mail.
func (m mailAdmin) Mailer() string {
	switch s := m.mail.Mailer().(type) {
	case *smtp.Sender:
		return s.String()
	case *mail.Inbox:
		return "inbox"
	case *mail.Nowhere:
		return "none"
	case fmt.Stringer:
		return "plugin " + s.String()
	}
	return "plugin"
}

// Test implements httpapi.Mail.
func (m mailAdmin) Test(ctx context.Context, actor audit.Ref, to string) (httpapi.MailTest, error) {
	to, err := account.ParseEmail(to)
	if err != nil {
		return httpapi.MailTest{}, fault.From(err).At("to")
	}
	letter, err := m.letters.Write(mail.Letter{Purpose: mail.Test, To: to, When: time.Now()})
	if err != nil {
		return httpapi.MailTest{}, err
	}
	res := httpapi.MailTest{Mailer: m.Mailer(), Outcome: "sent"}
	res.Answer, err = m.mail.Try(ctx, letter)
	if err != nil {
		f := fault.From(err)
		res.Code, res.Message = f.Code, f.Message
		switch f.Kind {
		case fault.Unavailable, fault.RateLimited:
			res.Outcome = "unavailable"
		case fault.Invalid, fault.Denied, fault.NotFound, fault.TooLarge:
			res.Outcome = "refused"
		default:
			res.Outcome, res.Code, res.Message = "uncertain", "uncertain", "Nobody knows whether the message went out."
		}
		res.Answer = whatWasSaid(err)
	}
	return res, m.note(ctx, audit.Entry{Action: "admin.mail.test", Actor: actor, Metadata: map[string]any{"outcome": res.Outcome, "problem": res.Code}})
}

// whatWasSaid is the mail server's own answer, or else the cause.
func whatWasSaid(err error) string {
	var te *textproto.Error
	if errors.As(err, &te) {
		return fmt.Sprintf("%d %s", te.Code, te.Msg)
	}
	if cause := fault.From(err).Unwrap(); cause != nil {
		return cause.Error()
	}
	return ""
}
