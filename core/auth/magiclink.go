package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/membership"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/typed"
)

var (
	errMagicOff = fault.New(fault.NotFound, "magic_links_off", "Signing in with an email link is turned off here.")
	errNumber   = fault.New(fault.Unauthenticated, "wrong_number", "That is not the number on the other screen. For safety this link is void now: ask for a new one.").At("number")
)

// asking is what a magic link remembers of the browser that asked, for who opens it elsewhere. It is kept sealed.
type asking struct {
	Number string    `json:"number"`
	IP     string    `json:"ip,omitempty"`
	Agent  string    `json:"agent,omitempty"`
	At     time.Time `json:"at"`
}

// Asking says from where a magic link was asked for.
type Asking struct {
	IP, UserAgent string
	At            time.Time
	SameBrowser   bool // the one that looks is the one that asked
}

// magicLinks signs in by mail.
type magicLinks struct{ *machine }

// RequestMagicLink mails a link and a code to sign in with. The browser that asked shows Number, for who opens the link on
// another device and means this one to be signed in.
func (s *magicLinks) RequestMagicLink(ctx context.Context, email string) (Requested, error) {
	if !s.kit.Settings.MagicLinks {
		return Requested{}, errMagicOff
	}
	n, err := rand.Int(rand.Reader, big.NewInt(100))
	if err != nil {
		return Requested{}, err
	}
	info := request.From(ctx)
	a := asking{Number: fmt.Sprintf("%02d", n), IP: info.IPString(), Agent: info.UserAgent, At: s.kit.Now()}
	b, err := json.Marshal(a)
	if err != nil {
		return Requested{}, err
	}
	out, err := s.request(ctx, email, mailed{
		action: "auth.magic_link_request", meta: map[string]any{"channel": "mail"},
		request: onetime.Request{Purpose: flow.MagicLink, TTL: s.kit.Settings.MagicLinkTTL, Flow: true, Payload: b},
		letter:  s.kit.WithOrigin(ctx, mail.Letter{Purpose: mail.MagicLink}),
	}, func(i onetime.Issued) string { return s.kit.Settings.BaseURL + "/login/link?token=" + i.Link })
	if err != nil {
		return Requested{}, err
	}
	out.Number = a.Number
	return out, nil
}

// MagicLink is what somebody has of a magic link: the flow and the code; the token, in the browser that asked or another
// one; or the flow alone, once the link was approved elsewhere.
type MagicLink struct {
	Token, Flow, Code string
	Remember          bool
	Device            string
	Link              string    // see Credentials
	Organization      uuid.UUID // where the session is to begin; uuid.Nil: wherever the person was last
}

// ErrNotApproved says that nobody has opened the link yet: the browser goes on waiting.
var ErrNotApproved = fault.New(fault.Conflict, "not_approved", "The link has not been opened yet.")

// SignInMagicLink begins a session with a magic link, after the second factor where the account has one.
func (s *magicLinks) SignInMagicLink(ctx context.Context, m MagicLink) (SignedIn, error) {
	g, method, other, err := s.magicBy(ctx, m)
	if err != nil {
		return SignedIn{}, err
	}
	a, err := s.kit.Accounts.Get(ctx, g.AccountID)
	if err != nil {
		return SignedIn{}, err
	}
	return s.complete(ctx, proof{
		account: a, method: "magic_link", amr: []string{"otp"}, persistent: m.Remember, device: m.Device, link: m.Link, entry: membership.Entry{OrganizationID: m.Organization},
		change: func(ctx context.Context, tx *store.Tx, a account.Account) error {
			if err := s.kit.Onetime.Spend(ctx, tx, g); err != nil {
				return err
			}
			if err := s.ownerShown(ctx, tx, a); err != nil {
				return err
			}
			return s.kit.Record(ctx, tx, audit.Entry{
				Action: "auth.magic_link_verify.success", Actor: flow.User(a.ID), Targets: []audit.Ref{flow.User(a.ID)}, AuthMethod: "otp",
				Metadata: map[string]any{"method": method, "other_device": other},
			})
		},
		refused: func(ctx context.Context, r flow.Refusal) error {
			return s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return s.magicFailed(ctx, tx, g, method, r.Reason) })
		},
	})
}

