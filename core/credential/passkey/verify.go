package passkey

import (
	"crypto/sha256"
	"crypto/subtle"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// maxResponse bounds a browser's answer. The largest honest ones carry a TPM's certificates and stay below 16 KiB.
const maxResponse = 64 << 10

func parseRegistration(response []byte) (*protocol.ParsedCredentialCreationData, error) {
	if len(response) > maxResponse {
		return nil, refuse(ReasonTooLarge)
	}
	answer, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return nil, refuseFor(ReasonMalformed, err)
	}
	return answer, nil
}

func parseLogin(response []byte) (*protocol.ParsedCredentialAssertionData, error) {
	if len(response) > maxResponse {
		return nil, refuse(ReasonTooLarge)
	}
	answer, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return nil, refuseFor(ReasonMalformed, err)
	}
	return answer, nil
}

// check does what both ceremonies have in common (WebAuthn L3 §7.1 steps 7 to 18, §7.2 steps 10 to 19), so that what fails has
// its name. The library does it all again.
func (p *party) check(r row, kind protocol.CeremonyType, client protocol.CollectedClientData, data protocol.AuthenticatorData) error {
	rpID := sha256.Sum256([]byte(p.RPID))
	switch {
	case client.Type != kind:
		return refuse(ReasonType)
	case subtle.ConstantTimeCompare([]byte(client.Challenge), []byte(encoding.EncodeToString(r.challenge))) != 1:
		return refuse(ReasonChallenge)
	case !slices.Contains(p.origins, client.Origin): // byte by byte; browsers write origins in one way only
		return refuse(ReasonOrigin)
	case client.CrossOrigin || client.TopOrigin != "": // no page of Sigra may be framed
		return refuse(ReasonCrossOrigin)
	case subtle.ConstantTimeCompare(data.RPIDHash, rpID[:]) != 1:
		return refuse(ReasonRPID)
	case !data.Flags.UserPresent() && !r.conditional:
		return refuse(ReasonUserPresence)
	case !data.Flags.UserVerified() && r.requireUV:
		return refuse(ReasonUserVerification)
	case data.Flags.HasBackupState() && !data.Flags.HasBackupEligible():
		return refuse(ReasonBackupFlags)
	}
	return nil
}

// The sizes of an RSA key, in bytes of its modulus: 2048 bits at least (ASVS 5.0 11.2.3), and few enough that a key made
// to be slow is not.
const (
	minModulus = 2048 / 8
	maxModulus = 4096 / 8
)

// checkKey refuses a public key that no signature could be verified with, that is weak, or that costs too much.
func checkKey(cose []byte) error {
	key, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return refuseFor(ReasonKey, err)
	}
	switch k := key.(type) {
	case webauthncose.EC2PublicKeyData:
		if k.Algorithm != int64(webauthncose.AlgES256) {
			return refuse(ReasonKey)
		}
	case webauthncose.OKPPublicKeyData:
		if k.Algorithm != int64(webauthncose.AlgEdDSA) {
			return refuse(ReasonKey)
		}
	case webauthncose.RSAPublicKeyData:
		if k.Algorithm != int64(webauthncose.AlgRS256) || len(k.Modulus) < minModulus || len(k.Modulus) > maxModulus || k.Modulus[0] == 0 || len(k.Exponent) > 4 {
			return refuse(ReasonKey)
		}
	default:
		return refuse(ReasonKey)
	}
	return nil
}
