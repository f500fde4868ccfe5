package web

import (
	"math"
	"net/http"
	"strings"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/ratelimit/captcha"
)

// work is a proof of work that the browser does before the form is sent, see assets/pow.js.
type work struct {
	Puzzle              string
	Difficulty, Wait    int    // Wait: seconds
	Working, Done, Else string // Else: for who runs no scripts
}

// widget is a captcha provider's.
type widget struct {
	captcha.Provider
	Key  string
	Else string // for who runs no scripts
}

// demand puts on a form what an attempt must bring, after too many that failed.
func (p *renderer) demand(l *lang.Language, v *view, f *form, d *ratelimit.Demand) {
	c, otherwise := d.Challenge, inWords(l, d.Unproved)
	if c.Kind == ratelimit.Captcha {
		if provider, ok := captcha.Find(c.Provider); ok {
			f.Captcha = &widget{provider, c.SiteKey, otherwise}
			f.Hidden = append(f.Hidden, hidden{"captcha", provider.Name})
			v.Captcha = f.Captcha
		}
		return
	}
	f.Work = &work{
		Puzzle: c.Puzzle, Difficulty: c.Difficulty, Wait: int(math.Ceil(fault.From(d).RetryAfter.Seconds())),
		Working: l.Text("page.proof.working"), Done: l.Text("page.proof.done"), Else: otherwise,
	}
	v.Scripts = append(v.Scripts, "pow.js")
}

// proof is what a form brought of what was demanded.
func proof(r *http.Request) ratelimit.Proof {
	if provider, ok := captcha.Find(r.PostForm.Get("captcha")); ok {
		return ratelimit.Proof{Solution: r.PostForm.Get(provider.Field)}
	}
	return ratelimit.Proof{Challenge: r.PostForm.Get("pow_challenge"), Solution: r.PostForm.Get("pow_solution")}
}

// allow adds to a page's policy what a captcha provider's widget needs. It is the only thing on any page that comes from elsewhere.
func (w *widget) allow(policy string) string {
	for _, directive := range []string{"script-src", "frame-src", "style-src", "connect-src"} {
		sources := w.Sources[directive]
		switch at := strings.Index(policy, directive+" "); {
		case sources == "":
		case at < 0:
			policy += "; " + directive + " " + sources
		default:
			policy = policy[:at] + directive + " " + sources + policy[at+len(directive):]
		}
	}
	return policy
}
