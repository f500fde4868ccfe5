package auth

import (
	"context"
	"errors"
	"time"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/password"
	"github.com/sigra-auth/sigra/core/fault"
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
}

// errCredentials is the answer to every sign-in that fails, whatever was wrong (ASVS 5.0 6.3.8).
var errCredentials = fault.New(fault.Unauthenticated, "invalid_credentials", "The e-mail address or the password is wrong.")

// maxTyped bounds what is counted by when an address is none at all.
const maxTyped = 1024

// identity is what an address or a username led to: the same reads whether or not there is an account.
type identity struct {
	account account.Account // zero: there is none
	hash    string          // empty: no password
	key     string          // what failures are counted by
	pass    ratelimit.Pass  // that an attempt may be judged
}

func (s *Service) identify(ctx context.Context, typed string) (identity, error) {
	find, id := s.accounts.FindByEmailIn, identity{}
	name, err := account.ParseEmail(typed)
	if id.key = name; s.isUsername(typed) {
		find = s.accounts.FindByUsernameIn
		var u account.Username
		u, err = account.ParseUsername(typed)
		name, id.key = u.Key, usernameKey(u)
	}
	if err != nil {
		id.key, name = keyOf("typed", typed[:min(len(typed), maxTyped)]), "" // nobody's
	}
	id.account, err = find(ctx, s.db, name)
	if err != nil && !account.IsNotFound(err) {
		return identity{}, err
	}
	id.hash, err = s.passwords.Find(ctx, s.db, id.account.ID)
	return id, err
}

// SignIn verifies an address or a username, and a password, and begins a session, with a new token whatever the client had before.
// Every failure is the same fault, except too many of them (RateLimited), a machine too busy to hash (Unavailable) and
// a gate's refusal after the password proved right (Denied).
func (s *Service) SignIn(ctx context.Context, c Credentials) (in SignedIn, err error) {
	if err := s.passwords.Fits(c.Password); err != nil {
		return SignedIn{}, err
	}
	asked := time.Now()
	leave, err := s.passwords.Announce()
	if err != nil {
		return SignedIn{}, err // before any read: a flood must not reach the database
	}
	defer func() {
		if err != nil {
			s.onBeat(ctx, asked)
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
	if s.pairs != nil {
		if d := s.pairs.Allow(request.From(ctx).IP, id.key); !d.Allowed {
			return SignedIn{}, d.Err()
		}
	}
	if id.pass, err = s.failures.Check(ctx, s.db, id.key, c.Proof); err != nil {
		return SignedIn{}, err // before the hash: what may not be judged costs nothing
	}
	right, stale, err := s.passwords.Verify(ctx, id.hash, c.Password)
	if errors.Is(err, password.ErrHash) {
		s.log.Error("a stored password hash can't be verified", "user_id", id.account.ID, "error", err)
	} else if err != nil {
		return SignedIn{}, err
	}
	switch {
	case id.account.Email == "":
		return SignedIn{}, s.signInFailed(ctx, id, refusal{reason: "unknown_user", err: errCredentials})
	case id.hash == "":
		return SignedIn{}, s.signInFailed(ctx, id, refusal{reason: "no_password", err: errCredentials})
	case !right:
		return SignedIn{}, s.signInFailed(ctx, id, refusal{reason: "wrong_password", err: errCredentials})
	case !s.maySignIn(id.account.Status):
		return SignedIn{}, s.signInFailed(ctx, id, refusal{reason: "account_" + string(id.account.Status), err: errCredentials})
	}
	fresh := ""
	if stale {
		// A second hash, so that the account's costs follow the configuration. Too busy for it: next time.
		if fresh, err = s.passwords.Hash(ctx, c.Password); err != nil {
			fresh = ""
		}
	}
	p := proof{
		account: id.account, method: "password", amr: []string{"pwd"}, persistent: c.Remember, device: c.Device, link: c.Link,
		change: func(ctx context.Context, tx *store.Tx, a account.Account) error {
			// Again under the lock: a password changed or an account disabled since the hash was read must not get in.
			if now, err := s.passwords.Find(ctx, tx, a.ID); err != nil {
				return err
			} else if now != id.hash {
				return refusal{reason: "password_changed", err: errCredentials}
			}
			if err := s.failures.Reset(ctx, tx, id.pass); err != nil {
				return err
			}
			if fresh != "" {
				return s.passwords.Upgrade(ctx, tx, a.ID, id.hash, fresh)
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
func (s *Service) signInFailed(ctx context.Context, id identity, r refusal) error {
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.countFailure(ctx, tx, id); err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Entry{
			Action: "auth.login.failure", Reason: r.reason, Actor: anonymous, Targets: []audit.Ref{user(id.account.ID)},
			AuthMethod: "pwd", Metadata: map[string]any{"method": "password"},
		})
	})
	if err != nil {
		return err
	}
	return r.err
}

// countFailure counts, and says in the log and to the owner when that was the one after which attempts are slowed or stopped.
func (s *Service) countFailure(ctx context.Context, tx *store.Tx, id identity) error {
	f, err := s.failures.Fail(ctx, tx, id.pass)
	if err != nil || !f.JustSlowed && !f.JustStopped {
		return err
	}
	if err := s.record(ctx, tx, audit.Entry{
		Action: "security.lockout", Reason: "too_many_failures", Actor: anonymous, Targets: []audit.Ref{user(id.account.ID)},
		Metadata: map[string]any{"scope": "account", "failures": f.Count, "seconds": int(f.Wait.Seconds())},
	}); err != nil {
		return err
	}
	l := s.from(ctx, mail.Letter{Purpose: mail.Lockout, To: id.account.Email, Link: s.set.BaseURL + "/reset"})
	if id.account.Email == "" { // nobody's: the same work, and no mail
		l.To = nobody
		return s.enqueueDecoy(ctx, tx, l)
	}
	return s.enqueue(ctx, tx, l)
}

// nobody stands in decoys for an address that is none.
const nobody = "nobody@localhost"

// loginRefused writes down that the factor was right and the sign-in refused all the same. It is no failed guess, so it
// is not counted.
func (s *Service) loginRefused(ctx context.Context, a account.Account, method, amr string, r refusal) error {
	meta := map[string]any{"method": method}
	for k, v := range r.meta {
		meta[k] = v
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.record(ctx, tx, audit.Entry{
			Action: "auth.login.failure", Reason: r.reason, Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, AuthMethod: amr, Metadata: meta,
		})
	})
}

// SignOut ends the session a token stands for. fault.Unauthenticated when it stands for none.
func (s *Service) SignOut(ctx context.Context, token string) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		p, err := s.sessions.EndIn(ctx, tx, token)
		if err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Entry{
			Action: "auth.logout", Actor: user(p.UserID), SessionID: p.SessionID,
			Targets: []audit.Ref{user(p.UserID), {Type: "session", ID: p.SessionID.String()}},
		})
	})
}
