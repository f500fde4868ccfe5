package passkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

// RegistrationOptions of BeginRegistration.
type RegistrationOptions struct {
	// Conditional asks the browser to make a passkey by itself, without a dialog, when it keeps the password that the
	// person has just signed in with (WebAuthn L3 §5.1.3, mediation "conditional"). The authenticator then need not have
	// asked anybody anything: begin it right after a sign-in with a password, and at no other time.
	Conditional bool
}

// BeginRegistration begins the making of a passkey for an account. The authenticators that hold one of it already are
// left out.
func (s *Store) BeginRegistration(ctx context.Context, tx *store.Tx, u User, o RegistrationOptions) (Ceremony, error) {
	p, err := s.ready()
	if err != nil {
		return Ceremony{}, err
	}
	handle, err := s.ensureHandle(ctx, tx, u.ID)
	if err != nil {
		return Ceremony{}, err
	}
	have, err := s.List(ctx, tx, u.ID)
	if err != nil {
		return Ceremony{}, err
	}
	if len(have) >= p.MaxPerAccount {
		return Ceremony{}, errLimit(p.MaxPerAccount, nil)
	}
	r := row{purpose: PurposeRegister, accountID: u.ID, requireUV: p.RequireUV && !o.Conditional, conditional: o.Conditional}
	c, err := s.begin(ctx, tx, p, &r)
	if err != nil {
		return Ceremony{}, err
	}
	attestation := protocol.PreferNoAttestation
	if len(p.AllowedAAGUIDs) > 0 {
		attestation = protocol.PreferDirectAttestation // some browsers withhold the model otherwise
	}
	resident, mediation := protocol.ResidentKeyRequirementPreferred, protocol.MediationDefault
	if o.Conditional {
		resident, mediation = protocol.ResidentKeyRequirementRequired, protocol.MediationConditional
	}
	options, _, err := p.lib.BeginMediatedRegistration(libraryUser{User: u, handle: handle}, mediation,
		webauthn.WithCredentialParameters(webauthn.CredentialParametersRecommendedL3()),
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{UserVerification: verification(r.requireUV)}),
		webauthn.WithResidentKeyRequirement(resident),
		webauthn.WithConveyancePreference(attestation),
		webauthn.WithExclusions(descriptors(have)),
		webauthn.WithExtensions(webauthn.WithExtensionCredProps()),
		func(o *protocol.PublicKeyCredentialCreationOptions) error { o.Challenge = r.challenge; return nil },
	)
	if err != nil {
		return Ceremony{}, fmt.Errorf("passkey creation options: %w", err)
	}
	if c.Options, err = json.Marshal(options); err != nil {
		return Ceremony{}, fmt.Errorf("passkey creation options: %w", err)
	}
	return c, nil
}

func verification(required bool) protocol.UserVerificationRequirement {
	if required {
		return protocol.VerificationRequired
	}
	return protocol.VerificationPreferred
}

func descriptors(have []Passkey) []protocol.CredentialDescriptor {
	out := make([]protocol.CredentialDescriptor, len(have))
	for i, k := range have {
		out[i] = protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: k.CredentialID}
		for _, t := range k.Transports {
			out[i].Transport = append(out[i].Transport, protocol.AuthenticatorTransport(t))
		}
	}
	return out
}

// Registration is a new passkey that was verified and not stored yet. Add stores it.
type Registration struct {
	AccountID      uuid.UUID
	CredentialID   []byte
	AAGUID         uuid.UUID
	Transports     []string
	Attachment     string
	Discoverable   bool
	UserVerified   bool
	BackupEligible bool
	BackedUp       bool
	Conditional    bool

	ceremony    uuid.UUID
	publicKey   []byte
	attestation string
	signCount   uint32
}

// VerifyRegistration checks a browser's answer: RegistrationResponseJSON (WebAuthn L3 §5.1). It changes nothing. ErrRefused
// when it does not hold, ErrNotAllowed when the settings want other models.
func (s *Store) VerifyRegistration(ctx context.Context, accountID uuid.UUID, token string, response []byte) (Registration, error) {
	p, err := s.ready()
	if err != nil {
		return Registration{}, err
	}
	r, err := s.find(ctx, PurposeRegister, accountID, token)
	if err != nil {
		return Registration{}, err
	}
	handle, err := s.UserHandle(ctx, s.db, accountID)
	if err != nil {
		return Registration{}, err
	}
	return p.verifyRegistration(r, handle, response)
}

