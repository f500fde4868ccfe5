package config

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// The bounds of what is kept of an account's failures.
const (
	maxAfter = 100
	maxHard  = 1000
)

func readAbuse(b *block, a *Abuse) {
	b.rateUpTo("hard_lockout", &a.HardLockout, maxHard)
	b.nested("backoff", func(b *block) {
		b.rateUpTo("after", &a.Backoff.After, maxAfter)
		b.duration("first", &a.Backoff.First, 100*time.Millisecond, time.Hour, "")
		b.duration("longest", &a.Backoff.Longest, 100*time.Millisecond, time.Hour, "")
	})
	b.nested("proof_of_work", func(b *block) {
		b.number("difficulty", &a.ProofOfWork.Difficulty, 10, 28, "for none")
		b.number("max_difficulty", &a.ProofOfWork.MaxDifficulty, 10, 28, "")
		b.duration("ttl", &a.ProofOfWork.TTL, time.Minute, time.Hour, "")
	})
	b.nested("captcha", func(b *block) {
		b.choice("provider", &a.Captcha.Provider, "turnstile", "hcaptcha")
		b.text("site_key", &a.Captcha.SiteKey, "0x4AAAAAAA", captchaKey)
		b.secret("secret", &a.Captcha.Secret, func(s string) *problem { _, p := captchaKey(s); return p })
		b.text("url", &a.Captcha.URL, "https://captcha.internal/siteverify", verifyURL)
		b.text("hostname", &a.Captcha.Hostname, "id.example.com", func(s string) (string, *problem) {
			if !validHost(s) {
				return "", &problem{is: "is no name of a host", want: "The host of base_url, such as \"id.example.com\"."}
			}
			return strings.ToLower(s), nil
		})
		b.boolean("send_ip", &a.Captcha.SendIP)
		b.duration("timeout", &a.Captcha.Timeout, 100*time.Millisecond, 30*time.Second, "")
	})
}

// rateUpTo reads a rate of which each single one is kept.
func (b *block) rateUpTo(name string, dst *Rate, most int) {
	b.measure(name, "rate", rateWant, func(s string) *problem {
		r, p := parseRate(s)
		switch {
		case p != nil:
			return p
		case r.Count > most:
			return &problem{is: fmt.Sprintf("must be at most %d in any time", most), want: "Each failure is kept as long as it counts."}
		}
		*dst = r
		return nil
	})
}

func captchaKey(s string) (string, *problem) {
	if s == "" || len(s) > 256 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", &problem{is: "is no key", want: "Copy it from the provider's dashboard: up to 256 characters without white space."}
	}
	return s, nil
}

// verifyURL checks where captcha tokens are judged. The secret goes there.
func verifyURL(s string) (string, *problem) {
	const want = `The URL that stands for the provider's: "https://captcha.internal/siteverify".`
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Opaque != "" || u.Host == "" || !validHost(u.Hostname()):
		return "", &problem{is: "is no URL", want: want}
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", &problem{is: "must not have a user, a password or a query in it", want: want}
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return "", &problem{is: "must be an https URL", want: "Sigra's secret goes there. Plain http is for this machine only."}
	}
	return s, nil
}

func (d *decoder) checkAbuse(c *Config) {
	a, f := c.Abuse, FormatDuration
	if a.Backoff.Longest < a.Backoff.First {
		d.say(problem{is: fmt.Sprintf("longest (%s) is less than first (%s)", f(a.Backoff.Longest), f(a.Backoff.First)),
			want: "Attempts are as far apart as first says, then further and further up to longest."}, "abuse.backoff.longest", "abuse.backoff.first")
	}
	if w := a.ProofOfWork; w.MaxDifficulty < w.Difficulty {
		d.say(problem{is: fmt.Sprintf("max_difficulty (%d) is less than difficulty (%d)", w.MaxDifficulty, w.Difficulty),
			want: "The difficulty rises from the one to the other."}, "abuse.proof_of_work.max_difficulty", "abuse.proof_of_work.difficulty")
	}
	if !d.has("abuse.captcha") || d.broken {
		return
	}
	for _, name := range []string{"provider", "site_key", "secret"} {
		if path := "abuse.captcha." + name; !d.has(path) {
			d.say(problem{is: "the captcha block lacks " + name,
				want: "It needs the provider, and from its dashboard the site key and the secret. Without the block Sigra asks for a proof of work."}, "abuse.captcha")
			return
		}
	}
}
