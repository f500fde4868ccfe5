package pluginhost

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/store"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
)

type noticesService struct {
	hostv1.UnimplementedNoticesServer
	*hostServices
}

// The limits of notices.
const (
	maxNoticeSubject = 200 // bytes, as is each variable
	maxNoticeText    = 4 << 10
	maxRecipients    = 200
	noticeTTL        = 180 * 24 * time.Hour // for how long the same key is the same notice
)

// noticeKeys marks the rows of plugin_kv that remember which notices went out. No plugin's name has a slash.
const noticeKeys = "/notice"

// Send writes to everybody who administers the organization, or Sigra, each in their language. The same key is one notice, whoever became an
// administrator meanwhile.
func (s noticesService) Send(ctx context.Context, r *hostv1.SendNoticeRequest) (*hostv1.SendNoticeResponse, error) {
	if s.h.cfg.Outbox == nil || s.h.cfg.Accounts == nil {
		return nil, missing("mail")
	}
	id, err := idFrom(r.GetOrganizationId(), "organization_id")
	if err != nil {
		return nil, err
	}
	if err := s.check(r); err != nil {
		return nil, err
	}
	people, err := s.recipients(ctx, id)
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(people))
	for i, a := range people {
		ids[i] = a.ID
	}
	languages, err := s.h.cfg.Accounts.Languages(ctx, ids)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(id.String() + "\x00" + r.GetIdempotencyKey()))
	var told uint32
	err = s.h.cfg.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		now, told32 := s.h.now(), []byte(nil)
		err := tx.QueryRow(ctx, kvGetSQL, s.name()+noticeKeys, sum[:], now).Scan(&told32, new(int64))
		if err == nil && len(told32) == 4 {
			told = binary.BigEndian.Uint32(told32)
			return nil
		}
		if !errors.Is(err, store.ErrNoRows) {
			return err
		}
		for _, a := range people {
			m := s.message(r, a, orElse(languages[a.ID], s.h.cfg.Language))
			m.OrganizationID = id
			if _, err := s.h.cfg.Outbox.Enqueue(ctx, tx, m); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, kvExpiredSQL, s.name()+noticeKeys, now); err != nil {
			return err
		}
		told = uint32(len(people))
		_, err = tx.Exec(ctx, kvInsertSQL, s.name()+noticeKeys, sum[:], binary.BigEndian.AppendUint32(nil, told), now.UnixMicro(), now.Add(noticeTTL))
		return err
	})
	if store.IsUnique(err) { // another node sends it at this moment
		return nil, fault.New(fault.Unavailable, "busy", "The same notice is being sent. Try again.").After(50 * time.Millisecond)
	}
	if err != nil {
		return nil, err
	}
	return &hostv1.SendNoticeResponse{Recipients: told}, nil
}

func (s noticesService) check(r *hostv1.SendNoticeRequest) error {
	u, err := url.Parse(r.GetLink())
	switch {
	case r.GetIdempotencyKey() == "" || len(r.GetIdempotencyKey()) > maxKey:
		return fault.Newf(fault.Invalid, "invalid_key", "An idempotency key has 1 to %d bytes.", maxKey).At("idempotency_key")
	case r.GetSubject() == "" || len(r.GetSubject()) > maxNoticeSubject:
		return fault.Newf(fault.Invalid, "invalid_subject", "A subject has 1 to %d bytes.", maxNoticeSubject).At("subject")
	case r.GetText() == "" || len(r.GetText()) > maxNoticeText:
		return fault.Newf(fault.Invalid, "invalid_text", "A text has 1 to %d bytes.", maxNoticeText).At("text")
	case r.GetLink() != "" && (err != nil || u.Scheme != "" || u.Host != "" || !cleanPath(u.Path)):
		return fault.New(fault.Invalid, "foreign_link", "A notice's link is a path on this Sigra.").At("link")
	}
	for name, v := range r.GetVariables() {
		if len(v) > maxNoticeSubject || name == "" || strings.ContainsAny(name, "{}") {
			return fault.Newf(fault.Invalid, "invalid_variable", "A variable has a name without braces, and at most %d bytes.", maxNoticeSubject).At("variables")
		}
	}
	return nil
}

// recipients are those who administer an organization, or Sigra, and can be written to.
func (s noticesService) recipients(ctx context.Context, id uuid.UUID) (out []account.Account, err error) {
	var ids []uuid.UUID
	if id == uuid.Nil {
		if ids, err = s.h.cfg.Accounts.Administrators(ctx); err != nil {
			return nil, err
		}
	} else {
		if s.h.cfg.Orgs == nil || s.h.cfg.Members == nil {
			return nil, missing("organizations")
		}
		if _, err := s.h.cfg.Orgs.Get(ctx, id); err != nil {
			return nil, err
		}
		for cursor := ""; len(ids) < maxRecipients; {
			page, err := s.h.cfg.Orgs.Members(ctx, id, org.MemberFilter{Cursor: cursor, Limit: maxIDs})
			if err != nil {
				return nil, err
			}
			for _, m := range page.Members {
				if s.h.cfg.Members.Manages(m.Membership) {
					ids = append(ids, m.AccountID)
				}
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
	}
	found, err := s.h.cfg.Accounts.GetMany(ctx, ids[:min(len(ids), maxRecipients)])
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(a account.Account) bool { return a.Status != account.Active }), nil
}

// message is the notice as one person reads it.
func (s noticesService) message(r *hostv1.SendNoticeRequest, a account.Account, language string) mail.Message {
	word := func(w string) string {
		if t := s.in.manifest.text(w, language); t != "" {
			w = t
		}
		for _, name := range slices.Sorted(maps.Keys(r.GetVariables())) {
			w = strings.ReplaceAll(w, "{"+name+"}", r.GetVariables()[name])
		}
		return w
	}
	text := strings.Map(func(c rune) rune {
		if c != '\n' && unicode.IsControl(c) {
			return -1
		}
		return c
	}, strings.ToValidUTF8(word(r.GetText()), ""))
	m := mail.Message{
		ID:      uuid.NewSHA1(mailSpace, []byte(s.name()+"\x00notice\x00"+r.GetOrganizationId()+"\x00"+r.GetIdempotencyKey()+"\x00"+a.ID.String())),
		Purpose: s.name() + ".notice", To: mail.Address{Address: a.Email}, Subject: printable(word(r.GetSubject())), Language: language, UserID: a.ID,
		Category: mail.Notice, Stream: mail.Operational, Variables: r.GetVariables(),
	}
	m.Text = text + "\n"
	if r.GetLink() != "" {
		m.Text += "\n" + s.h.cfg.BaseURL + r.GetLink() + "\n"
	}
	return m
}
