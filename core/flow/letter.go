package flow

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/device"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
)

// Enqueue queues a mail in the transaction of what it tells of.
func (k *Kit) Enqueue(ctx context.Context, tx *store.Tx, l mail.Letter) error {
	m, err := k.write(ctx, l)
	if err != nil {
		return err
	}
	_, err = k.mail.Enqueue(ctx, tx, m)
	return err
}

// EnqueueDecoy does the work of Enqueue for a mail that nobody gets.
func (k *Kit) EnqueueDecoy(ctx context.Context, tx *store.Tx, l mail.Letter) error {
	m, err := k.write(ctx, l)
	if err != nil {
		return err
	}
	_, err = k.mail.EnqueueDecoy(ctx, tx, m)
	return err
}

// Reaches refuses to promise a mail of a purpose to an address of which the mailer knows that nothing arrives there. That says something of the
// address, so it is asked for somebody who is signed in and not for a stranger.
func (k *Kit) Reaches(ctx context.Context, purpose, address string, organization uuid.UUID) error {
	return k.mail.Check(ctx, purpose, address, organization)
}

// Writable refuses an address that the mailer has no letters for, whoever asks.
func (k *Kit) Writable(ctx context.Context, address string) error {
	return k.mail.Writable(ctx, address)
}

func (k *Kit) write(ctx context.Context, l mail.Letter) (mail.Message, error) {
	if l.Language == "" {
		l.Language = request.From(ctx).Language
	}
	m, err := k.letters.Write(l)
	if err == nil && l.Valid > 0 {
		m.Deadline = k.Now().Add(l.Valid) // a link that has expired is worse than no mail
	}
	return m, err
}

// WithOrigin says in a mail when and from where it was caused.
func (k *Kit) WithOrigin(ctx context.Context, l mail.Letter) mail.Letter {
	info := request.From(ctx)
	l.When, l.IP, l.Device = k.Now(), info.IPString(), deviceName(info.UserAgent)
	return l
}

// Notice tells the person by mail of something about their account's security (ASVS 5.0 6.3.7), in the transaction of
// what it tells of: when and from where, and where to undo it.
func (k *Kit) Notice(ctx context.Context, tx *store.Tx, a account.Account, l mail.Letter) error {
	info := request.From(ctx)
	l.To, l.UserID, l.When, l.IP = a.Email, a.ID, k.Now(), info.IPString()
	if l.Device == "" {
		l.Device = deviceName(info.UserAgent)
	}
	if l.Link == "" {
		l.Link = k.Settings.BaseURL + "/account"
	}
	return k.Enqueue(ctx, tx, l)
}

// deviceName says what a browser calls itself, for people to recognize it by.
func deviceName(userAgent string) string {
	browser, system := device.Describe(userAgent)
	if browser == "" || system == "" {
		return browser + system
	}
	return browser + ", " + system
}
