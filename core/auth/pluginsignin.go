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
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/mint"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
)

// pluginSignInTTL is how long the browser may take to follow one redirect.
const pluginSignInTTL = 2 * time.Minute

var errPluginSignIn = fault.New(fault.Unauthenticated, "sign_in_expired", "This sign-in took too long, was used already or was begun elsewhere. Please start again.")

// Purpose is what a plugin's sign-in is for.
type Purpose string

// The purposes.
const (
	ToSignIn Purpose = "sign_in"
	ToLink   Purpose = "link"    // link the login to the account that is signed in
	ToStepUp Purpose = "step_up" // who is signed in proves it anew
	ToTest   Purpose = "test"    // everything is judged, nothing is changed
)

// VerifiedByPlugin is a sign-in that a plugin has verified with a provider of its own, such as SAML.
type VerifiedByPlugin struct {
	Plugin   string  `json:"plugin"`
	Provider string  `json:"provider"` // below the plugin's name
	Subject  string  `json:"subject"`
	Purpose  Purpose `json:"purpose"` // empty: to sign in
	// OrganizationID is whose provider it is, whatever becomes of the person's place there.
	OrganizationID uuid.UUID        `json:"-"`
	UserID         uuid.UUID        `json:"user_id,omitzero"` // the account that the login must be linked to; the nil id: whichever it is
	Email          string           `json:"email,omitempty"`
	EmailVerified  bool             `json:"email_verified,omitempty"`
	Display        string           `json:"display,omitempty"` // what people call the person
	Attributes     map[string]any   `json:"attributes,omitempty"`
	Index          string           `json:"index,omitempty"` // the provider's handle of the session, for single logout
	ReturnTo       string           `json:"return_to,omitempty"`
	Entry          membership.Entry `json:"entry,omitzero"` // the organization whose provider it is
	// SignUp: an account may be made. DomainVerified: the address lies in a domain that the organization has proven, and its
	// provider may say whose it is; that is looked at anew.
	SignUp         bool `json:"sign_up,omitempty"`
	DomainVerified bool `json:"domain_verified,omitempty"`

	// What the provider says it checked, in the words of RFC 8176, what it calls that, and when it was; zero: not said.
	AMR      []string  `json:"amr,omitempty"`
	ACR      string    `json:"acr,omitempty"`
	AuthTime time.Time `json:"auth_time,omitzero"`
	NotAfter time.Time `json:"not_after,omitzero"` // the session at the provider ends by then; zero: not said

	// What the plugin's grants allow: its word on two factors counts, and administrators of Sigra sign in by it.
	Assures        bool `json:"assures,omitempty"`
	Administrators bool `json:"administrators,omitempty"`

	// State and Key are BeginPluginSignIn's. Without them the sign-in began at the provider.
	State string `json:"-"`
	Key   string `json:"-"`
	// Bound is the hash of Key, and Cookie the name of the cookie that has it.
	Bound  []byte `json:"bound,omitempty"`
	Cookie string `json:"cookie,omitempty"`
	// SessionID is the session that is linked to or stepped up.
	SessionID uuid.UUID `json:"session_id,omitzero"`

	// Who asked, where nothing better binds the browser: the one that goes on must be the same.
	IP    string `json:"ip,omitempty"`
	Agent string `json:"agent,omitempty"`

	Mint uuid.UUID `json:"mint,omitzero"` // what becomes of it is noted under this id
}

// pluginSignIns signs in on the word of a plugin.
type pluginSignIns struct {
	*machine
	federated *federatedSignIns
}

// claims are what the plugin says of somebody, as any other provider's.
func (m VerifiedByPlugin) claims() federation.Claims {
	c := federation.Claims{Provider: m.Plugin + "/" + m.Provider, Issuer: "plugin:" + m.Plugin, Subject: m.Subject, EmailVerified: m.EmailVerified, Name: m.Display}
	if e, err := account.ParseEmail(m.Email); err == nil {
		c.Email = e
	}
	return c
}

