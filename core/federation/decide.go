package federation

// Standing is what is known of an account for a decision.
type Standing string

// The standings. Deleted accounts have neither address nor logins, so they are nobody's.
const (
	Nobody      Standing = ""            // there is no such account
	Unconfirmed Standing = "unconfirmed" // nobody has shown yet that its address is theirs
	Active      Standing = "active"
	Disabled    Standing = "disabled"
)

// Situation is all that the decision rests on.
type Situation struct {
	Purpose Purpose
	// Owner is the account that has this login.
	Owner Standing
	// ByEmail is the account whose address is the one that the provider gave. Asked for, and looked at, only when the address is verified.
	ByEmail       Standing
	EmailVerified bool // Claims.EmailVerified: said and believed
	// DomainOwned: whoever vouches speaks for the organization that has proven the address's domain to be its own, and may
	// therefore say whose its addresses are.
	DomainOwned bool
	SignUp      bool // accounts may be made: by this provider, and at all
	// For a Link: the account of the session that came back, and whether it is the one that began.
	SignedIn      Standing
	SameAccount   bool // that session's account is the Result's
	OwnerIsCaller bool // Owner is that account
	// EmailIsOwners: the account by email is the owner itself.
	EmailIsOwners bool
}

// Decision is what follows.
type Decision string

// The decisions.
const (
	// DoSignIn: the owner has shown to be the owner. On to the gate and the second factor.
	DoSignIn Decision = "sign_in"
	// DoLink: give the login to the account that is signed in and asked for it.
	DoLink Decision = "link"
	// DoNothing: that account has it already.
	DoNothing Decision = "nothing"
	// DoProve: an account has this address. Ask for that account's own credential; link when it proves right, and otherwise not.
	DoProve Decision = "prove"
	// DoAdopt: sign in to the account that has this address, and give it the login: the owner of the address's domain says whose it is.
	DoAdopt Decision = "adopt"
	// DoReclaim: somebody signed up with this address and never showed that it is theirs; now its owner is here. Drop every credential,
	// session, login and trusted device of the account, confirm it, give it this login.
	DoReclaim Decision = "reclaim"
	// DoCreate: make an account with this address, confirmed, and this login.
	DoCreate Decision = "create"
	// DoConfirm: make an account, but only once a mail has shown that the address is theirs, be it the provider's or one they enter.
	// If it then turns out that an account has it, that account's own credential is asked for.
	DoConfirm Decision = "confirm"

	RefuseUnconfirmed Decision = "refuse_unconfirmed"   // the account must confirm its address first
	RefuseDisabled    Decision = "refuse_disabled"      //
	RefuseElsewhere   Decision = "refuse_elsewhere"     // another account has this login
	RefuseNotSignedIn Decision = "refuse_not_signed_in" // a link without the session that began it
	RefuseSignUp      Decision = "refuse_sign_up"       // no account, and none may be made
)

// Refused reports whether nothing may be done.
func (d Decision) Refused() bool {
	switch d {
	case RefuseUnconfirmed, RefuseDisabled, RefuseElsewhere, RefuseNotSignedIn, RefuseSignUp:
		return true
	}
	return false
}

// Decide is the linking rule. It must be asked in the transaction that acts on it, with the accounts' rows locked: what it
// rests on can change while the person is at the provider.
func Decide(s Situation) Decision {
	if s.Purpose == Link {
		return decideLink(s)
	}
	switch s.Owner {
	case Active:
		return DoSignIn // whatever the address says now: it is the login that counts
	case Disabled:
		return RefuseDisabled
	case Unconfirmed:
		// Who linked it may be who signed up with somebody else's address. Only the address's owner may go on, and anew.
		if s.EmailVerified && s.EmailIsOwners {
			return DoReclaim
		}
		return RefuseUnconfirmed
	}
	if s.EmailVerified {
		switch s.ByEmail {
		case Active:
			if s.DomainOwned {
				return DoAdopt
			}
			return DoProve
		case Disabled:
			return RefuseDisabled
		case Unconfirmed:
			if s.SignUp { // it comes to the same as a sign-up
				return DoReclaim
			}
			return RefuseSignUp
		}
	}
	switch {
	case !s.SignUp:
		return RefuseSignUp
	case s.EmailVerified:
		return DoCreate
	}
	return DoConfirm
}

func decideLink(s Situation) Decision {
	switch {
	case s.SignedIn == Nobody, !s.SameAccount:
		return RefuseNotSignedIn
	case s.SignedIn == Disabled:
		return RefuseDisabled
	case s.Owner != Nobody && s.OwnerIsCaller:
		return DoNothing
	case s.Owner != Nobody:
		return RefuseElsewhere
	case s.SignedIn == Unconfirmed:
		return RefuseUnconfirmed // a login linked now would outlive the confirmation by the address's owner
	}
	return DoLink
}
