package web

import (
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
)

// Sealer encrypts; core/keyring is one.
type Sealer interface {
	Seal(plain []byte, purpose string) []byte
	Open(sealed []byte, purpose string) (plain []byte, stale bool, err error)
}

// SignInRequest is what somebody who sends a browser to sign in wants of it.
type SignInRequest struct {
	ReturnTo      string        // a path of this Sigra, or an address below an allowed origin
	MaxAge        time.Duration // the proof may be this old; zero: any age
	RequiredAAL   string        // empty: any
	Fresh         bool          // prove it now
	LoginHint     string        // an address to fill in
	Languages     []string      // BCP 47, the preferred first
	SelectAccount bool          // offer to go on as somebody else
	ClientName    string        // of the application that the person signs in to
	CancelTo      string        // where a cancelled or impossible sign-in returns; like ReturnTo. "error" is added to its query
}

// What is added to CancelTo as "error".
const (
	Cancelled  = "cancelled"  // the person did not want to
	Impossible = "impossible" // the account can't show what is asked for
)

// errand is why a browser is at the sign-in, where more is known of that than where it goes on. It is sealed and stands in place of
// the address to return to, so that it goes along wherever that does, and says only what this Sigra was told: nobody else makes the
// pages name an application.
type errand struct {
	ReturnTo string `json:"r,omitempty"`
	Client   string `json:"n,omitempty"`
	CancelTo string `json:"c,omitempty"`
	Hint     string `json:"h,omitempty"`
}

const (
	errandMark    = "~" // no address begins with it
	errandPurpose = "web.errand"
	maxErrand     = 2900 // bytes of the whole: it is kept in a cookie, too
	maxClientName = 80   // characters that are shown
)

// seal makes the text that stands for an errand; ok is false for one that is too long.
func (t ReturnTo) sealErrand(e errand) (text string, ok bool) {
	b, err := json.Marshal(e)
	if err != nil || t.sealer == nil {
		return "", false
	}
	text = errandMark + base64.RawURLEncoding.EncodeToString(t.sealer.Seal(b, errandPurpose))
	return text, len(text) <= maxErrand
}

// errand reads one; the zero errand for whatever is none.
func (t ReturnTo) errand(text string) (e errand, ok bool) {
	sealed, marked := strings.CutPrefix(text, errandMark)
	if !marked || t.sealer == nil || len(text) > maxErrand {
		return errand{}, false
	}
	b, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return errand{}, false
	}
	plain, _, err := t.sealer.Open(b, errandPurpose)
	if err != nil || json.Unmarshal(plain, &e) != nil {
		return errand{}, false
	}
	return e, true
}

var (
	errReturnTo = fault.New(fault.Invalid, "return_to_not_allowed", "A sign-in returns to a path of this Sigra, or to an address that its operator allows.").At("return_to")
	errCancelTo = fault.New(fault.Invalid, "return_to_not_allowed", "A cancelled sign-in returns to a path of this Sigra, or to an address that its operator allows.").At("cancel_to")
	errErrand   = fault.New(fault.Invalid, "too_long", "Together the addresses, the name and the hint are too long.").At("return_to")
)

// signInFor is the address to send a browser to that has to sign in. It refuses addresses that may not be returned to.
func (p *renderer) signInFor(t ReturnTo, r SignInRequest) (string, error) {
	e := errand{Client: short(r.ClientName, maxClientName), Hint: short(r.LoginHint, 254)}
	var ok bool
	if r.ReturnTo != "" {
		if e.ReturnTo, ok = t.Safe(r.ReturnTo); !ok {
			return "", errReturnTo
		}
	}
	if r.CancelTo != "" {
		if e.CancelTo, ok = t.Safe(r.CancelTo); !ok {
			return "", errCancelTo
		}
	}
	to := e.ReturnTo
	if e != (errand{ReturnTo: to}) {
		if to, ok = t.sealErrand(e); !ok {
			return "", errErrand
		}
	}
	q := demandQuery(r.MaxAge, r.RequiredAAL, r.Fresh)
	if to != "" {
		q.Set("return_to", to)
	}
	if r.SelectAccount {
		q.Set("select", "1")
	}
	for _, tag := range r.Languages {
		if p.known(tag) {
			q.Set(languageParameter, tag)
			break
		}
	}
	if len(q) == 0 {
		return "/login", nil
	}
	return "/login?" + q.Encode(), nil
}

// short makes a text from outside one line of so many characters.
func short(s string, most int) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 { // what turns the direction of the text around it
			return ' '
		}
		return r
	}, s)), " ")
	if n := []rune(s); len(n) > most {
		return string(n[:most-1]) + "…"
	}
	return s
}

// errandView says on a page of the sign-in what it is for.
type errandView struct {
	Lead   string   // empty where no application is named
	Cancel *outward // back to whoever sent the browser; nil: nobody wants it back
}

// errandOn is what a page of the sign-in says of the errand; why is how going back is told.
func (t ReturnTo) errandOn(l *lang.Language, returnTo, why string) *errandView {
	e, ok := t.errand(returnTo)
	if !ok || e.Client == "" && e.CancelTo == "" {
		return nil
	}
	out := &errandView{}
	if e.Client != "" {
		out.Lead = l.Text("page.errand.lead", "client", e.Client)
	}
	if to, ok := t.cancelled(e, why); ok {
		out.Cancel = &outward{Title: l.Text("page.errand.cancel"), URL: template.URL(to)} //nolint:gosec // judged by cancelled
	}
	return out
}

// cancelled is where an errand goes that comes to nothing.
func (t ReturnTo) cancelled(e errand, why string) (string, bool) {
	to, ok := t.Safe(e.CancelTo)
	if !ok {
		return "", false
	}
	u, err := url.Parse(to)
	if err != nil {
		return "", false
	}
	q := u.Query()
	q.Set("error", why)
	u.RawQuery = q.Encode()
	return u.String(), true
}

// asOther is where somebody who is signed in signs in as somebody else.
func (t ReturnTo) asOther(returnTo string) string {
	q := url.Values{"switch": {"1"}}
	if to, ok := t.carried(returnTo); ok {
		q.Set("return_to", to)
	}
	return "/login?" + q.Encode()
}

// choosing is the page on which somebody who is signed in says as whom they go on.
type choosing struct {
	Who   string
	GoOn  Link
	Other Link
}

// choose asks somebody who is signed in whether to go on as themselves.
func (p *signIn) choose(w http.ResponseWriter, r *http.Request, who principal.Principal, returnTo string, d demand) {
	v := p.view(r, "page.choose.title")
	l := v.L.Language
	q := demandQuery(d.maxAge, d.aal, d.fresh)
	if to, ok := p.carried(returnTo); ok {
		q.Set("return_to", to)
	}
	v.Errand = p.errandOn(l, returnTo, Cancelled)
	v.Body = choosing{
		Who: who.Email, GoOn: Link{Title: l.Text("page.choose.go_on", "email", who.Email), Path: "/login?" + q.Encode()},
		Other: Link{Title: l.Text("page.choose.other"), Path: p.asOther(returnTo)},
	}
	p.render(w, r, http.StatusOK, "choose-account", v)
}