// methods are what the provider says it checked. That it was more than one factor counts only where the plugin's word on that does.
func (m VerifiedByPlugin) methods() []string {
	if m.Assures {
		return m.AMR
	}
	return slices.DeleteFunc(slices.Clone(m.AMR), func(s string) bool { return s == multiFactor })
}

// multiFactor says that several factors were checked (RFC 8176 §2).
const multiFactor = "mfa"

// twoFactors reports whether the sign-in is at AAL2: the provider says so, and the plugin's block that it is believed.
func (m VerifiedByPlugin) twoFactors() bool { return slices.Contains(m.methods(), multiFactor) }

// shown is what the session rests on.
func (m VerifiedByPlugin) shown() shown {
	return shown{methods: m.methods(), two: m.twoFactors(), acr: m.ACR, authTime: m.AuthTime, notAfter: m.NotAfter}
}

// vouch is the plugin's word.
func (m VerifiedByPlugin) vouch() vouch {
	return vouch{
		Claims: m.claims(), signUp: m.SignUp, userID: m.UserID, index: federatedIndex(m.Plugin, m.Index), entry: m.Entry, domain: m.DomainVerified,
		shown: m.shown(), minted: minted{Mint: m.Mint, Person: !m.Administrators}, plugin: m.Plugin, attributes: m.Attributes,
	}
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
	Plugin         string        `json:"plugin"`
	Provider       string        `json:"provider"`
	OrganizationID uuid.UUID     `json:"organization_id,omitzero"`
	ReturnTo       string        `json:"return_to,omitempty"`
	Purpose        Purpose       `json:"purpose"`             // empty: to sign in
	MaxAge         time.Duration `json:"max_age,omitempty"`   // the proof may be this old; zero: any age
	RequiredAAL    string        `json:"aal,omitempty"`       // what the proof must come to; empty: anything
	SessionID      uuid.UUID     `json:"session_id,omitzero"` // whose, to link and to step up
	Bound          []byte        `json:"bound"`               // SHA-256 of the key
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
	return "__Host-" + plugin + "-state_" + state[:stateKeyLength]
}