// magicBy finds the link that somebody has a part of. Nothing is spent yet; a code counts as tried.
func (s *magicLinks) magicBy(ctx context.Context, m MagicLink) (g onetime.Grant, method string, other bool, err error) {
	switch {
	case m.Token != "":
		g, err = s.kit.Onetime.Look(ctx, flow.MagicLink, m.Token)
		return g, "link", err == nil && !g.InFlow(m.Flow), err
	case m.Code != "":
		g, err = s.kit.GuessCode(ctx, flow.MagicLink, m.Flow, m.Code, func(ctx context.Context, tx *store.Tx, g onetime.Grant) error {
			return s.magicFailed(ctx, tx, g, "code", "wrong_code")
		})
		return g, "code", false, err
	}
	g, err = s.kit.Onetime.LookFlow(ctx, s.kit.DB, flow.MagicLink, m.Flow)
	if err == nil && (!g.Approved || g.Decoy()) {
		err = ErrNotApproved
	}
	return g, "approval", true, err
}

func (s *magicLinks) magicFailed(ctx context.Context, tx *store.Tx, g onetime.Grant, method, reason string) error {
	return s.kit.Record(ctx, tx, audit.Entry{
		Action: "auth.magic_link_verify.failure", Reason: reason, Actor: flow.Anonymous, Targets: []audit.Ref{flow.User(g.AccountID)}, AuthMethod: "otp",
		Metadata: map[string]any{"method": method},
	})
}

// LookMagicLink says from where a link was asked for, so that whoever opened it can tell whether it was they. It changes nothing.
func (s *magicLinks) LookMagicLink(ctx context.Context, token, flowToken string) (Asking, error) {
	g, err := s.kit.Onetime.Look(ctx, flow.MagicLink, token)
	if err != nil {
		return Asking{}, err
	}
	a, err := askingOf(g)
	return Asking{IP: a.IP, UserAgent: a.Agent, At: a.At, SameBrowser: g.InFlow(flowToken)}, err
}

// MagicLinkNumber is what the browser that asked shows while it waits; it changes nothing.
func (s *magicLinks) MagicLinkNumber(ctx context.Context, flowToken string) (string, error) {
	g, err := s.kit.Onetime.LookFlow(ctx, s.kit.DB, flow.MagicLink, flowToken)
	if err != nil {
		return "", err
	}
	a, err := askingOf(g)
	return a.Number, err
}

func askingOf(g onetime.Grant) (a asking, err error) {
	if err := json.Unmarshal(g.Payload, &a); err != nil {
		return a, fmt.Errorf("read magic link: %w", err)
	}
	return a, nil
}

// ApproveMagicLink lets the browser that asked go on, by whoever holds the link and sees that browser's number. Who asked for
// the link of somebody else has no way to show them the number, and there is one try: a wrong one voids the link.
func (s *magicLinks) ApproveMagicLink(ctx context.Context, token, number string) error {
	g, err := s.kit.Onetime.Look(ctx, flow.MagicLink, token)
	if err != nil {
		return err
	}
	a, err := askingOf(g)
	if err != nil {
		return err
	}
	right := subtle.ConstantTimeCompare([]byte(a.Number), []byte(typed.Code(number))) == 1
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if right {
			if err := s.kit.Onetime.Approve(ctx, tx, g); err != nil {
				return err
			}
			return s.kit.Record(ctx, tx, audit.Entry{
				Action: "auth.magic_link_approve", Actor: flow.User(g.AccountID), Targets: []audit.Ref{flow.User(g.AccountID)}, AuthMethod: "otp",
			})
		}
		if err := s.kit.Onetime.Spend(ctx, tx, g); err != nil {
			return err
		}
		return s.magicFailed(ctx, tx, g, "approval", "wrong_number")
	})
	if err == nil && !right {
		err = errNumber
	}
	return err
}

// MagicLinkApproved reports whether the browser with the flow may go on. A flow that is over is not.
func (s *magicLinks) MagicLinkApproved(ctx context.Context, flowToken string) (bool, error) {
	g, err := s.kit.Onetime.LookFlow(ctx, s.kit.DB, flow.MagicLink, flowToken)
	if errors.Is(err, onetime.ErrInvalid) {
		return false, onetime.ErrInvalid
	}
	return err == nil && g.Approved, err
}
