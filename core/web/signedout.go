package web

import (
	"context"
	"html/template"
	"net/http"
	"net/url"
	"slices"

	"github.com/sigra-auth/sigra/core/principal"
)

// SignedOuts follows a sign-out elsewhere: what plugins began for the session at other services ends with it.
type SignedOuts interface {
	// SignedOut is told once the session has ended. next is where the browser goes after it has been elsewhere, or returnTo; frames are addresses to
	// show in hidden frames before that.
	SignedOut(ctx context.Context, who principal.Principal, returnTo string) (frames []string, next string)
}

// goneOn is the page from which the browser goes on to where else it signs out.
type goneOn struct {
	Frames []string
	Next   template.URL // judged by whoever follows the sign-out
}

// framesTime is how many seconds the frames have to load.
const framesTime = "4"

// leave goes on after somebody signed out.
func (p *signIn) leave(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	back := "/login?notice=signed-out"
	if to, ok := p.elsewhere(r.PostForm.Get("return_to")); ok {
		back = to
	}
	if p.after == nil || !who.SignedIn() {
		see(w, back)
		return
	}
	frames, next := p.after.SignedOut(r.Context(), who, p.absolute(back))
	if len(frames) == 0 && next == "" {
		see(w, back)
		return
	}
	if next == "" {
		next = back
	}
	// A page in between, and not a redirect: browsers hold the form-action of the page with the button against every address that follows.
	v := p.view(r, "page.logout.done_title")
	v.Here = ""
	v.Body = goneOn{frames, template.URL(next)} //nolint:gosec // see goneOn
	wait := "0"
	if len(frames) > 0 {
		wait = framesTime
	}
	v.Refresh, v.FramesOf = wait+"; url="+next, origins(frames)
	p.render(w, r, http.StatusOK, "signed-out", v)
}

// origins are those of addresses, for a policy.
func origins(addresses []string) []string {
	var out []string
	for _, a := range addresses {
		o := originOf(a)
		if u, err := url.Parse(a); err == nil && u.Host == "" {
			o = "'self'"
		}
		if o != "" && !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	return out
}
