package httpapi

import (
	"encoding/json"

	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/factor"
)

// Ceremony is what a browser needs to use or make a passkey.
type Ceremony struct {
	Ceremony string          `json:"ceremony" doc:"Names this ceremony. Send it with the credential; it is good once, for five minutes."`
	Options  json.RawMessage `json:"options" doc:"What navigator.credentials.get or create takes, as JSON: give publicKey to PublicKeyCredential.parseRequestOptionsFromJSON or parseCreationOptionsFromJSON (WebAuthn Level 3)."`
}

type ceremonyOutput struct{ Body Ceremony }

func ceremonyOf(c passkey.Ceremony, err error) (*ceremonyOutput, error) {
	if err != nil {
		return nil, err
	}
	return &ceremonyOutput{Body: Ceremony{Ceremony: c.Token, Options: c.Options}}, nil
}

// PasskeyAnswer is what a browser answers to a ceremony.
type PasskeyAnswer struct {
	Ceremony   string          `json:"ceremony,omitempty" maxLength:"512" doc:"Of the ceremony that was begun."`
	Credential json.RawMessage `json:"credential,omitempty" doc:"The PublicKeyCredential's toJSON() (WebAuthn Level 3)."`
}

// FactorShown is what is shown, in the body of a second factor and of a step-up.
type FactorShown struct {
	Code string `json:"code,omitempty" maxLength:"64" doc:"The code of the authenticator app, a recovery code, or the mailed code."`
	PasskeyAnswer
}

func (f FactorShown) factor(method string) factor.Proof {
	return factor.Proof{Method: method, Code: f.Code, Ceremony: f.Ceremony, Credential: f.Credential}
}

// TOTPEnrollment is the secret of an authenticator app that is being added.
type TOTPEnrollment struct {
	Secret string `json:"secret" doc:"For typing into the app. Secret."`
	URI    string `json:"uri" doc:"The otpauth:// address. Secret."`
	PNG    []byte `json:"png" doc:"The same as a QR code: a PNG in base64. Secret."`
}

type totpOutput struct{ Body TOTPEnrollment }

func totpOf(e totp.Enrollment, err error) (*totpOutput, error) {
	if err != nil {
		return nil, err
	}
	png, err := e.PNG()
	if err != nil {
		return nil, err
	}
	return &totpOutput{Body: TOTPEnrollment{Secret: e.Secret.Reveal(), URI: e.URI.Reveal(), PNG: png}}, nil
}
