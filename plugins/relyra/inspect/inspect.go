package inspect

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/plugins/relyra/saml"
)

// Kind is what a message is taken for.
type Kind string

// The kinds.
const (
	Response         Kind = "response"
	ResponseForm     Kind = "response-b64"
	ResponseRedirect Kind = "redirect-query"
	LogoutRedirect   Kind = "logout-redirect"
	LogoutPost       Kind = "logout-post"
	Metadata         Kind = "metadata"
)

// Verdict is what the service would say.
type Verdict struct {
	Input    string    `json:"input,omitempty"`
	Kind     Kind      `json:"kind"`
	Verdict  string    `json:"verdict"` // accept or reject
	Gate     saml.Gate `json:"gate,omitempty"`
	Detail   string    `json:"detail,omitempty"`
	Expected string    `json:"expected,omitempty"`
	Received string    `json:"received,omitempty"`
	Identity *Identity `json:"identity,omitempty"`
	Signed   []Signed  `json:"signed,omitempty"`
}

// Identity is whom a message is about.
type Identity struct {
	saml.NameID
	Issuer       string           `json:"issuer"`
	SessionIndex []string         `json:"session_index,omitempty"`
	Attributes   []saml.Attribute `json:"attributes,omitempty"`
}

// Signed is one signature that was verified.
type Signed struct {
	Element     string `json:"element"`
	Algorithm   string `json:"algorithm"`
	Certificate string `json:"certificate"` // SHA-256
}

var (
	root  = regexp.MustCompile(`^\s*(?:<\?xml[^>]*\?>\s*)?<(?:[^\s:<>/]+:)?([^\s:<>/]+)`)
	query = regexp.MustCompile(`^[?]?([A-Za-z]+=[^&]*&)*SAML(Request|Response)=`)
)

// KindOf guesses what a message is from how it looks. A form's value is taken for a response.
func KindOf(message []byte) Kind {
	if m := root.FindSubmatch(bytes.TrimPrefix(message, []byte("\xef\xbb\xbf"))); m != nil {
		switch string(m[1]) {
		case "LogoutRequest", "LogoutResponse":
			return LogoutPost
		case "EntityDescriptor", "EntitiesDescriptor":
			return Metadata
		}
		return Response
	}
	if query.Match(message) {
		if saml.LooksLikeLogout(string(bytes.TrimSpace(message))) {
			return LogoutRedirect
		}
		return ResponseRedirect
	}
	if bytes.ContainsAny(message[:min(len(message), 64)], "<\x00") {
		return Response
	}
	return ResponseForm
}

// Judge says what becomes of a message at a time. The error is about the connection's file, never about the message.
func (f *File) Judge(now time.Time, kind Kind, message []byte) (*Verdict, error) {
	c, err := f.connection()
	if err != nil {
		return nil, err
	}
	v := &Verdict{Kind: kind, Verdict: "accept"}
	switch kind {
	case Response:
		err = f.response(c, now, base64.StdEncoding.EncodeToString(message), v)
	case ResponseForm:
		err = f.response(c, now, string(message), v)
	case ResponseRedirect:
		err = saml.RefuseRedirectResponse()
	case LogoutRedirect:
		var l *saml.Logout
		if l, err = c.VerifyLogoutRedirect(now, strings.TrimPrefix(strings.TrimSpace(string(message)), "?"), f.openLogout); err == nil {
			err = f.logout(l, v)
		}
	case LogoutPost:
		var l *saml.Logout
		parameter := "SAMLRequest"
		if m := root.FindSubmatch(message); m != nil && string(m[1]) == "LogoutResponse" {
			parameter = "SAMLResponse"
		}
		if l, err = c.VerifyLogoutPost(now, parameter, base64.StdEncoding.EncodeToString(message), "", f.openLogout); err == nil {
			err = f.logout(l, v)
		}
	case Metadata:
		var trust saml.Trust
		if trust, err = f.trust(); err != nil {
			return nil, err
		}
		err = f.metadata(c, now, trust, message, v)
	}
	if r, ok := saml.AsRefusal(err); ok {
		v.Verdict, v.Gate, v.Detail, v.Expected, v.Received = "reject", r.Gate, r.Detail, r.Expected, r.Received
		return v, nil
	}
	return v, err
}

func (f *File) response(c *saml.Connection, now time.Time, form string, v *Verdict) error {
	a, err := c.VerifyResponse(now, form, func(id string) saml.RequestState {
		switch {
		case !slices.Contains(f.Connection.OpenRequests, id):
			return saml.RequestUnknown
		case f.Connection.RequestBrowser == "other":
			return saml.RequestOtherBrowser
		}
		return saml.RequestOpen
	})
	if err != nil {
		return err
	}
	v.Identity = &Identity{NameID: a.NameID, Issuer: a.Issuer, Attributes: a.Attributes}
	if a.SessionIndex != "" {
		v.Identity.SessionIndex = []string{a.SessionIndex}
	}
	v.sign(a.Signed...)
	return nil
}

func (f *File) openLogout(id string) bool { return slices.Contains(f.Connection.OpenLogouts, id) }

func (f *File) logout(l *saml.Logout, v *Verdict) error {
	v.sign(l.Signed)
	if l.InResponseTo != "" {
		return nil
	}
	v.Identity = &Identity{NameID: l.NameID, Issuer: f.IdP.EntityID, SessionIndex: l.SessionIndexes}
	if s := f.Connection.Session; s != nil && (l.NameID.Value != s.NameID || len(l.SessionIndexes) > 0 && !slices.Contains(l.SessionIndexes, s.SessionIndex)) {
		return &saml.Refusal{Gate: saml.GateSessionUnknown, Detail: "no session of this connection is meant; the request is answered, and nothing ends"}
	}
	return nil
}

func (f *File) trust() (saml.Trust, error) {
	var trust saml.Trust
	if f.Connection.RequireSignedMetadata {
		cert, err := f.certificate(f.Connection.Pinned)
		if err != nil {
			return trust, err
		}
		trust.Pins = []string{saml.Fingerprint(cert)}
	}
	return trust, nil
}

func (f *File) metadata(c *saml.Connection, now time.Time, trust saml.Trust, message []byte, v *Verdict) error {
	m, err := saml.ReadMetadata(now, message, trust)
	if err != nil {
		return err
	}
	v.Identity = &Identity{Issuer: m.EntityID}
	if f.Connection.Refresh {
		return saml.Drift(saml.Compare(c.IdentityProvider, m.IdentityProvider))
	}
	return nil
}

func (v *Verdict) sign(signed ...saml.Signed) {
	for _, s := range signed {
		v.Signed = append(v.Signed, Signed{Element: s.Element, Algorithm: s.Algorithm, Certificate: saml.Fingerprint(s.Certificate)})
	}
}

// Write says the verdict in words.
func (v *Verdict) Write(w io.Writer) error {
	if v.Verdict != "accept" {
		r := saml.Refusal{Gate: v.Gate, Detail: v.Detail, Expected: v.Expected, Received: v.Received}
		_, err := fmt.Fprintf(w, "%s: refused as %s: %s\n", v.Input, v.Kind, r.Error())
		return err
	}
	who := "nobody"
	if v.Identity != nil {
		who = strings.TrimSpace(v.Identity.Value + " of " + v.Identity.Issuer)
	}
	_, err := fmt.Fprintf(w, "%s: accepted as %s: %s\n", v.Input, v.Kind, who)
	return err
}
