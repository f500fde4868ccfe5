package passkey

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

// LoginOptions of BeginLogin.
type LoginOptions struct {
	Purpose Purpose // PurposeLogin, PurposeSecondFactor or PurposeStepUp
	// AccountID is whose passkeys will do. Zero, with PurposeLogin only: anybody's that can be found without a name.
	AccountID uuid.UUID
	// RequireUV refuses a passkey that did not verify the person. Use it where the passkey is to be both factors.
	RequireUV bool
	// TrustUV says that the person has proved another factor already, such as the password: a passkey that verifies
	// them in this ceremony is relied upon for that from here on (WebAuthn L3 §7.2 step 24).
	TrustUV bool
}

// BeginLogin begins the use of a passkey. ErrNone when the account has none.
func (s *Store) BeginLogin(ctx context.Context, tx *store.Tx, o LoginOptions) (Ceremony, error) {
	p, err := s.ready()
	if err != nil {
		return Ceremony{}, err
	}
	switch o.Purpose {
	case PurposeLogin:
	case PurposeSecondFactor, PurposeStepUp:
		if o.AccountID == uuid.Nil {
			return Ceremony{}, fmt.Errorf("passkey: %s without an account", o.Purpose)
		}
	default:
		return Ceremony{}, fmt.Errorf("passkey: %q is no purpose of a login", o.Purpose)
	}
	var allowed []Passkey
	if o.AccountID != uuid.Nil {
		if allowed, err = s.List(ctx, tx, o.AccountID); err != nil {
			return Ceremony{}, err
		}
		if len(allowed) == 0 {
			return Ceremony{}, ErrNone
		}
	}
	r := row{purpose: o.Purpose, accountID: o.AccountID, requireUV: o.RequireUV || p.RequireUV, trustUV: o.TrustUV}
	c, err := s.begin(ctx, tx, p, &r)
	if err != nil {
		return Ceremony{}, err
	}
	options, _, err := p.lib.BeginDiscoverableLogin(webauthn.WithChallenge(r.challenge), webauthn.WithUserVerification(verification(r.requireUV)),
		webauthn.WithAllowedCredentials(descriptors(allowed)))
	if err != nil {
		return Ceremony{}, fmt.Errorf("passkey request options: %w", err)
	}
	if c.Options, err = json.Marshal(options); err != nil {
		return Ceremony{}, fmt.Errorf("passkey request options: %w", err)
	}
	return c, nil
}

// Assertion is the use of a passkey that was verified and not spent yet. Use spends it.
type Assertion struct {
	Purpose      Purpose
	AccountID    uuid.UUID
	PasskeyID    uuid.UUID
	CredentialID []byte
	UserVerified bool // the authenticator says that it verified the person, this time
	// TwoFactors: UserVerified, and it may be relied upon. Possession and verification are then two factors (aal2);
	// otherwise the passkey is one.
	TwoFactors bool
	BackedUp   bool

	ceremony     uuid.UUID
	signCount    uint32
	trustUV      bool
	discoverable bool
}

// VerifyLogin checks a browser's answer: AuthenticationResponseJSON (WebAuthn L3 §5.1). Purpose and account are those the
// ceremony was begun with. It changes nothing. ErrRefused when it does not hold.
func (s *Store) VerifyLogin(ctx context.Context, purpose Purpose, accountID uuid.UUID, token string, response []byte) (Assertion, error) {
	p, err := s.ready()
	if err != nil {
		return Assertion{}, err
	}
	if purpose == PurposeRegister {
		return Assertion{}, refuse(ReasonCeremonyPurpose)
	}
	r, err := s.find(ctx, purpose, accountID, token)
	if err != nil {
		return Assertion{}, err
	}
	return p.verifyLogin(r, response, func(credentialID []byte) (credential, error) { return s.findCredential(ctx, credentialID) })
}

// credential is a passkey with what is needed to verify it.
type credential struct {
	Passkey
	publicKey []byte
	handle    []byte
}

