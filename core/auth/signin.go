package auth

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/membership"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/password"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
)

// Credentials are an address, or a username where there are some (Settings.Usernames), and a password.
type Credentials struct {
	Email, Password string
	Remember        bool
	Device          string          // the browser's device cookie (SignedIn.Device), when it has one
	Proof           ratelimit.Proof // what an earlier refusal asked for (ratelimit.Demand)
	Link            string          // the flow of a login elsewhere to link with this sign-in (LinkWaiting.Flow)
	Organization    uuid.UUID       // where the session is to begin; uuid.Nil: wherever the person was last
}

var errOneFactor = fault.New(fault.Denied, "another_factor_required", "This passkey can't be relied upon alone yet. Sign in another way, such as with your password, and confirm with the passkey once.")

// errCredentials is the answer to every sign-in that fails, whatever was wrong (ASVS 5.0 6.3.8).
var errCredentials = fault.New(fault.Unauthenticated, "invalid_credentials", "The email address or the password is wrong.")

// maxTyped bounds what is counted by when an address is none at all.
const maxTyped = 1024

// passwordSignIns signs in by address or username and password, and out.
type passwordSignIns struct{ *machine }

// identity is what an address or a username led to: the same reads whether or not there is an account.
type identity struct {
	account account.Account // zero: there is none
	hash    string          // empty: no password
	key     string          // what failures are counted by
	pass    ratelimit.Pass  // that an attempt may be judged
}

func (s *passwordSignIns) identify(ctx context.Context, typed string) (identity, error) {
	find, id := s.kit.Accounts.FindByEmailIn, identity{}
	name, err := account.ParseEmail(typed)
	if id.key = name; s.kit.Settings.Usernames.Is(typed) {
		find = s.kit.Accounts.FindByUsernameIn
		var u account.Username
		u, err = account.ParseUsername(typed)
		name, id.key = u.Key, flow.UsernameKey(u)
	}
	if err != nil {
		id.key, name = flow.Key("typed", typed[:min(len(typed), maxTyped)]), "" // nobody's
	}
	id.account, err = find(ctx, s.kit.DB, name)
	if err != nil && !account.IsNotFound(err) {
		return identity{}, err
	}
	id.hash, err = s.kit.Passwords.Find(ctx, s.kit.DB, id.account.ID)
	return id, err
}

// SignIn verifies an address or a username, and a password, and begins a session, with a new token whatever the client had before.
// Every failure is the same fault, except too many of them (RateLimited), a machine too busy to hash (Unavailable) and
// a gate's refusal after the password proved right (Denied).
func (s *passwordSignIns) SignIn(ctx context.Context, c Credentials) (in SignedIn, err error) {
	if err := s.kit.Passwords.Fits(c.Password); err != nil {
		return SignedIn{}, err
	}
	asked := time.Now()
	leave, err := s.kit.Passwords.Announce()
	if err != nil {
		return SignedIn{}, err // before any read: a flood must not reach the database
	}
	defer func() {
		if err != nil {
			s.kit.Pad(ctx, asked)
		}
	}()
	defer leave()
	id, err := s.identify(ctx, c.Email)
	if err != nil {
		return SignedIn{}, err
	}
	if key, known, err := s.deviceKey(ctx, id.account, c.Device); err != nil {
		return SignedIn{}, err
	} else if known {
		id.key = key
	}
	if s.kit.Pairs != nil {
		if d := s.kit.Pairs.Allow(request.From(ctx).IP, id.key); !d.Allowed {
			return SignedIn{}, d.Err()
		}
	}
	if id.pass, err = s.kit.Failures.Check(ctx, s.kit.DB, id.key, c.Proof); err != nil {
		return SignedIn{}, err // before the hash: what may not be judged costs nothing
	}
	right, stale, err := s.kit.Passwords.Verify(ctx, id.hash, c.Password)
	if errors.Is(err, password.ErrHash) {
		s.kit.Log.Error("a stored password hash can't be verified", "user_id", id.account.ID, "error", err)
	} else if err != nil {
		return SignedIn{}, err
	}
	switch {
	case id.account.Email == "":
		return SignedIn{}, s.signInFailed(ctx, id, flow.Refusal{Reason: "unknown_user", Err: errCredentials})
	case id.hash == "":
		return SignedIn{}, s.signInFailed(ctx, id, flow.Refusal{Reason: "no_password", Err: errCredentials})
	case !right:
		return SignedIn{}, s.signInFailed(ctx, id, flow.Refusal{Reason: "wrong_password", Err: errCredentials})
	case !s.maySignIn(id.account.Status):
		return SignedIn{}, s.signInFailed(ctx, id, flow.Refusal{Reason: "account_" + string(id.account.Status), Err: errCredentials})
	}
	fresh := ""
	if stale {
		// A second hash, so that the account's costs follow the configuration. Too busy for it: next time.
		if fresh, err = s.kit.Passwords.Hash(ctx, c.Password); err != nil {
			fresh = ""
		}
	}
	p := proof{
		account: id.account, method: "password", amr: []string{"pwd"}, persistent: c.Remember, device: c.Device, link: c.Link, entry: membership.Entry{OrganizationID: c.Organization},
		change: func(ctx context.Context, tx *store.Tx, a account.Account) error {
			// Again under the lock: a password changed or an account disabled since the hash was read must not get in.
			if now, err := s.kit.Passwords.Find(ctx, tx, a.ID); err != nil {
				return err
			} else if now != id.hash {
				return flow.Refusal{Reason: "password_changed", Err: errCredentials}
			}
			if err := s.kit.Failures.Reset(ctx, tx, id.pass); err != nil {
				return err
			}
			if fresh != "" {
				return s.kit.Passwords.Upgrade(ctx, tx, a.ID, id.hash, fresh)
			}
			return nil
		},
	}
	if fresh != "" {
		p.meta = map[string]any{"rehashed": true}
	}
	return s.complete(ctx, p)
}

