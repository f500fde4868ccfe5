package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
)

// pluginSignInTTL is how long the browser may take to follow one redirect.
const pluginSignInTTL = 2 * time.Minute

var errPluginSignIn = fault.New(fault.Unauthenticated, "sign_in_expired", "This sign-in took too long, was used already or was begun elsewhere. Please start again.")

// VerifiedByPlugin is a sign-in that a plugin has verified with a provider of its own, such as SAML.
type VerifiedByPlugin struct {
	Plugin   string `json:"plugin"`
	Provider string `json:"provider"` // below the plugin's name
	Subject  string `json:"subject"`
	// OrganizationID is whose provider it is, whatever becomes of the person's place there.
	OrganizationID uuid.UUID        `json:"-"`
	UserID         uuid.UUID        `json:"user_id,omitzero"` // when the plugin knows the account
	Email          string           `json:"email,omitempty"`
	EmailVerified  bool             `json:"email_verified,omitempty"`
	Index          string           `json:"index,omitempty"` // the provider's handle of the session, for single logout
	ReturnTo       string           `json:"return_to,omitempty"`
	Entry          membership.Entry `json:"entry,omitzero"` // the organization whose provider it is
	// SignUp: an account may be made. DomainVerified: the address lies in a domain that the organization has proven, and its
	// provider may say whose it is; that is looked at anew.
	SignUp         bool `json:"sign_up,omitempty"`
	DomainVerified bool `json:"domain_verified,omitempty"`

	// State and Key are BeginPluginSignIn's. Without them the sign-in began at the provider.
	State string `json:"-"`
	Key   string `json:"-"`
	// Bound is the hash of Key, and Cookie the name of the cookie that has it.
	Bound  []byte `json:"bound,omitempty"`
	Cookie string `json:"cookie,omitempty"`

	// Who asked, where nothing better binds the browser: the one that goes on must be the same.
	IP    string `json:"ip,omitempty"`
	Agent string `json:"agent,omitempty"`
}

// pluginSignIns signs in on the word of a plugin.
type pluginSignIns struct {
	*machine
	federated *federatedSignIns
}

// claims are what the plugin says of somebody, as any other provider's.
func (m VerifiedByPlugin) claims() federation.Claims {
	c := federation.Claims{Provider: m.Plugin + "/" + m.Provider, Issuer: "plugin:" + m.Plugin, Subject: m.Subject, EmailVerified: m.EmailVerified}
	if e, err := account.ParseEmail(m.Email); err == nil {
		c.Email = e
	}
	return c
}

// federatedIndex names the sessions of one login at one provider of one plugin.
func federatedIndex(plugin, index string) string {
	if index == "" {
		return ""
	}
	return plugin + "/" + index
}

// PluginBegun is a sign-in that a plugin begins, to be verified by a provider of its own.
type PluginBegun struct {
	Plugin         string    `json:"plugin"`
	Provider       string    `json:"provider"`
	OrganizationID uuid.UUID `json:"organization_id,omitzero"`
	ReturnTo       string    `json:"return_to,omitempty"`
	Bound          []byte    `json:"bound"` // SHA-256 of the key
}

// The lifetime of a sign-in that a plugin began.
const (
	DefaultPluginState = 10 * time.Minute
	MaxPluginState     = time.Hour
)

// PluginState is what a plugin and the browser keep of a sign-in that has begun.
type PluginState struct {
	State  string // goes along to the provider
	Key    string // the value of the cookie
	Cookie string // its name
}

// stateKeyLength is how much of a state is in the name of its cookie, so that several sign-ins can be under way at once. The SDK reads it
// by the same length.
const stateKeyLength = 12

// pluginCookie is where the browser keeps the key of a state: one of the plugin's own cookies.
func pluginCookie(plugin, state string) string {
	return "__Host-" + plugin + "_state_" + state[:stateKeyLength]
}

// BeginPluginSignIn makes a state that the plugin sends along to its provider, and a key for a cookie in the browser: only the
// browser that has both can go on (login CSRF, RFC 9700 §4.7; SAML profiles §4.1.5).
func (s *pluginSignIns) BeginPluginSignIn(ctx context.Context, b PluginBegun, ttl time.Duration) (out PluginState, err error) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	out.Key = base64.RawURLEncoding.EncodeToString(raw)
	sum := sha256.Sum256([]byte(out.Key))
	b.Bound = sum[:]
	payload, err := json.Marshal(b)
	if err != nil {
		return PluginState{}, err
	}
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		issued, err := s.kit.Onetime.Issue(ctx, tx, onetime.Request{Purpose: flow.PluginState, TTL: ttl, Flow: true, Payload: payload})
		out.State = issued.Flow
		return err
	})
	if err != nil {
		return PluginState{}, err
	}
	out.Cookie = pluginCookie(b.Plugin, out.State)
	return out, nil
}

var errPluginState = fault.New(fault.Denied, "state_invalid", "This sign-in took too long, was used already, or was begun in another browser.").At("state")

