package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// Mail is outgoing mail as the API needs it.
type Mail interface {
	Queue(ctx context.Context) (mail.Status, error)
	// Mailer says what sends: "smtp://host:port", "inbox", "plugin" or "none".
	Mailer() string
	// Test hands a message for this address to the mailer at once. An error means that it could not be tried.
	Test(ctx context.Context, actor audit.Ref, to string) (MailTest, error)
}

// MailQueue is how outgoing mail stands.
type MailQueue struct {
	Mailer    string    `json:"mailer" doc:"What sends: smtp://host:port, inbox (nothing leaves), plugin NAME, or none."`
	Queued    int       `json:"queued" doc:"Waiting for their turn or to be tried again."`
	Sending   int       `json:"sending" doc:"Being handed over now."`
	Accepted  int       `json:"accepted" doc:"Taken by a plugin that has not reported yet what became of them."`
	Sent      int       `json:"sent" doc:"Taken by the mailer in the last seven days."`
	Failed    int       `json:"failed" doc:"Refused for good in the last seven days."`
	Expired   int       `json:"expired" doc:"Not sent before they were worth nothing, in the last seven days."`
	Uncertain int       `json:"uncertain" doc:"Tried three times, and nobody knows whether one went out; in the last seven days."`
	Withheld  int       `json:"withheld" doc:"Decoys for addresses without an account, which are never sent; in the last seven days."`
	Oldest    time.Time `json:"oldest,omitzero" doc:"Since when the oldest of those that wait does."`
}

// MailTest is what became of a test message.
type MailTest struct {
	Outcome string `json:"outcome" enum:"sent,refused,unavailable,uncertain" doc:"sent: the mailer took it. refused: never. unavailable: not now. uncertain: nobody knows."`
	Mailer  string `json:"mailer" doc:"What sent it: see the queue's mailer."`
	Code    string `json:"code,omitempty" doc:"What went wrong, for programs."`
	Message string `json:"message,omitempty" doc:"What went wrong, for people."`
	Answer  string `json:"answer,omitempty" doc:"What the mail server said, or why it could not be asked."`
}

type mailTestInput struct {
	Body struct {
		To string `json:"to" minLength:"3" maxLength:"320" doc:"Where to send it." example:"you@example.com"`
	} `nameHint:"MailTestInput"`
}

// adminMail is outgoing mail.
type adminMail struct{ mail Mail }

// Mount adds the operations.
func (d adminMail) Mount(k *kit) {
	off := d.mail == nil
	register(k, operation{
		method: http.MethodGet, path: "/v1/admin/mail", id: "get-mail-queue", tag: "mail", off: off,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "Show how outgoing mail stands", description: "What sends, what waits, and what became of the messages of the last seven days.", ok: "The queue.",
	}, func(ctx context.Context, _ asker, _ *none) (*struct{ Body MailQueue }, error) {
		st, err := d.mail.Queue(ctx)
		if err != nil {
			return nil, err
		}
		return &struct{ Body MailQueue }{MailQueue{
			Mailer: d.mail.Mailer(), Queued: st.Queued, Sending: st.Sending, Sent: st.Sent, Failed: st.Failed, Expired: st.Expired,
			Accepted: st.Accepted, Uncertain: st.Uncertain, Withheld: st.Withheld, Oldest: st.Oldest,
		}}, nil
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/admin/mail/test", id: "test-mail", tag: "mail", off: off,
		limit: ratelimit.Mail, access: endpoint.Administrator, maxBody: smallBody,
		summary: "Send a test message", description: "Hands a message to the mailer at once, past the queue, and tells what it answered. It is not tried again.", ok: "What became of it, good or bad.",
	}, func(ctx context.Context, who asker, in *mailTestInput) (*struct{ Body MailTest }, error) {
		res, err := d.mail.Test(ctx, who.actor(), in.Body.To)
		if err != nil {
			return nil, err
		}
		return &struct{ Body MailTest }{res}, nil
	})
}
