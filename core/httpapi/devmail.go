package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// Inbox is the development inbox; *mail.Inbox is one.
type Inbox interface {
	List(ctx context.Context, to string) ([]mail.Received, error)
	Get(ctx context.Context, id uuid.UUID) (mail.Received, error)
}

// InboxMessage is a message in the development inbox.
type InboxMessage struct {
	ID         uuid.UUID         `json:"id" format:"uuid" doc:"The message's id."`
	ReceivedAt time.Time         `json:"received_at" doc:"When it came in."`
	Purpose    string            `json:"purpose" doc:"What it is for."`
	From       string            `json:"from" doc:"The sender's address."`
	To         string            `json:"to" doc:"The recipient's address."`
	Subject    string            `json:"subject" doc:"The subject."`
	Text       string            `json:"text" doc:"The plain text."`
	HTML       string            `json:"html,omitempty" doc:"The HTML part."`
	Variables  map[string]string `json:"variables,omitempty" doc:"What it was made of: link, code and so on."`
}

// InboxList is the development inbox.
type InboxList struct {
	Messages []InboxMessage `json:"messages" doc:"Newest first."`
}

func inboxMessage(m mail.Received) InboxMessage {
	return InboxMessage{ID: m.ID, ReceivedAt: m.ReceivedAt, Purpose: m.Purpose, From: m.From.Address, To: m.To.Address,
		Subject: m.Subject, Text: m.Text, HTML: m.HTML, Variables: m.Variables}
}

type listInboxInput struct {
	To string `query:"to" maxLength:"320" doc:"Only messages to this address."`
}

type getInboxInput struct {
	ID uuid.UUID `path:"id" format:"uuid" doc:"The message's id."`
}

// devMail is the development inbox. It asks nobody who they are: it exists only where mail goes to no one, and answers this machine only.
type devMail struct{ inbox Inbox }

// Mount adds the operations.
func (d devMail) Mount(k *kit) {
	if d.inbox == nil {
		return
	}
	register(k, operation{
		method: http.MethodGet, path: "/v1/dev/mail", id: "list-dev-mail", tag: "development",
		limit: ratelimit.General, access: endpoint.ThisMachine,
		summary: "List the development inbox", description: "Every mail Sigra would have sent.", ok: "The messages.",
	}, func(ctx context.Context, _ asker, in *listInboxInput) (*struct{ Body InboxList }, error) {
		list, err := d.inbox.List(ctx, in.To)
		if err != nil {
			return nil, err
		}
		out := &struct{ Body InboxList }{InboxList{Messages: []InboxMessage{}}}
		for _, m := range list {
			out.Body.Messages = append(out.Body.Messages, inboxMessage(m))
		}
		return out, nil
	})
	register(k, operation{
		method: http.MethodGet, path: "/v1/dev/mail/{id}", id: "get-dev-mail", tag: "development",
		limit: ratelimit.General, access: endpoint.ThisMachine,
		summary: "Show a message of the development inbox", description: "The inbox keeps the newest 200.", ok: "The message.",
		problems: map[int]string{http.StatusNotFound: "The message is not there, or no longer."},
	}, func(ctx context.Context, _ asker, in *getInboxInput) (*struct{ Body InboxMessage }, error) {
		m, err := d.inbox.Get(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return &struct{ Body InboxMessage }{inboxMessage(m)}, nil
	})
}
