package pluginhost

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/store"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
)

type mailService struct {
	hostv1.UnimplementedMailServer
	*hostServices
}

// mailSpace makes ids of a plugin's idempotency keys that no other plugin's keys and no other mail can have.
var mailSpace = uuid.MustParse("6f0a3b52-0e0f-4b6e-9d0e-5f6a1c8e7b31")

func (s mailService) Send(ctx context.Context, r *hostv1.SendMailRequest) (*hostv1.SendMailResponse, error) {
	if s.h.cfg.Outbox == nil {
		return nil, missing("mail")
	}
	m := r.GetMessage()
	if m.GetTo().GetAddress() == "" {
		return nil, fault.New(fault.Invalid, "invalid_recipient", "A mail needs a recipient.").At("to")
	}
	org, err := idFrom(m.GetOrganizationId(), "organization_id")
	if err != nil {
		return nil, err
	}
	user, err := idFrom(m.GetUserId(), "user_id")
	if err != nil {
		return nil, err
	}
	// The sender is the service's own, not the plugin's choice.
	msg := mail.Message{
		Purpose: s.name() + "." + orElse(m.GetPurpose(), "message"), To: mail.Address{Address: m.GetTo().GetAddress(), Name: m.GetTo().GetName()},
		Subject: m.GetSubject(), Text: m.GetText(), HTML: m.GetHtml(), Variables: m.GetVariables(), Language: m.GetLanguage(), OrganizationID: org,
		Category: mail.Other, ValidFor: max(m.GetValidFor().AsDuration(), 0), UserID: user, Stream: mail.Stream(m.GetStream()), TemplateVersion: m.GetTemplateVersion(),
	}
	if t := m.GetDeadline(); t.IsValid() {
		msg.Deadline = t.AsTime()
	}
	if key := m.GetIdempotencyKey(); key != "" {
		msg.ID = uuid.NewSHA1(mailSpace, []byte(s.name()+"\x00"+key))
	}
	var id uuid.UUID
	err = s.h.cfg.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		id, err = s.h.cfg.Outbox.Enqueue(ctx, tx, msg)
		return err
	})
	return &hostv1.SendMailResponse{Id: idText(id)}, err
}

var reportEvents = map[hostv1.ReportMailRequest_Event]mail.ReportEvent{
	hostv1.ReportMailRequest_EVENT_DELIVERED: mail.Delivered, hostv1.ReportMailRequest_EVENT_BOUNCED: mail.Bounced,
	hostv1.ReportMailRequest_EVENT_COMPLAINED: mail.Complained, hostv1.ReportMailRequest_EVENT_FAILED: mail.GaveUp,
}

func (s mailService) Report(ctx context.Context, r *hostv1.ReportMailRequest) (*hostv1.ReportMailResponse, error) {
	if s.h.cfg.Outbox == nil {
		return nil, missing("mail")
	}
	event, ok := reportEvents[r.GetEvent()]
	if !ok {
		return nil, fault.New(fault.Invalid, "invalid_event", "A report says delivered, bounced, complained or failed.").At("event")
	}
	id, err := uuid.Parse(r.GetIdempotencyKey())
	if err != nil {
		return &hostv1.ReportMailResponse{}, nil // a key that Sigra never gave
	}
	var occurred time.Time
	if r.GetOccurredAt().IsValid() {
		occurred = r.GetOccurredAt().AsTime()
	}
	known, err := s.h.cfg.Outbox.Report(ctx, mail.Report{Mailer: s.name(), ID: id, Event: event, Reason: printable(r.GetReason()), At: occurred})
	return &hostv1.ReportMailResponse{Known: known}, err
}

// Catalogue writes every message of the core's own once in each language.
func (s mailService) Catalogue(context.Context, *hostv1.MailCatalogueRequest) (*hostv1.MailCatalogueResponse, error) {
	if s.h.cfg.Letters == nil {
		return nil, missing("the messages' samples")
	}
	out := &hostv1.MailCatalogueResponse{}
	for _, name := range mail.Purposes() {
		p := &hostv1.MailPurpose{Name: name, Stream: string(mail.Transactional)}
		for _, language := range s.h.cfg.Letters.Languages() {
			l := mail.Sample(name, s.h.cfg.BaseURL)
			l.Language = language
			m, err := s.h.cfg.Letters.Write(l)
			if err != nil {
				return nil, err
			}
			sample := messageTo(m)
			sample.IdempotencyKey = "" // it is nobody's message
			p.Samples = append(p.Samples, sample)
			p.Category, p.ValidFor, p.Description = sample.GetCategory(), sample.GetValidFor(), orElse(p.GetDescription(), m.Subject)
			for field := range m.Variables {
				if !slices.Contains(p.GetFields(), field) {
					p.Fields = append(p.Fields, field)
				}
			}
		}
		slices.Sort(p.Fields)
		out.Purposes = append(out.Purposes, p)
	}
	return out, nil
}
