package federation_test

import (
	"fmt"
	"testing"

	"github.com/sigra-auth/sigra/core/federation"
)

var standings = []federation.Standing{federation.Nobody, federation.Unconfirmed, federation.Active, federation.Disabled}

// situations enumerates every combination that can be: an account by email only for verified addresses, an owner that is the
// caller only where there is both, and of the same standing.
func situations() (out []federation.Situation) {
	truth := []bool{false, true}
	for _, purpose := range []federation.Purpose{federation.SignIn, federation.Link} {
		for _, owner := range standings {
			for _, byEmail := range standings {
				for _, verified := range truth {
					for _, signUp := range truth {
						for _, signedIn := range standings {
							for _, same := range truth {
								for _, ownerIsCaller := range truth {
									for i := range 4 {
										emailIsOwners, domainOwned := i&1 != 0, i&2 != 0
										s := federation.Situation{
											Purpose: purpose, Owner: owner, ByEmail: byEmail, EmailVerified: verified, SignUp: signUp, SignedIn: signedIn,
											SameAccount: same, OwnerIsCaller: ownerIsCaller, EmailIsOwners: emailIsOwners, DomainOwned: domainOwned,
										}
										if ownerIsCaller && (owner == federation.Nobody || owner != signedIn) || same && signedIn == federation.Nobody ||
											emailIsOwners && (owner == federation.Nobody || owner != byEmail) || purpose == federation.SignIn && (signedIn != federation.Nobody || same || ownerIsCaller) {
											continue
										}
										out = append(out, s)
									}
								}
							}
						}
					}
				}
			}
		}
	}
	return out
}

// TestDecide_properties holds, for every situation there is, what must never happen.
func TestDecide_properties(t *testing.T) {
	t.Parallel()
	all := situations()
	seen := map[federation.Decision]int{}
	for _, s := range all {
		d := federation.Decide(s)
		seen[d]++
		never := func(bad bool, what string) {
			t.Helper()
			if bad {
				t.Errorf("%s: %+v → %s", what, s, d)
			}
		}
		in := d == federation.DoSignIn || d == federation.DoAdopt || d == federation.DoReclaim || d == federation.DoCreate
		never(d == federation.DoSignIn && s.Owner != federation.Active, "signed in without a login that is linked to a live account")
		never(in && (s.Owner == federation.Disabled), "a disabled account gets a session")
		never(in && s.EmailVerified && s.ByEmail == federation.Disabled && s.Owner == federation.Nobody, "a disabled account is got around")
		never(d == federation.DoAdopt && (!s.DomainOwned || !s.EmailVerified || s.ByEmail != federation.Active || s.Owner != federation.Nobody), "an account is given a login without its own proof or its domain's")
		never(d == federation.DoLink && (s.Purpose != federation.Link || s.SignedIn != federation.Active || !s.SameAccount), "linked without the account's own session")
		never(d == federation.DoLink && s.Owner != federation.Nobody, "a login of two accounts")
		never(d == federation.DoReclaim && !s.EmailVerified, "taken over by an address that nobody has verified")
		never(d == federation.DoReclaim && s.ByEmail != federation.Unconfirmed, "a confirmed account is taken over")
		never(d == federation.DoReclaim && s.Owner != federation.Nobody && !s.EmailIsOwners, "an account is taken over by the holder of another address")
		never(d == federation.DoCreate && (!s.SignUp || !s.EmailVerified || s.ByEmail != federation.Nobody || s.Owner != federation.Nobody), "a second account, or one that may not be")
		never(d == federation.DoConfirm && !s.SignUp, "an account that may not be")
		never(d == federation.DoProve && (!s.EmailVerified || s.ByEmail != federation.Active || s.Owner != federation.Nobody), "an account's credential is asked for without cause")
		never(s.Purpose == federation.Link && (in || d == federation.DoProve || d == federation.DoConfirm), "a link that signs in")
		never(d == federation.DoNothing && !s.OwnerIsCaller, "said to be linked, and is not")
		// Somebody unconfirmed never keeps a way in: neither does their login sign in, nor can they link one.
		never(s.Owner == federation.Unconfirmed && s.Purpose == federation.SignIn && d != federation.DoReclaim && d != federation.RefuseUnconfirmed, "an unconfirmed account is used")
		never(s.SignedIn == federation.Unconfirmed && d == federation.DoLink, "an unconfirmed account gets a login")
		never(!d.Refused() && d != federation.DoSignIn && d != federation.DoAdopt && d != federation.DoLink && d != federation.DoNothing && d != federation.DoProve && d != federation.DoReclaim && d != federation.DoCreate && d != federation.DoConfirm, "a decision that nobody knows")

		// What is not verified matches nothing: the decision is the same whatever account has the address.
		if !s.EmailVerified {
			for _, other := range standings {
				o := s
				o.ByEmail, o.EmailIsOwners = other, false
				never(federation.Decide(o) != d, "an unverified address made a difference")
			}
		}
		// Of a login that is linked, the address makes no difference either, but for what an unconfirmed account's owner may do.
		if s.Owner == federation.Active || s.Owner == federation.Disabled {
			for _, other := range standings {
				for _, v := range []bool{false, true} {
					o := s
					o.ByEmail, o.EmailVerified, o.EmailIsOwners = other, v, false
					never(federation.Decide(o) != d, "the address counts more than the login")
				}
			}
		}
	}
	if len(all) < 400 || len(seen) != 13 {
		t.Errorf("%d situations, %d decisions: %v", len(all), len(seen), seen)
	}
}

