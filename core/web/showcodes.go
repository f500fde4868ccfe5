package web

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/sigra-auth/sigra/core/principal"
)

// newCodes are codes that are shown this once.
type newCodes struct {
	Codes     []string
	For, Made string       // what a sheet of paper has to say by itself
	File      template.URL // the same as a text
	Next      string       // where to go on
}

// showCodes answers a form with new codes: nowhere else are they in clear, so there is no address to see them at again.
// notice is a key, or empty; next is where to go on.
func (p *arrivals) showCodes(w http.ResponseWriter, r *http.Request, who principal.Principal, codes []string, notice, next string) {
	v := p.ownView(r, who, "page.account.codes.shown.title")
	l := v.L.Language
	if notice != "" {
		v.Notice = l.Text(notice)
	}
	v.Here = "" // a change of language would lose them
	body := newCodes{
		Codes: codes, For: l.Text("page.account.codes.shown.for", "email", who.Email, "service", p.set.ServiceName),
		Made: l.Text("page.account.codes.shown.date", "date", l.Day(p.now())), Next: next,
	}
	text := body.For + "\r\n" + body.Made + "\r\n\r\n" + strings.Join(codes, "\r\n") + "\r\n"
	body.File = template.URL("data:text/plain;charset=utf-8," + url.PathEscape(text)) //nolint:gosec // made here, and escaped
	v.Body = body
	p.render(w, r, http.StatusOK, "recovery-codes-shown", v)
}
