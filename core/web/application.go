package web

import (
	"html/template"
	"net/http"
	"net/url"

	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/lang"
)

// outward is a link to an address that ReturnTo lets through. It may have the scheme of an application.
type outward struct {
	Title string
	URL   template.URL
}

// fromApplication remembers, while the browser is open, the application that somebody came from: where a sign-in went on to, or the return_to of
// a page of the account. root remembers its front page in place of the address itself, which may be good once.
func (t ReturnTo) fromApplication(w http.ResponseWriter, address string, root bool) {
	to, ok := t.elsewhere(address)
	if !ok {
		return
	}
	if u, err := url.Parse(to); err == nil && root {
		to = u.Scheme + "://" + u.Host
		if paged(u.Scheme) {
			to += "/"
		}
	}
	cookie.SetApplication(w, to)
}

// application is the way back to the application that somebody came from; nil when none is known. What the cookie says is judged anew.
func (t ReturnTo) application(l *lang.Language, r *http.Request) *outward {
	to := cookie.ApplicationAddress(r)
	if asked, ok := t.elsewhere(r.URL.Query().Get("return_to")); ok {
		to = asked
	}
	to, ok := t.elsewhere(to)
	if !ok {
		return nil
	}
	u, err := url.Parse(to)
	if err != nil {
		return nil
	}
	name := u.Host
	if !paged(u.Scheme) {
		name = u.Scheme
	}
	return &outward{Title: l.Text("page.layout.back_to", "application", name), URL: template.URL(to)} //nolint:gosec // judged above
}