// TestDecide_table is the rule as people would say it.
func TestDecide_table(t *testing.T) {
	t.Parallel()
	const nobody, unconfirmed, active, disabled = federation.Nobody, federation.Unconfirmed, federation.Active, federation.Disabled
	for _, c := range []struct {
		owner, byEmail   federation.Standing
		verified, signUp bool
		want             federation.Decision
	}{
		{active, nobody, false, false, federation.DoSignIn},
		{active, disabled, true, true, federation.DoSignIn},
		{disabled, active, true, true, federation.RefuseDisabled},
		{unconfirmed, nobody, true, true, federation.RefuseUnconfirmed},
		{unconfirmed, active, true, true, federation.RefuseUnconfirmed},
		{nobody, active, true, true, federation.DoProve},
		{nobody, active, true, false, federation.DoProve},
		{nobody, active, false, true, federation.DoConfirm},
		{nobody, active, false, false, federation.RefuseSignUp},
		{nobody, unconfirmed, true, true, federation.DoReclaim},
		{nobody, unconfirmed, true, false, federation.RefuseSignUp},
		{nobody, unconfirmed, false, true, federation.DoConfirm},
		{nobody, disabled, true, true, federation.RefuseDisabled},
		{nobody, disabled, false, true, federation.DoConfirm},
		{nobody, nobody, true, true, federation.DoCreate},
		{nobody, nobody, false, true, federation.DoConfirm},
		{nobody, nobody, true, false, federation.RefuseSignUp},
	} {
		s := federation.Situation{Purpose: federation.SignIn, Owner: c.owner, ByEmail: c.byEmail, EmailVerified: c.verified, SignUp: c.signUp}
		if got := federation.Decide(s); got != c.want {
			t.Errorf("%+v → %s, want %s", s, got, c.want)
		}
	}
	own := federation.Situation{Purpose: federation.SignIn, Owner: unconfirmed, ByEmail: unconfirmed, EmailVerified: true, EmailIsOwners: true}
	if got := federation.Decide(own); got != federation.DoReclaim {
		t.Errorf("the address's owner comes to their own unconfirmed account → %s", got)
	}
	link := federation.Situation{Purpose: federation.Link, SignedIn: active, SameAccount: true}
	for want, change := range map[federation.Decision]func(s *federation.Situation){
		federation.DoLink:            func(*federation.Situation) {},
		federation.DoNothing:         func(s *federation.Situation) { s.Owner, s.OwnerIsCaller = active, true },
		federation.RefuseElsewhere:   func(s *federation.Situation) { s.Owner = active },
		federation.RefuseNotSignedIn: func(s *federation.Situation) { s.SameAccount = false },
		federation.RefuseUnconfirmed: func(s *federation.Situation) { s.SignedIn = unconfirmed },
		federation.RefuseDisabled:    func(s *federation.Situation) { s.SignedIn = disabled },
	} {
		s := link
		change(&s)
		if got := federation.Decide(s); got != want {
			t.Errorf("%+v → %s, want %s", s, got, want)
		}
	}
}

// model is a world with one mail address, its owner (the victim) and somebody else (the attacker), small enough to walk through every
// state it can be in. Decide is the rule; what each decision does is what core/auth does with it.
type model struct {
	status   federation.Standing // of the account that has the address
	password string              // whose the account's password is: "", "v", "a"
	links    [2]bool             // whether the account has the victim's login, the attacker's
	sessions [2]bool             // who has a session on it
	flow     [2]bool             // who has a sign-up by password waiting for a mail's confirmation
}

const victim, attacker = 0, 1

var initial = [2]string{"v", "a"}

