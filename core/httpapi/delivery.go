package httpapi

import (
	"net/http"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/session"
)

// Delivery is how a client wants a new session's token.
type Delivery string

const (
	byCookie Delivery = "cookie"
	byBody   Delivery = "body"
)

// SignedIn is the answer to every way of signing in: a session, or the question for a second factor.
type SignedIn struct {
	Session       *SessionInfo       `json:"session,omitempty" doc:"The new session. Absent while a second factor is asked for."`
	Token         string             `json:"token,omitempty" doc:"The session token, only where the request asked for it with \"token_delivery\": \"body\". It is shown once and is as good as a password."`
	Device        string             `json:"device,omitempty" doc:"With the token in the body: send it with the next sign-in from here, so that this client is known. It lets nobody in."`
	SecondFactor  *SecondFactorAsked `json:"second_factor,omitempty" doc:"With status 202: what is still to be shown, to POST /v1/login/second-factor. There is no session yet."`
	UsernameTaken bool               `json:"username_taken,omitempty" doc:"Of a confirmation: somebody else has the username by now that was chosen at sign-up. The account has none; choose another one."`
	RecoveryCodes []string           `json:"recovery_codes,omitempty" doc:"Where this sign-in added the account's first second factor: its recovery codes, shown this once."`
}

// SecondFactorAsked is a sign-in between its first and its second factor.
type SecondFactorAsked struct {
	Flow      string    `json:"flow" doc:"Names this sign-in. Keep it secret."`
	Methods   []string  `json:"methods" doc:"What can be shown: totp, passkey, recovery_code."`
	Enroll    bool      `json:"enroll,omitempty" doc:"The account has no second factor and must add one of these now."`
	ExpiresAt time.Time `json:"expires_at" doc:"Until when."`
}

type signedInOutput struct {
	Status int
	Body   SignedIn
}

// Handover is how a client wants a session's token, in the body of every way to sign in.
type Handover struct {
	TokenDelivery Delivery `json:"token_delivery,omitempty" enum:"cookie,body" default:"cookie" doc:"How to hand over the session's token: as the __Host-sigra_session cookie, or in the answer for use as a bearer token."`
	Device        string   `json:"device,omitempty" maxLength:"512" doc:"What an earlier sign-in from this client answered as device. Browsers send a cookie instead."`
}

// device is what tells this client from others.
func (h Handover) device(r *http.Request) string {
	if h.Device != "" {
		return h.Device
	}
	return cookie.DeviceToken(r)
}

// Requested is the answer to everybody who asks for a mail, whoever the address is.
type Requested struct {
	Flow   string `json:"flow" doc:"Names this request. Send it with the mailed code. An address without an account gets one too."`
	Number string `json:"number,omitempty" doc:"Of a magic link: two digits to show, for who opens the link on another device." example:"42"`
}

type requestedOutput struct{ Body Requested }

func requested(r auth.Requested, err error) (*requestedOutput, error) {
	if err != nil {
		return nil, err
	}
	return &requestedOutput{Body: Requested{Flow: r.Flow, Number: r.Number}}, nil
}

// deliver hands a new session over in exactly one way: a token in a body is one that a script can read, so it is
// there only for those who asked, and they get no cookie (ASVS 5.0 3.3.4). Where a second factor is asked for there is
// no session, and the answer says so with its status, too.
func deliver(who asker, in auth.SignedIn, how Delivery) *signedInOutput {
	if p := in.Pending; p != nil {
		return &signedInOutput{Status: http.StatusAccepted, Body: SignedIn{
			SecondFactor: &SecondFactorAsked{Flow: p.Flow, Methods: p.Methods, Enroll: p.Enroll, ExpiresAt: p.ExpiresAt},
		}}
	}
	info := infoOf(in.Principal)
	out := &signedInOutput{Status: http.StatusOK, Body: SignedIn{Session: &info, RecoveryCodes: in.Codes, UsernameTaken: in.UsernameTaken}}
	if how == byBody {
		out.Body.Token, out.Body.Device = in.Token, in.Device
		return out
	}
	var expires time.Time
	if in.Persistent {
		expires = in.Principal.ExpiresAt
	}
	who.cookie.Set(who.w, in.Token, expires)
	if in.Device != "" {
		cookie.SetDevice(who.w, in.Device)
	}
	return out
}

// renew is deliver for a session that goes on with a new token: without a word, it comes the way the old one did.
func renew(who asker, in session.Issued, codes []string, how Delivery) *signedInOutput {
	if how == "" && isBearer(who.r) {
		how = byBody
	}
	return deliver(who, auth.SignedIn{Token: in.Token, Principal: in.Principal, Persistent: in.Persistent, Codes: codes}, how)
}

// isBearer tells how a request's token came.
func isBearer(r *http.Request) bool { return len(r.Header["Authorization"]) > 0 }