// redeem spends a state in the transaction that keeps the sign-in which answers it, and binds that sign-in to the browser with the key.
func (s *pluginSignIns) redeem(ctx context.Context, tx *store.Tx, m *VerifiedByPlugin) error {
	g, err := s.kit.Onetime.LookFlow(ctx, tx, flow.PluginState, m.State)
	if errors.Is(err, onetime.ErrInvalid) {
		return errPluginState
	}
	if err != nil {
		return err
	}
	var b PluginBegun
	if err := json.Unmarshal(g.Payload, &b); err != nil {
		return fmt.Errorf("read state of a plugin: %w", err)
	}
	sum := sha256.Sum256([]byte(m.Key))
	if b.Plugin != m.Plugin || b.Provider != m.Provider || b.OrganizationID != m.OrganizationID || subtle.ConstantTimeCompare(sum[:], b.Bound) != 1 {
		return errPluginState // and it stays: who tries it from elsewhere ends nobody's sign-in
	}
	m.Bound, m.ReturnTo, m.Cookie = b.Bound, b.ReturnTo, pluginCookie(b.Plugin, m.State)
	err = s.kit.Onetime.Spend(ctx, tx, g)
	if errors.Is(err, onetime.ErrInvalid) { // somebody was faster
		return errPluginState
	}
	return err
}

// HoldPluginSignIn keeps a verified sign-in and gives the secret with which the browser goes on, once, within two minutes and
// in the browser that has the state's key; where the provider began it, from the same address with the same user agent. A link that
// somebody else is made to follow signs them in to nothing.
func (s *pluginSignIns) HoldPluginSignIn(ctx context.Context, m VerifiedByPlugin) (flowToken string, err error) {
	info := request.From(ctx)
	m.IP, m.Agent = info.IPString(), info.UserAgent
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if m.State != "" {
			if err := s.redeem(ctx, tx, &m); err != nil {
				return err
			}
		}
		b, err := json.Marshal(m)
		if err != nil {
			return err
		}
		out, err := s.kit.Onetime.Issue(ctx, tx, onetime.Request{Purpose: flow.PluginSignIn, TTL: pluginSignInTTL, Flow: true, Payload: b})
		flowToken = out.Flow
		return err
	})
	return flowToken, err
}

// SignInPlugin goes on with what HoldPluginSignIn kept: through the same linking rules, gates and second factor as any other
// provider's word. returnTo is where the plugin wants the browser to go. cookie reads one of the browser's cookies.
func (s *pluginSignIns) SignInPlugin(ctx context.Context, flowToken, device string, cookie func(name string) string) (out Federated, returnTo string, err error) {
	var m VerifiedByPlugin
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		g, err := s.kit.Onetime.LookFlow(ctx, tx, flow.PluginSignIn, flowToken)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(g.Payload, &m); err != nil {
			return fmt.Errorf("read sign-in of a plugin: %w", err)
		}
		return s.kit.Onetime.Spend(ctx, tx, g)
	})
	if errors.Is(err, onetime.ErrInvalid) {
		err = errPluginSignIn
	}
	if err != nil {
		return Federated{}, "", err
	}
	c := m.claims()
	if !m.sameBrowser(request.From(ctx), cookie) {
		return Federated{}, "", s.federated.FederatedFailed(ctx, c.Provider, "state", "other_browser", errPluginSignIn)
	}
	out, err = s.federated.signInVouched(ctx, vouch{
		Claims: c, signUp: m.SignUp, userID: m.UserID, index: federatedIndex(m.Plugin, m.Index), entry: m.Entry, domain: m.DomainVerified,
	}, device)
	return out, m.ReturnTo, err
}

// sameBrowser reports whether the browser that goes on is the one that the plugin spoke with.
func (m VerifiedByPlugin) sameBrowser(info request.Info, cookie func(name string) string) bool {
	if m.Bound == nil {
		return info.IPString() == m.IP && info.UserAgent == m.Agent
	}
	sum := sha256.Sum256([]byte(cookie(m.Cookie)))
	return subtle.ConstantTimeCompare(sum[:], m.Bound) == 1
}

// RevokeFederated ends the sessions that a login at a plugin's provider began, because it ended there.
func (s *pluginSignIns) RevokeFederated(ctx context.Context, plugin, index, reason string) (n int, err error) {
	if index == "" {
		return 0, nil
	}
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		ended, err := s.kit.Sessions.RevokeFederatedIn(ctx, tx, federatedIndex(plugin, index))
		if err != nil {
			return err
		}
		n = len(ended)
		for _, p := range ended {
			if err := s.kit.Record(ctx, tx, audit.Entry{
				Action: "session.revoke", Reason: reason, Actor: audit.Ref{Type: "plugin", ID: plugin},
				Targets:  []audit.Ref{{Type: "session", ID: p.SessionID.String()}, flow.User(p.UserID)},
				Metadata: map[string]any{"cause": "federated_logout", "plugin": plugin},
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}