// next lists what can happen in a state. deferred: sign-up signs in at once, before the address is confirmed.
func (m model) next(decide func(federation.Situation) federation.Decision, deferred, signUp bool) map[string]model {
	out := map[string]model{}
	do := func(name string, f func(n *model)) {
		n := m
		f(&n)
		out[name] = n
	}
	for p := range 2 {
		name := initial[p]
		if m.status == federation.Nobody || m.status == federation.Unconfirmed {
			do(name+" signs up with a password", func(n *model) {
				n.status = federation.Unconfirmed
				n.flow[p] = true
				if deferred && m.status == federation.Nobody {
					n.password, n.sessions[p] = name, true
				}
			})
		}
		if m.password == name && (m.status == federation.Active || m.status == federation.Unconfirmed && deferred) {
			do(name+" signs in with the password", func(n *model) { n.sessions[p] = true })
		}
		// The victim's login carries the address as verified; the attacker's carries it too, but nobody has verified it, or nobody believes it.
		s := federation.Situation{Purpose: federation.SignIn, SignUp: signUp, EmailVerified: p == victim}
		if m.links[p] {
			s.Owner = m.status
		}
		s.ByEmail, s.EmailIsOwners = m.status, m.links[p]
		switch decide(s) {
		case federation.DoSignIn:
			do(name+" signs in with the login", func(n *model) { n.sessions[p] = true })
		case federation.DoCreate:
			do(name+" signs up with the login", func(n *model) { n.status, n.links[p], n.sessions[p] = federation.Active, true, true })
		case federation.DoReclaim:
			do(name+" reclaims", func(n *model) {
				*n = model{status: federation.Active}
				n.links[p], n.sessions[p] = true, true
			})
		case federation.DoProve:
			if m.password == name { // their own credential proves right
				do(name+" proves and links", func(n *model) { n.links[p], n.sessions[p] = true, true })
			}
		case federation.DoConfirm: // a mail goes to the address, and only the victim reads it
		}
		if m.sessions[p] {
			l := federation.Situation{Purpose: federation.Link, SignedIn: m.status, SameAccount: true}
			if m.links[p] {
				l.Owner, l.OwnerIsCaller = m.status, true
			}
			if decide(l) == federation.DoLink {
				do(name+" links", func(n *model) { n.links[p] = true })
			}
		}
	}
	if m.flow[victim] && m.status == federation.Unconfirmed { // the mailbox is the victim's
		do("v confirms", func(n *model) {
			*n = model{status: federation.Active, password: "v"}
			n.sessions[victim] = true
		})
	}
	return out
}

// walk goes through every state that any order of steps leads to. It returns the first in which the attacker has a way into an account that
// the victim uses or has confirmed, and whether the victim ever got in after the attacker was first.
func walk(decide func(federation.Situation) federation.Decision, deferred, signUp bool) (violation string, rescued bool, states int) {
	start := model{}
	how := map[model]string{start: ""}
	for queue := []model{start}; len(queue) > 0; queue = queue[1:] {
		m := queue[0]
		in := m.sessions[attacker] || m.links[attacker] || m.password == "a" && (m.status == federation.Active || deferred)
		if in && (m.status == federation.Active || m.sessions[victim] || m.links[victim]) {
			return fmt.Sprintf("%s\n→ %+v", how[m], m), rescued, len(how)
		}
		for step, n := range m.next(decide, deferred, signUp) {
			rescued = rescued || m.flow[attacker] && n.status == federation.Active && n.sessions[victim]
			if _, seen := how[n]; !seen {
				how[n] = how[m] + "\n  " + step
				queue = append(queue, n)
			}
		}
	}
	return "", rescued, len(how)
}

// TestDecide_model: no order of steps lets the attacker into what is the victim's, and none keeps the victim out.
func TestDecide_model(t *testing.T) {
	t.Parallel()
	for _, deferred := range []bool{false, true} {
		for _, signUp := range []bool{false, true} {
			violation, rescued, states := walk(federation.Decide, deferred, signUp)
			if violation != "" {
				t.Errorf("deferred %v, sign-up %v: %s", deferred, signUp, violation)
			}
			if !rescued || states < 6 {
				t.Errorf("deferred %v, sign-up %v: only %d states, rescued %v", deferred, signUp, states, rescued)
			}
		}
	}
	// The walk finds what is wrong with rules that others have had.
	for name, rule := range map[string]func(federation.Situation) federation.Decision{
		"an address signs in, verified or not": func(s federation.Situation) federation.Decision {
			if s.Purpose == federation.SignIn && s.ByEmail == federation.Active {
				return federation.DoSignIn
			}
			return federation.Decide(s)
		},
		"an unconfirmed account is simply confirmed": func(s federation.Situation) federation.Decision {
			if s.Purpose == federation.SignIn && s.ByEmail == federation.Unconfirmed && s.EmailVerified {
				return federation.DoSignIn
			}
			return federation.Decide(s)
		},
		"anybody reclaims": func(s federation.Situation) federation.Decision {
			if s.Purpose == federation.SignIn && s.ByEmail == federation.Unconfirmed {
				return federation.DoReclaim
			}
			return federation.Decide(s)
		},
	} {
		if violation, _, _ := walk(rule, true, true); violation == "" {
			t.Errorf("the walk finds nothing wrong when %s", name)
		}
	}
}
