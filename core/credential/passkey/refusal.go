package passkey

import (
	"errors"

	"github.com/sigra-auth/sigra/core/fault"
)

// ErrRefused says that an answer to a ceremony was not accepted. It is the same for every cause; ReasonOf tells them apart.
var ErrRefused = fault.New(fault.Unauthenticated, "passkey_refused", "The passkey was not accepted. Try again.")

// ErrChanged says that a passkey signed well and is not the one that was registered: it is for several devices where it was for one, or
// the other way round. It will never be accepted again, and who has it may know.
var ErrChanged = fault.New(fault.Unauthenticated, "passkey_changed", "This passkey is no longer kept the way it was when it was added, so it can't be accepted any more. Sign in another way, remove it from your account and add it again.")

// What a person who adds a passkey is told.
var (
	ErrExists     = fault.New(fault.Conflict, "passkey_exists", "This passkey is registered already.")
	ErrNotAllowed = fault.New(fault.Denied, "passkey_not_allowed", "Passkeys of this kind are not accepted here. Use another device or security key.")
	ErrNotFound   = fault.New(fault.NotFound, "passkey_not_found", "There is no such passkey.")
	ErrNone       = fault.New(fault.NotFound, "no_passkeys", "There is no passkey to use.")
)

// errLimit carries the credential that the device has made in vain, if it has.
func errLimit(most int, credentialID []byte) error {
	return fault.Newf(fault.Conflict, "passkey_limit", "An account can have at most %d passkeys. Delete one first.", most).
		Because(&refusal{reason: ReasonLimit, credential: credentialID})
}

// Reason is the check that failed: for the audit row, not for whoever is being refused.
type Reason string

// The reasons.
const (
	ReasonCeremonyUnknown   Reason = "ceremony_unknown"
	ReasonCeremonyPurpose   Reason = "ceremony_purpose" // begun for something or somebody else
	ReasonCeremonySpent     Reason = "ceremony_spent"
	ReasonCeremonyExpired   Reason = "ceremony_expired"
	ReasonTooLarge          Reason = "too_large"
	ReasonMalformed         Reason = "malformed"
	ReasonType              Reason = "type" // an assertion for an attestation, or the other way round
	ReasonChallenge         Reason = "challenge"
	ReasonOrigin            Reason = "origin"
	ReasonCrossOrigin       Reason = "cross_origin" // asked from within another site's page
	ReasonRPID              Reason = "rp_id"
	ReasonUserPresence      Reason = "user_presence"
	ReasonUserVerification  Reason = "user_verification"
	ReasonBackupFlags       Reason = "backup_flags"   // contradictory, or not what they were
	ReasonBackupChanged     Reason = "backup_changed" // eligible now and not when it was registered, or the other way round
	ReasonKey               Reason = "key"            // algorithm, size or form
	ReasonAttestation       Reason = "attestation"
	ReasonSignature         Reason = "signature"
	ReasonCredentialUnknown Reason = "credential_unknown"
	ReasonCredentialOther   Reason = "credential_of_another_account"
	ReasonUserHandle        Reason = "user_handle"
	ReasonSignCount         Reason = "sign_count" // it did not rise, and the settings block that
	ReasonModel             Reason = "model"      // not among the allowed ones
	ReasonExists            Reason = "exists"
	ReasonLimit             Reason = "limit"
)

// refusal is the private cause of a refusal.
type refusal struct {
	reason     Reason
	credential []byte // what a device has and nobody here knows
	err        error
}

func (r *refusal) Error() string {
	if r.err != nil {
		return string(r.reason) + ": " + r.err.Error()
	}
	return string(r.reason)
}

func (r *refusal) Unwrap() error { return r.err }

func refuse(reason Reason) error { return ErrRefused.Because(&refusal{reason: reason}) }

func refuseFor(reason Reason, err error) error {
	return ErrRefused.Because(&refusal{reason: reason, err: err})
}

// ReasonOf is the check that failed; empty when err is no refusal of this package.
func ReasonOf(err error) Reason {
	var r *refusal
	if errors.As(err, &r) {
		return r.reason
	}
	return ""
}
