package sigra

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Demand is what a page wants of a session beyond that there is one. The zero Demand wants nothing.
type Demand struct {
	AAL    string        // "aal2": with two factors
	MaxAge time.Duration // since the person last proved who they are; zero: any
}

func (d Demand) met(s *Session, now time.Time) bool {
	return (d.AAL == "" || d.AAL == "aal1" || d.AAL == s.AAL) && (d.MaxAge == 0 || now.Sub(s.AuthTime) <= d.MaxAge)
}

// Require passes on the requests of people who are signed in; From says who. Of others it sends those that open a page to sign in, from where they come back,
// and answers the rest with 401. Where Sigra can't be asked it answers 503.
func (c *Client) Require(next http.Handler) http.Handler { return c.RequireProof(Demand{}, next) }

// RequireProof is Require for pages that want more than a session. Who has one that is not enough is sent to prove more, or gets 403.
func (c *Client) RequireProof(d Demand, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := c.Check(r)
		switch {
		case errors.Is(err, ErrNobody):
			c.send(w, r, d, http.StatusUnauthorized)
		case err != nil:
			unavailable(w)
		case !d.met(who, c.now()):
			c.send(w, r, d, http.StatusForbidden)
		default:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, who)))
		}
	})
}

// Allow passes every request on; From says who is signed in, if somebody is.
func (c *Client) Allow(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := c.Check(r)
		switch {
		case err == nil:
			r = r.WithContext(context.WithValue(r.Context(), contextKey{}, who))
		case !errors.Is(err, ErrNobody):
			unavailable(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func unavailable(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "2")
	http.Error(w, "Sign-in is not available just now. Try again in a moment.", http.StatusServiceUnavailable)
}

// send sends who opens a page to sign in, and answers others with a status.
func (c *Client) send(w http.ResponseWriter, r *http.Request, d Demand, status int) {
	w.Header().Set("Cache-Control", "no-store")
	page := (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(r.Header.Get("Accept"), "text/html")
	if mode := r.Header.Get("Sec-Fetch-Mode"); !page || mode != "" && mode != "navigate" {
		http.Error(w, http.StatusText(status), status)
		return
	}
	http.Redirect(w, r, c.SignInURL(addressOf(r), d), http.StatusFound)
}

// addressOf is the address of a request as the browser has it. A proxy in front is believed about the scheme alone, which decides nothing: Sigra goes back to
// listed addresses only.
func addressOf(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + r.Host + r.URL.RequestURI()
}

// SignInURL is where to send a browser to sign in, or to prove more. returnTo is where it comes back to; Sigra's sign_in.return_to must list it.
func (c *Client) SignInURL(returnTo string, d Demand) string {
	q := url.Values{}
	if returnTo != "" {
		q.Set("return_to", returnTo)
	}
	if d.AAL != "" && d.AAL != "aal1" {
		q.Set("aal", d.AAL)
	}
	if d.MaxAge > 0 {
		q.Set("max_age", strconv.Itoa(max(int(d.MaxAge/time.Second), 1)))
	}
	return c.page("/login", q)
}

// SignOutURL is where to send a browser to sign out. The person confirms it there, and goes on to returnTo.
func (c *Client) SignOutURL(returnTo string) string {
	q := url.Values{}
	if returnTo != "" {
		q.Set("return_to", returnTo)
	}
	return c.page("/logout", q)
}

func (c *Client) page(path string, q url.Values) string {
	if len(q) == 0 {
		return c.url + path
	}
	return c.url + path + "?" + q.Encode()
}