// signInFailed counts the failure and writes it down, in one transaction, and gives the answer.
func (s *passwordSignIns) signInFailed(ctx context.Context, id identity, r flow.Refusal) error {
	err := s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.countFailure(ctx, tx, id); err != nil {
			return err
		}
		return s.kit.Record(ctx, tx, audit.Entry{
			Action: "auth.login.failure", Reason: r.Reason, Actor: flow.Anonymous, Targets: []audit.Ref{flow.User(id.account.ID)},
			AuthMethod: "pwd", Metadata: map[string]any{"method": "password"},
		})
	})
	if err != nil {
		return err
	}
	return r.Err
}

// countFailure counts, and says in the log and to the owner when that was the one after which attempts are slowed or stopped.
func (s *passwordSignIns) countFailure(ctx context.Context, tx *store.Tx, id identity) error {
	f, err := s.kit.Failures.Fail(ctx, tx, id.pass)
	if err != nil || !f.JustSlowed && !f.JustStopped {
		return err
	}
	if err := s.kit.Record(ctx, tx, audit.Entry{
		Action: "security.lockout", Reason: "too_many_failures", Actor: flow.Anonymous, Targets: []audit.Ref{flow.User(id.account.ID)},
		Metadata: map[string]any{"scope": "account", "failures": f.Count, "seconds": int(f.Wait.Seconds())},
	}); err != nil {
		return err
	}
	l := s.kit.WithOrigin(ctx, mail.Letter{Purpose: mail.Lockout, To: id.account.Email, Link: s.kit.Settings.BaseURL + "/reset"})
	if id.account.Email == "" { // nobody's: the same work, and no mail
		l.To = nobody
		return s.kit.EnqueueDecoy(ctx, tx, l)
	}
	return s.kit.Enqueue(ctx, tx, l)
}

// nobody stands in decoys for an address that is none.
const nobody = "nobody@localhost"

// SignOut ends the session a token stands for. fault.Unauthenticated when it stands for none.
func (s *passwordSignIns) SignOut(ctx context.Context, token string) error {
	return s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		p, err := s.kit.Sessions.EndIn(ctx, tx, token)
		if err != nil {
			return err
		}
		return s.kit.Record(ctx, tx, audit.Entry{
			Action: "auth.logout", Actor: flow.User(p.UserID), SessionID: p.SessionID,
			Targets: []audit.Ref{flow.User(p.UserID), {Type: "session", ID: p.SessionID.String()}},
		})
	})
}

// deviceKey is what failures are counted by in a browser that the account has been used from: apart from all others, so
// that strangers who guess at an address can't keep its owner out, and the owner's browser can't be used to guess
// without end (ASVS 5.0 6.1.1; OWASP, device cookies). Nobody's browsers are looked for like anybody's.
func (s *passwordSignIns) deviceKey(ctx context.Context, a account.Account, token string) (string, bool, error) {
	if token == "" {
		return "", false, nil
	}
	seen, err := s.kit.Devices.Look(ctx, s.kit.DB, a.ID, token)
	if err != nil || !seen.Known {
		return "", false, err
	}
	return flow.Key("device", seen.ID.String()), true, nil
}
