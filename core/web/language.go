package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/request"
)

// languageParameter asks for a language in an address: an application that knows it sends people to /login?lang=de.
const languageParameter = "lang"

// maxLanguage bounds what is taken for the name of a language.
const maxLanguage = 35 // RFC 5646 §4.4.1

// Language finds the language to answer somebody in: the one that the address asks for, else the one chosen in this
// browser, else the one that the browser prefers. The server's edge asks it once per request.
func (p *renderer) Language(r *http.Request) string {
	if p.asksForLanguage(r) {
		return p.skin.Load().texts.Match("", r.URL.Query().Get(languageParameter)).String()
	}
	accept, chosen := r.Header.Get("Accept-Language"), cookie.LanguageTag(r)
	if accept == "" && chosen == "" {
		return p.skin.Load().texts.Default().Code()
	}
	return p.skin.Load().texts.Match(accept, chosen).String()
}

// asksForLanguage reports whether the address names a language that there is.
func (p *renderer) asksForLanguage(r *http.Request) bool {
	return strings.Contains(r.URL.RawQuery, languageParameter+"=") && p.known(r.URL.Query().Get(languageParameter))
}

// known reports whether there are texts in a language, or in one that suits it.
func (p *renderer) known(tag string) bool {
	if tag == "" || len(tag) > maxLanguage {
		return false
	}
	found := p.skin.Load().texts.Match("", tag).String()
	primary := func(s string) string { s, _, _ = strings.Cut(s, "-"); return strings.ToLower(s) }
	return primary(found) == primary(tag)
}

// in gives the texts to answer a request with.
func (p *renderer) in(r *http.Request) *lang.Language {
	return p.texted(request.From(r.Context()).Language)
}

func (p *renderer) texted(tag string) *lang.Language {
	if l, ok := p.skin.Load().languages[tag]; ok {
		return l
	}
	return p.skin.Load().texts.For(p.skin.Load().texts.Match("", tag))
}

// choice is one language of the choice at the foot of a page.
type choice struct {
	Code, Name, Direction string
	Current               bool
}

func (p *renderer) choices(current *lang.Language) []choice {
	all := p.skin.Load().texts.All()
	if len(all) < 2 {
		return nil
	}
	out := make([]choice, len(all))
	for i, l := range all {
		out[i] = choice{l.Code(), l.Name(), l.Direction(), l == current}
	}
	return out
}

// withoutLanguage takes the language out of an address, which would go before the choice.
func withoutLanguage(address string) string {
	u, err := url.Parse(address)
	if err != nil || !u.Query().Has(languageParameter) {
		return address
	}
	q := u.Query()
	q.Del(languageParameter)
	u.RawQuery = q.Encode()
	return u.String()
}

// say is what a person is told of a fault: in their language where its code has a text, else its own message.
func (p *renderer) say(l *lang.Language, f *fault.Error) string {
	key := "fault." + f.Code
	if key == "fault.invalid_credentials" && p.usernames() {
		key = "fault.invalid_name_or_password"
	}
	if !l.Has(key) || f.Kind == fault.Denied && f.Code == "denied" && f.Message != fault.From(gate.Denied(gate.Answer{})).Message {
		return f.Message // a gate's own words
	}
	return l.Text(key, "service", p.set.ServiceName, "min", p.set.PasswordMinLength)
}
