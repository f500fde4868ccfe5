package web

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/principal"
)

// onward is where to go after signing in: what return_to asks for, if it may, or the account.
func (t ReturnTo) onward(returnTo string) string {
	if to, ok := t.Safe(returnTo); ok {
		return to
	}
	return "/account"
}

// carried is what goes along from page to page: an errand as it is, or a safe address.
func (t ReturnTo) carried(returnTo string) (string, bool) {
	if _, ok := t.errand(returnTo); ok {
		return returnTo, true
	}
	return t.Safe(returnTo)
}

// carry puts a safe return_to on an address of the sign-in family.
func (t ReturnTo) carry(path, returnTo string) string {
	if to, ok := t.carried(returnTo); ok {
		return path + "?" + url.Values{"return_to": {to}}.Encode()
	}
	return path
}

// returnField carries it through a form.
func (t ReturnTo) returnField(returnTo string) []hidden {
	if to, ok := t.carried(returnTo); ok {
		return []hidden{{"return_to", to}}
	}
	return nil
}

// remember keeps where somebody was going while they look for a mail: the link in it leads to another page of this browser.
func (t ReturnTo) remember(w http.ResponseWriter, returnTo string) {
	if to, ok := t.carried(returnTo); ok {
		cookie.Return.Set(w, base64.RawURLEncoding.EncodeToString([]byte(to)))
	}
}

// remembered is where the person was going, or "". It is judged again where it is used.
func remembered(r *http.Request) string {
	to, err := base64.RawURLEncoding.DecodeString(cookie.Return.Token(r))
	if err != nil {
		return ""
	}
	return string(to)
}

// SignIn is the address to send a browser to that has to sign in, or to prove itself anew: at most maxAge ago, with
// requiredAAL, or right now. returnTo is judged here and once more when it is used.
func (t ReturnTo) SignIn(returnTo string, maxAge time.Duration, requiredAAL string, fresh bool) string {
	q := demandQuery(maxAge, requiredAAL, fresh)
	if to, ok := t.carried(returnTo); ok {
		q.Set("return_to", to)
	}
	if len(q) == 0 {
		return "/login"
	}
	return "/login?" + q.Encode()
}

// demandQuery is what demandOf reads.
func demandQuery(maxAge time.Duration, requiredAAL string, fresh bool) url.Values {
	q := url.Values{}
	if maxAge > 0 {
		q.Set("max_age", strconv.Itoa(max(int(maxAge/time.Second), 1)))
	}
	if requiredAAL != "" && requiredAAL != principal.AAL1 {
		q.Set("aal", requiredAAL)
	}
	if fresh {
		q.Set("fresh", "1")
	}
	return q
}

// stepUpPath is where they do. aal is what it must lead to; empty: any.
func (t ReturnTo) stepUpPath(returnTo, aal string) string {
	q := url.Values{}
	if to, ok := t.carried(returnTo); ok {
		q.Set("return_to", to)
	}
	if aal != "" {
		q.Set("aal", aal)
	}
	if len(q) == 0 {
		return "/step-up"
	}
	return "/step-up?" + q.Encode()
}

// onwardAfter is onward, with a word on the account page for who was going nowhere else.
func (t ReturnTo) onwardAfter(notice, returnTo string) string {
	if to := t.onward(returnTo); to != "/account" {
		return to
	}
	return "/account?notice=" + notice
}