// BeginPluginSignIn makes a state that the plugin sends along to its provider, and a key for a cookie in the browser: only the
// browser that has both can go on (login CSRF, RFC 9700 §4.7; SAML profiles §4.1.5).
//
// To link, and to step up, is for a session that stands: ErrGone otherwise, and flow.ErrStepUpRequired where to link needs a fresher proof.
func (s *pluginSignIns) BeginPluginSignIn(ctx context.Context, b PluginBegun, ttl time.Duration) (out PluginState, err error) {
	if b.Purpose == "" {
		b.Purpose = ToSignIn
	}
	if err := s.mayBegin(ctx, &b); err != nil {
		return PluginState{}, err
	}
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

// mayBegin looks at the session that a sign-in is for. To step up asks for a proof as fresh as any other step-up is.
func (s *pluginSignIns) mayBegin(ctx context.Context, b *PluginBegun) error {
	if b.RequiredAAL != "" && b.RequiredAAL != principal.AAL1 && b.RequiredAAL != principal.AAL2 {
		return fault.New(fault.Invalid, "invalid_aal", "An assurance level is aal1 or aal2.").At("required_aal")
	}
	if b.Purpose != ToLink && b.Purpose != ToStepUp {
		if b.SessionID != uuid.Nil {
			return fault.New(fault.Invalid, "invalid_session", "A session is named to link and to step up.").At("session_id")
		}
		return nil
	}
	who, err := s.kit.Sessions.Find(ctx, b.SessionID)
	if err != nil {
		return err
	}
	a, err := s.kit.Self(ctx, who)
	if err != nil {
		return err
	}
	if b.Purpose == ToLink && !s.kit.Recent(who, a) { // ASVS 5.0 7.5.1
		return flow.ErrStepUpRequired
	}
	if b.Purpose == ToStepUp && (b.MaxAge <= 0 || b.MaxAge > s.kit.Settings.StepUpWindow) {
		b.MaxAge = s.kit.Settings.StepUpWindow
	}
	return nil
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
	if b.Plugin != m.Plugin || b.Provider != m.Provider || b.OrganizationID != m.OrganizationID || b.Purpose != m.Purpose || subtle.ConstantTimeCompare(sum[:], b.Bound) != 1 {
		return errPluginState // and it stays: who tries it from elsewhere ends nobody's sign-in
	}
	m.Bound, m.ReturnTo, m.Cookie, m.SessionID = b.Bound, b.ReturnTo, pluginCookie(b.Plugin, m.State), b.SessionID
	if err := s.judge(*m, b); err != nil {
		return err
	}
	err = s.kit.Onetime.Spend(ctx, tx, g)
	if errors.Is(err, onetime.ErrInvalid) { // somebody was faster
		return errPluginState
	}
	return err
}

// clockSkew is how far a provider's clock may be from ours.
const clockSkew = time.Minute

var (
	errTooOld  = fault.New(fault.Denied, "proof_too_old", "You proved who you are too long ago. Sign in there once more.")
	errTooWeak = fault.New(fault.Denied, "proof_too_weak", "What you showed there is not enough for this. A second factor is needed.")
	errEnded   = fault.New(fault.Denied, "proof_expired", "Your session there has ended. Sign in there once more.")
)

// tooLittle is a proof that is not what was asked for, with what the log says of it.
type tooLittle struct {
	error
	meta map[string]any
}

func (t tooLittle) Unwrap() error { return t.error }

// judge holds a proof against what the sign-in was begun for. What is not said was not shown: a proof without its time is as old as any
// (OpenID Connect Core 1.0 §3.1.2.1: auth_time comes with max_age).
func (s *pluginSignIns) judge(m VerifiedByPlugin, b PluginBegun) error {
	if b.MaxAge > 0 && (m.AuthTime.IsZero() || s.kit.Now().Sub(m.AuthTime) > b.MaxAge+clockSkew) {
		return tooLittle{errTooOld, map[string]any{"max_age": int(b.MaxAge / time.Second)}}
	}
	if b.RequiredAAL == principal.AAL2 && !m.twoFactors() {
		return tooLittle{errTooWeak, map[string]any{"required_aal": b.RequiredAAL, "aal": principal.AAL1}}
	}
	return nil
}

// HoldPluginSignIn keeps a verified sign-in and gives the secret with which the browser goes on, once, within two minutes and
// in the browser that has the state's key; where the provider began it, from the same address with the same user agent. A link that
// somebody else is made to follow signs them in to nothing. What becomes of it is noted under id.
//
// A proof that is too old, too weak or over is refused, and written down.
func (s *pluginSignIns) HoldPluginSignIn(ctx context.Context, m VerifiedByPlugin) (flowToken string, id uuid.UUID, err error) {
	info, now := request.From(ctx), s.kit.Now()
	m.IP, m.Agent = info.IPString(), info.UserAgent
	if m.Purpose == "" {
		m.Purpose = ToSignIn
	}
	if m.State == "" && m.Purpose != ToSignIn {
		return "", uuid.Nil, errPluginState // what is for somebody who is signed in, or for a plugin's own page, begins there
	}
	m.AMR, m.Display, m.ACR = federation.CleanMethods(m.AMR), federation.CleanName(m.Display), clean(m.ACR)
	if m.AuthTime.After(now) { // a clock that is ahead makes no proof fresher than fresh
		m.AuthTime = now
	}
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if m.State != "" {
			if err := s.redeem(ctx, tx, &m); err != nil {
				return err
			}
		}
		if !m.NotAfter.IsZero() && !m.NotAfter.After(now) {
			return tooLittle{error: errEnded}
		}
		if m.Mint, err = s.kit.Mints.Begin(ctx, tx, m.Plugin, pluginSignInTTL); err != nil {
			return err
		}
		b, err := json.Marshal(m)
		if err != nil {
			return err
		}
		out, err := s.kit.Onetime.Issue(ctx, tx, onetime.Request{Purpose: flow.PluginSignIn, TTL: pluginSignInTTL, Flow: true, Payload: b})
		flowToken = out.Flow
		return err
	})
	var little tooLittle
	if errors.As(err, &little) {
		meta := map[string]any{"plugin": m.Plugin, "purpose": string(m.Purpose)}
		maps.Copy(meta, little.meta)
		err = s.federated.failed(ctx, m.claims().Provider, "assurance", fault.From(little.error).Code, meta, little.error)
	}
	if err != nil {
		return "", uuid.Nil, err
	}
	return flowToken, m.Mint, nil
}

