package flow

import (
	"strings"
	"time"

	"github.com/sigra-auth/sigra/core/account"
)

// Settings of the flows. The zero value of each field but BaseURL means the default.
type Settings struct {
	BaseURL            string        // where links point; needed
	ServiceName        string        // "Sigra"
	RegistrationClosed bool          // nobody may sign up
	DeferConfirmation  bool          // sign in at once and confirm later. Trades away that nobody learns who has an account
	ConfirmationTTL    time.Duration // 48 h
	PasswordLinkTTL    time.Duration // 72 h, of a link that an administrator makes
	ResetTTL           time.Duration // 1 h, of a link and code to set a new password
	MagicLinks         bool          // sign-in by mail
	MagicLinkTTL       time.Duration // 10 min
	EmailChangeTTL     time.Duration // 24 h, for the new address to confirm and the old one to undo

	SecondFactorTTL     time.Duration // 5 min, between the first factor and the second
	RequireSecondFactor bool          // of everybody; an account without one adds it at its next sign-in
	// RequireOfAdministrators asks it of administrators, whatever others are asked.
	RequireOfAdministrators bool
	StepUpWindow            time.Duration // 5 min: how long a proof is fresh enough to change how one signs in
	TrustFor                time.Duration // how long a browser is spared the second factor; zero: never
	Suspicious              bool          // write down sign-ins from a new browser on a new network
	SuspiciousStepUp        bool          // and ask for the second factor there, whatever browser is trusted
	LinkTTL                 time.Duration // 15 min, for a login elsewhere to wait for the account's own credential

	Usernames Usernames // whether accounts have one beside their address
}

// RequiresSecondFactor reports whether an account must have a second factor, whether it has one or not.
func (set Settings) RequiresSecondFactor(a account.Account) bool {
	return set.RequireSecondFactor || set.RequireOfAdministrators && a.Administrator
}

// withDefaults fills in what is zero.
func (set Settings) withDefaults() Settings {
	set.BaseURL = strings.TrimRight(set.BaseURL, "/")
	if set.ServiceName == "" {
		set.ServiceName = "Sigra"
	}
	for d, v := range map[*time.Duration]time.Duration{
		&set.ConfirmationTTL: 48 * time.Hour, &set.PasswordLinkTTL: 72 * time.Hour, &set.ResetTTL: time.Hour, &set.MagicLinkTTL: 10 * time.Minute,
		&set.EmailChangeTTL: 24 * time.Hour, &set.SecondFactorTTL: 5 * time.Minute, &set.StepUpWindow: 5 * time.Minute, &set.LinkTTL: 15 * time.Minute,
	} {
		if *d <= 0 {
			*d = v
		}
	}
	return set
}
