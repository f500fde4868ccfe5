package auth

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/device"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
)

// deviceKey is what failures are counted by in a browser that the account has been used from: apart from all others, so
// that strangers who guess at an address can't keep its owner out, and the owner's browser can't be used to guess
// without end (ASVS 5.0 6.1.1; OWASP, device cookies). Nobody's browsers are looked for like anybody's.
func (s *Service) deviceKey(ctx context.Context, a account.Account, token string) (string, bool, error) {
	if token == "" {
		return "", false, nil
	}
	seen, err := s.devices.Look(ctx, s.db, a.ID, token)
	if err != nil || !seen.Known {
		return "", false, err
	}
	return keyOf("device", seen.ID.String()), true, nil
}

// keyOf names a bucket that is no address's: in an address there is no colon.
func keyOf(kind, name string) string { return kind + ":" + name }

// noticeDevice tells the person of a sign-in in a browser that is new to the account, and writes down when it came from a
// new network as well. The first browser of an account is no news.
func (s *Service) noticeDevice(ctx context.Context, tx *store.Tx, a account.Account, n device.Noted, sessionID uuid.UUID) error {
	if !n.NewDevice || n.FirstDevice {
		return nil
	}
	if n.NewNetwork && s.set.Suspicious {
		if err := s.record(ctx, tx, audit.Entry{
			Action: "security.suspicious_login", Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, SessionID: sessionID,
			Metadata: map[string]any{"new_device": true, "new_network": true},
		}); err != nil {
			return err
		}
	}
	return s.notice(ctx, tx, a, mail.Letter{Purpose: mail.NewDevice})
}

// trust spares this browser the second factor for a while, and gives it a new token.
func (s *Service) trust(ctx context.Context, tx *store.Tx, a account.Account, token string, sessionID uuid.UUID) (renewed string, err error) {
	t, err := s.devices.Trust(ctx, tx, a.ID, token)
	if err != nil {
		return "", err
	}
	return t.Token, s.record(ctx, tx, audit.Entry{
		Action: "trusted_device.add", Actor: user(a.ID), SessionID: sessionID,
		Targets:  []audit.Ref{{Type: "device", ID: t.ID.String()}, user(a.ID)},
		Metadata: map[string]any{"days": int(s.devices.TrustFor().Hours() / 24)},
	})
}

// factorsChanged is what every change of a second factor does, in its transaction: sign-ins that wait for one end, because what they
// were told to show is no longer so, and browsers trusted before are asked again.
func (s *Service) factorsChanged(ctx context.Context, tx *store.Tx, a account.Account, e audit.Entry, cause string) error {
	if err := s.onetime.Forget(ctx, tx, a.ID, pendingPurpose); err != nil {
		return err
	}
	return s.distrust(ctx, tx, a, e, cause)
}

// distrust ends the trust in every browser, which every change of a credential does.
func (s *Service) distrust(ctx context.Context, tx *store.Tx, a account.Account, e audit.Entry, cause string) error {
	n, err := s.devices.RevokeAllTrust(ctx, tx, a.ID)
	if err != nil || n == 0 {
		return err
	}
	e.Action, e.Targets, e.Metadata = "trusted_device.revoke", []audit.Ref{user(a.ID)}, map[string]any{"cause": cause, "count": n}
	return s.record(ctx, tx, e)
}

// Devices lists the browsers that somebody has used.
func (s *Service) Devices(ctx context.Context, p principal.Principal) ([]device.Device, error) {
	a, err := s.member(ctx, p)
	if err != nil {
		return nil, err
	}
	return s.devices.List(ctx, s.db, a.ID)
}

// ForgetDevice makes a browser an unknown one: its next sign-in is asked for a second factor and told of by mail.
func (s *Service) ForgetDevice(ctx context.Context, p principal.Principal, id uuid.UUID) error {
	a, err := s.member(ctx, p)
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		was, err := s.devices.Forget(ctx, tx, a.ID, id)
		if err != nil {
			return err
		}
		if !was {
			return fault.New(fault.NotFound, "device_not_found", "There is no such browser on this account.")
		}
		e := by(p)
		e.Action, e.Targets = "trusted_device.revoke", []audit.Ref{{Type: "device", ID: id.String()}, user(a.ID)}
		e.Metadata = map[string]any{"cause": "user", "count": 1}
		return s.record(ctx, tx, e)
	})
}

// deviceName says what a browser calls itself, for people to recognize it by.
func deviceName(userAgent string) string {
	browser, system := device.Describe(userAgent)
	if browser == "" || system == "" {
		return browser + system
	}
	return browser + ", " + system
}

// notice tells the person by mail of something about their account's security (ASVS 5.0 6.3.7), in the transaction of
// what it tells of: when and from where, and where to undo it.
func (s *Service) notice(ctx context.Context, tx *store.Tx, a account.Account, l mail.Letter) error {
	info := request.From(ctx)
	l.To, l.When, l.IP = a.Email, s.now(), info.IPString()
	if l.Device == "" {
		l.Device = deviceName(info.UserAgent)
	}
	if l.Link == "" {
		l.Link = s.set.BaseURL + "/account"
	}
	return s.enqueue(ctx, tx, l)
}
