package passkey

import (
	"context"
	"errors"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/sigra-auth/sigra/core/store"
)

// Signals are what a page tells the person's password managers by the WebAuthn Signal API (L3 §5.1.10), so that they drop
// what was deleted here and show the name of today. As JSON it is what assets/passkey.js takes.
type Signals struct {
	Accepted *protocol.SignalAllAcceptedCredentials `json:"allAcceptedCredentials,omitempty"`
	Details  *protocol.SignalCurrentUserDetails     `json:"currentUserDetails,omitempty"`
	Unknown  *protocol.SignalUnknownCredential      `json:"unknownCredential,omitempty"`
}

// Accepted gives the signals about an account's passkeys and its name, for pages of the signed-in person only. Without
// a user handle there is nothing to say, and the result is zero.
func (s *Store) Accepted(ctx context.Context, q store.Querier, u User) (Signals, error) {
	p := s.party.Load()
	handle, err := s.UserHandle(ctx, q, u.ID)
	if handle == nil || p.lib == nil || err != nil {
		return Signals{}, err
	}
	have, err := s.List(ctx, q, u.ID)
	if err != nil {
		return Signals{}, err
	}
	accepted := &protocol.SignalAllAcceptedCredentials{RPID: p.RPID, UserID: handle, AllAcceptedCredentialIDs: []protocol.URLEncodedBase64{}}
	for _, k := range have {
		accepted.AllAcceptedCredentialIDs = append(accepted.AllAcceptedCredentialIDs, k.CredentialID)
	}
	return Signals{Accepted: accepted, Details: protocol.NewSignalCurrentUserDetails(p.RPID, libraryUser{User: u, handle: handle})}, nil
}

// UnknownCredential gives the signal that belongs to a refusal: somebody signed in with a passkey that is not known here (any more),
// or made one that was not taken in. The device may then drop it. Who makes an id up learns that nobody has it.
func (s *Store) UnknownCredential(err error) (Signals, bool) {
	var r *refusal
	p := s.party.Load()
	if p.lib == nil || !errors.As(err, &r) || len(r.credential) == 0 {
		return Signals{}, false
	}
	return Signals{Unknown: &protocol.SignalUnknownCredential{RPID: p.RPID, CredentialID: r.credential}}, true
}