// clean makes what a provider calls something fit for the log.
func clean(s string) string {
	if len(s) > 200 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > 0x7e }) {
		return ""
	}
	return s
}

// PluginArrival is a browser that goes on with what a plugin has verified.
type PluginArrival struct {
	Flow   string
	Device string                   // its device cookie
	Cookie func(name string) string // reads one of its cookies
	Who    principal.Principal      // whose session it has; zero: nobody's
}

// SignInPlugin goes on with what HoldPluginSignIn kept: through the same linking rules, gates and second factor as any other
// provider's word. returnTo is where the plugin wants the browser to go.
func (s *pluginSignIns) SignInPlugin(ctx context.Context, at PluginArrival) (out Federated, returnTo string, err error) {
	var m VerifiedByPlugin
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		g, err := s.kit.Onetime.LookFlow(ctx, tx, flow.PluginSignIn, at.Flow)
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
	out, err = s.goOn(ctx, m, at)
	if err != nil && fault.KindOf(err) != fault.Internal {
		if failed := s.settle(ctx, m.Mint, mint.Outcome{Status: mint.Refused, Reason: fault.From(err).Code}); failed != nil {
			err = failed
		}
	}
	return out, m.ReturnTo, err
}

func (s *pluginSignIns) settle(ctx context.Context, id uuid.UUID, o mint.Outcome) error {
	return s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return s.kit.Mints.Settle(ctx, tx, id, o) })
}

// goOn does what the sign-in is for.
func (s *pluginSignIns) goOn(ctx context.Context, m VerifiedByPlugin, at PluginArrival) (Federated, error) {
	v := m.vouch()
	if !m.sameBrowser(request.From(ctx), at.Cookie) {
		return Federated{}, s.federated.FederatedFailed(ctx, v.Provider, "state", "other_browser", errPluginSignIn)
	}
	switch m.Purpose {
	case ToLink:
		return Federated{Linked: true}, s.link(ctx, m, at.Who)
	case ToStepUp:
		in, err := s.stepUp(ctx, m, at.Who)
		return Federated{SteppedUp: &in}, err
	case ToTest:
		o, err := s.federated.try(ctx, v)
		if err == nil {
			err = s.settle(ctx, m.Mint, o)
		}
		return Federated{Tested: true}, err
	}
	return s.federated.signInVouched(ctx, v, at.Device)
}

// OutcomeOfPlugin tells a plugin what became of one of its sign-ins, for a day.
func (s *pluginSignIns) OutcomeOfPlugin(ctx context.Context, plugin string, id uuid.UUID) (mint.Outcome, error) {
	return s.kit.Mints.Get(ctx, plugin, id)
}

// sameBrowser reports whether the browser that goes on is the one that the plugin spoke with.
func (m VerifiedByPlugin) sameBrowser(info request.Info, cookie func(name string) string) bool {
	if m.Bound == nil {
		return info.IPString() == m.IP && info.UserAgent == m.Agent
	}
	sum := sha256.Sum256([]byte(cookie(m.Cookie)))
	return subtle.ConstantTimeCompare(sum[:], m.Bound) == 1
}

// RevokeFederated ends the sessions that a login at a plugin's provider began, because it ended there, and names them.
func (s *pluginSignIns) RevokeFederated(ctx context.Context, plugin, index, reason string) (ids []uuid.UUID, err error) {
	if index == "" {
		return nil, nil
	}
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		ids = nil
		ended, err := s.kit.Sessions.RevokeFederatedIn(ctx, tx, federatedIndex(plugin, index))
		if err != nil {
			return err
		}
		for _, p := range ended {
			ids = append(ids, p.SessionID)
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
	return ids, err
}
