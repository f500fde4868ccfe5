package passkey

import (
	"bytes"

	"github.com/google/uuid"
)

// Judge verifies answers to challenges of the test's own choosing, without a database: for vectors and fuzzing.
type Judge struct{ p *party }

// NewJudge makes a Judge of the settings.
func NewJudge(set Settings) (*Judge, error) {
	p := &party{Settings: set}
	return &Judge{p}, p.open()
}

// Registration judges an answer to a registration by the account with the handle.
func (j *Judge) Registration(challenge, handle, response []byte, conditional bool) (Registration, error) {
	return j.p.verifyRegistration(row{purpose: PurposeRegister, accountID: uuid.New(), challenge: challenge, requireUV: j.p.RequireUV && !conditional, conditional: conditional}, handle, response)
}

// Login judges an answer to a login. reg is the only passkey there is.
func (j *Judge) Login(challenge, handle, response []byte, reg Registration, discoverable bool) (Assertion, error) {
	r := row{purpose: PurposeLogin, challenge: challenge, requireUV: j.p.RequireUV}
	if !discoverable {
		r.accountID = reg.AccountID
	}
	return j.p.verifyLogin(r, response, func(id []byte) (credential, error) {
		if !bytes.Equal(id, reg.CredentialID) {
			return credential{}, ErrRefused.Because(&refusal{reason: ReasonCredentialUnknown, credential: id})
		}
		return credential{publicKey: reg.publicKey, handle: handle, Passkey: Passkey{
			AccountID: reg.AccountID, CredentialID: reg.CredentialID, AAGUID: reg.AAGUID, BackupEligible: reg.BackupEligible, VerificationTrusted: reg.UserVerified,
		}}, nil
	})
}

// Stored is a Registration for a credential whose public key is at hand.
func Stored(credentialID, publicKey []byte, backupEligible bool) Registration {
	return Registration{AccountID: uuid.New(), CredentialID: credentialID, publicKey: publicKey, BackupEligible: backupEligible, UserVerified: true}
}

// Models is the table of names.
func Models() map[uuid.UUID]string { return models() }