// verifyRegistration judges an answer by itself.
func (p *party) verifyRegistration(r row, handle, response []byte) (Registration, error) {
	answer, err := parseRegistration(response)
	if err != nil {
		return Registration{}, err
	}
	data := answer.Response.AttestationObject.AuthData
	if err := p.check(r, protocol.CreateCeremony, answer.Response.CollectedClientData, data); err != nil {
		return Registration{}, err
	}
	if err := checkKey(data.AttData.CredentialPublicKey); err != nil {
		return Registration{}, err
	}
	session := webauthn.SessionData{
		Challenge: encoding.EncodeToString(r.challenge), RelyingPartyID: p.RPID, UserID: handle, UserVerification: verification(r.requireUV),
		CredParams: webauthn.CredentialParametersRecommendedL3(),
	}
	if r.conditional {
		session.Mediation = protocol.MediationConditional // WebAuthn L3 §7.1 step 15: nobody need have been present
	}
	c, err := p.lib.CreateCredential(libraryUser{handle: handle}, session, answer)
	if err != nil {
		return Registration{}, refuseFor(ReasonAttestation, err)
	}
	reg := Registration{
		AccountID: r.accountID, CredentialID: c.ID, Transports: cleanTransports(c.Transport), Attachment: string(c.Authenticator.Attachment),
		UserVerified: data.Flags.UserVerified(), BackupEligible: c.Flags.BackupEligible, BackedUp: c.Flags.BackupState, Conditional: r.conditional,
		ceremony: r.id, publicKey: c.PublicKey, attestation: c.AttestationFormat, signCount: c.Authenticator.SignCount,
	}
	if reg.AAGUID, err = uuid.FromBytes(c.Authenticator.AAGUID); err != nil {
		return Registration{}, refuseFor(ReasonMalformed, err)
	}
	if len(p.AllowedAAGUIDs) > 0 && !slices.Contains(p.AllowedAAGUIDs, reg.AAGUID) {
		return Registration{}, ErrNotAllowed.Because(&refusal{reason: ReasonModel, credential: reg.CredentialID})
	}
	// Where the browser does not say, what is on a device or in a synced store can be found without a name, and a key
	// of the older sort can't.
	reg.Discoverable = reg.Attachment == string(protocol.Platform) || reg.BackupEligible
	if c.Extensions.RK != nil {
		reg.Discoverable = *c.Extensions.RK
	}
	return reg, nil
}

// Add spends the ceremony and stores the passkey, named by the authenticator when name is empty. ErrExists when any
// account has it already; a fault "passkey_limit" when the account has too many.
func (s *Store) Add(ctx context.Context, tx *store.Tx, reg Registration, name string) (Passkey, error) {
	if name != "" {
		var err error
		if name, err = cleanName(name); err != nil {
			return Passkey{}, err
		}
	}
	if err := s.spend(ctx, tx, reg.ceremony); err != nil {
		return Passkey{}, err
	}
	// The lock makes the count below true until the end of the transaction.
	n, err := tx.Exec(ctx, `UPDATE credential_passkey_user SET created_at = created_at WHERE account_id = $1`, reg.AccountID)
	if err != nil {
		return Passkey{}, fmt.Errorf("lock passkeys: %w", err)
	}
	if n == 0 { // erased meanwhile
		return Passkey{}, refuse(ReasonCeremonyUnknown)
	}
	have, err := s.List(ctx, tx, reg.AccountID)
	if err != nil {
		return Passkey{}, err
	}
	if most := s.party.Load().MaxPerAccount; len(have) >= most {
		return Passkey{}, errLimit(most, reg.CredentialID)
	}
	if name == "" {
		name = freeName(defaultName(reg), have)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Passkey{}, err
	}
	k, err := scan(tx.QueryRow(ctx, `INSERT INTO credential_passkey (`+columns+`, public_key, attestation)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, NULL, $14, $15)
		ON CONFLICT (credential_id) DO NOTHING RETURNING `+columns,
		id, reg.AccountID, reg.CredentialID, name, reg.AAGUID, joinTransports(reg.Transports), reg.Attachment, reg.Discoverable, reg.UserVerified,
		reg.BackupEligible, reg.BackedUp, int64(reg.signCount), s.now(), reg.publicKey, reg.attestation))
	if errors.Is(err, store.ErrNoRows) {
		return Passkey{}, ErrExists.Because(&refusal{reason: ReasonExists}) // WebAuthn L3 §7.1 step 26
	}
	if err != nil {
		return Passkey{}, fmt.Errorf("add passkey: %w", err)
	}
	return k, nil
}

// freeName puts a number behind a name that the account's passkeys have already.
func freeName(name string, have []Passkey) string {
	try := name
	for i := 2; slices.ContainsFunc(have, func(k Passkey) bool { return k.Name == try }); i++ {
		try = name + " " + strconv.Itoa(i)
	}
	return try
}