// verifyLogin judges an answer; find looks a passkey up by what authenticators call it.
func (p *party) verifyLogin(r row, response []byte, find func(credentialID []byte) (credential, error)) (Assertion, error) {
	answer, err := parseLogin(response)
	if err != nil {
		return Assertion{}, err
	}
	data := answer.Response.AuthenticatorData
	if err := p.check(r, protocol.AssertCeremony, answer.Response.CollectedClientData, data); err != nil {
		return Assertion{}, err
	}
	k, err := find(answer.RawID)
	if err != nil {
		return Assertion{}, err
	}
	discoverable := r.accountID == uuid.Nil
	given := answer.Response.UserHandle
	switch { // WebAuthn L3 §7.2 step 6
	case !discoverable && k.AccountID != r.accountID:
		return Assertion{}, refuse(ReasonCredentialOther)
	case discoverable && len(given) == 0, len(given) > 0 && !bytes.Equal(given, k.handle):
		return Assertion{}, refuse(ReasonUserHandle)
	}
	known := webauthn.Credential{ID: k.CredentialID, PublicKey: k.publicKey, Authenticator: webauthn.Authenticator{AAGUID: k.AAGUID[:], SignCount: k.SignCount}}
	known.Flags.BackupEligible = data.Flags.HasBackupEligible() // judged below, when the signature has shown who says so
	user := libraryUser{handle: k.handle, credentials: []webauthn.Credential{known}}
	session := webauthn.SessionData{Challenge: encoding.EncodeToString(r.challenge), RelyingPartyID: p.RPID, UserVerification: verification(r.requireUV)}
	if discoverable {
		_, _, err = p.lib.ValidatePasskeyLogin(func(_, _ []byte) (webauthn.User, error) { return user, nil }, session, answer)
	} else {
		session.UserID, session.AllowedCredentialIDs = k.handle, [][]byte{k.CredentialID}
		_, err = p.lib.ValidateLogin(user, session, answer)
	}
	if err != nil {
		return Assertion{}, refuseFor(ReasonSignature, err)
	}
	if data.Flags.HasBackupEligible() != k.BackupEligible { // WebAuthn L3 §7.2 step 19
		return Assertion{}, ErrChanged.Because(&refusal{reason: ReasonBackupChanged})
	}
	verified := data.Flags.UserVerified()
	return Assertion{
		Purpose: r.purpose, AccountID: k.AccountID, PasskeyID: k.ID, CredentialID: k.CredentialID, UserVerified: verified,
		TwoFactors: verified && k.VerificationTrusted, BackedUp: data.Flags.HasBackupState(),
		ceremony: r.id, signCount: data.Counter, trustUV: r.trustUV && verified, discoverable: discoverable,
	}, nil
}

// findCredential reads a passkey by what authenticators call it.
func (s *Store) findCredential(ctx context.Context, credentialID []byte) (credential, error) {
	var c credential
	var err error
	c.Passkey, err = scan(s.db.QueryRow(ctx, `SELECT `+columns+`, public_key, (SELECT u.handle FROM credential_passkey_user u WHERE u.account_id = credential_passkey.account_id)
		FROM credential_passkey WHERE credential_id = $1`, credentialID), &c.publicKey, &c.handle)
	if errors.Is(err, store.ErrNoRows) {
		return credential{}, ErrRefused.Because(&refusal{reason: ReasonCredentialUnknown, credential: credentialID})
	}
	if err != nil {
		return credential{}, fmt.Errorf("read passkey: %w", err)
	}
	return c, nil
}

// Used is what Use found out.
type Used struct {
	// Regressed: the counter did not rise (WebAuthn L3 §7.2 step 22). Two devices may have the key.
	Regressed         bool
	Stored, Presented uint32 // with Regressed
}

// Use spends the ceremony and writes the passkey's counter, backup state and last use. ErrRefused when the ceremony was
// spent meanwhile or the passkey is gone.
//
// Where the settings block a counter that does not rise, it returns ErrRefused together with what was found (ReasonSignCount): the
// ceremony is spent, the passkey not marked as used, and the transaction should commit with the audit row.
func (s *Store) Use(ctx context.Context, tx *store.Tx, a Assertion) (Used, error) {
	if err := s.spend(ctx, tx, a.ceremony); err != nil {
		return Used{}, err
	}
	write := func(anyCount bool) (int64, error) {
		n, err := tx.Exec(ctx, `UPDATE credential_passkey SET sign_count = CASE WHEN sign_count < $3 THEN $3 ELSE sign_count END,
				backed_up = $4, last_used_at = $5, uv_initialized = uv_initialized OR $6, discoverable = discoverable OR $7
			WHERE id = $1 AND account_id = $2 AND ($8 OR sign_count < $3 OR (sign_count = 0 AND $3 = 0))`,
			a.PasskeyID, a.AccountID, int64(a.signCount), a.BackedUp, s.now(), a.trustUV, a.discoverable, anyCount)
		if err != nil {
			return 0, fmt.Errorf("use passkey: %w", err)
		}
		return n, nil
	}
	n, err := write(false)
	if n > 0 || err != nil {
		return Used{Presented: a.signCount}, err
	}
	// Gone, or the counter did not rise. This holds the row until the end of the transaction.
	used := Used{Regressed: true, Presented: a.signCount}
	var stored int64
	err = tx.QueryRow(ctx, `UPDATE credential_passkey SET sign_count = sign_count WHERE id = $1 AND account_id = $2 RETURNING sign_count`,
		a.PasskeyID, a.AccountID).Scan(&stored)
	if errors.Is(err, store.ErrNoRows) {
		return Used{}, ErrRefused.Because(&refusal{reason: ReasonCredentialUnknown, credential: a.CredentialID})
	}
	if err != nil {
		return Used{}, fmt.Errorf("read passkey counter: %w", err)
	}
	used.Stored = uint32(stored)
	if s.party.Load().BlockOnRegression {
		return used, refuse(ReasonSignCount)
	}
	_, err = write(true)
	return used, err
}

// TrustVerification says that a passkey's user verification may be relied upon from here on, because its owner has proved
// another factor besides it (WebAuthn L3 §4, uvInitialized).
func (s *Store) TrustVerification(ctx context.Context, tx *store.Tx, a Assertion) error {
	if !a.UserVerified {
		return nil
	}
	if _, err := tx.Exec(ctx, `UPDATE credential_passkey SET uv_initialized = $3 WHERE id = $1 AND account_id = $2`, a.PasskeyID, a.AccountID, true); err != nil {
		return fmt.Errorf("trust passkey verification: %w", err)
	}
	return nil
}
