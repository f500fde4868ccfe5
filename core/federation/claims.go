package federation

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/federation/preset"
)

// Claims are what a provider has said of somebody, judged. Everything but Provider, Issuer, Subject and EmailVerified
// is for people to read and proves nothing.
type Claims struct {
	Provider string `json:"provider"` // the name of its block
	Issuer   string `json:"issuer"`   // what Subject is unique within
	Subject  string `json:"subject"`
	// Email is in the form of account.ParseEmail; empty when there is none, or none that can be used.
	Email string `json:"email,omitempty"`
	// EmailVerified: the provider says that the address is the person's, and its word on that is believed.
	EmailVerified bool      `json:"email_verified,omitempty"`
	Name          string    `json:"name,omitempty"`
	Picture       string    `json:"picture,omitempty"` // an https URL
	Locale        string    `json:"locale,omitempty"`
	AuthTime      time.Time `json:"auth_time,omitzero"` // zero: not said
	AMR           []string  `json:"amr,omitempty"`
	ACR           string    `json:"acr,omitempty"`
}

const (
	maxSubject  = 255 // OpenID Connect Core 1.0 §2
	maxName     = 100 // characters
	maxURL      = 2048
	maxUserJSON = 8 << 10
	maxMethods  = 10
)

// answer is a JSON object of a provider.
type answer map[string]any

// find looks for a name as it is, and then as a path. Names with dots in them are real: they are how URLs as claim names look.
func (a answer) find(name string) any {
	if v, ok := a[name]; ok {
		return v
	}
	var at any = map[string]any(a)
	for part := range strings.SplitSeq(name, ".") {
		switch v := at.(type) {
		case map[string]any:
			at = v[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			at = v[i]
		default:
			return nil
		}
	}
	return at
}

// text gives a text, or a whole number as it is written.
func (a answer) text(name string) string {
	if name == "" {
		return ""
	}
	switch v := a.find(name).(type) {
	case string:
		return v
	case json.Number:
		if _, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return v.String()
		}
	}
	return ""
}

// first gives the first text that is there.
func (a answer) first(names []string) string {
	for _, n := range names {
		if s := a.text(n); s != "" {
			return s
		}
	}
	return ""
}

// says reports whether a claim is true. Some providers write it as a text, some as a number.
func (a answer) says(name string) bool {
	switch v := a.find(name).(type) {
	case bool:
		return v
	case string:
		return v == "true" || v == "1"
	case json.Number:
		return v.String() == "1"
	}
	return false
}

// address gives the email address and whether the answer says that it is verified.
func (a answer) address(c preset.Claims) (email string, verified, said bool) {
	email = a.text(c.Email)
	verified = len(c.EmailVerified) > 0
	for _, n := range c.EmailVerified {
		said = said || a.find(n) != nil
		verified = verified && a.says(n)
	}
	return email, verified && email != "", said
}

// subject joins the parts of a subject. Empty means that there is none that could be relied on.
func (a answer) subject(parts []string) string {
	var out []string
	for _, name := range parts {
		s := a.text(name)
		if s == "" || len(parts) > 1 && strings.Contains(s, ":") { // two pairs must not join to one text
			return ""
		}
		out = append(out, s)
	}
	s := strings.Join(out, ":")
	if len(s) > maxSubject || strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
		return ""
	}
	return s
}

// read makes Claims of what was answered: the ID token, when there is one, and the API's answer. What the token says counts more, as
// it is signed. An address and the word that it is verified are always of one answer.
func (p *provider) read(token, userinfo answer) Claims {
	c := Claims{Provider: p.name, Issuer: p.realm}
	both := []answer{token, userinfo}
	for _, a := range both {
		if a == nil {
			continue
		}
		c.Subject = a.subject(p.claims.Subject)
		break
	}
	email, verified, said := token.address(p.claims)
	if e, v, s := userinfo.address(p.claims); email == "" || !said && s && strings.EqualFold(e, email) {
		email, verified = e, v
	}
	c.setEmail(p, email, verified)
	for _, a := range both {
		if c.Name == "" {
			c.Name = CleanName(a.first(p.claims.Name))
		}
		if c.Picture == "" {
			c.Picture = cleanPicture(a.first(p.claims.Picture))
		}
		if c.Locale == "" {
			c.Locale = cleanLocale(a.text(p.claims.Locale))
		}
	}
	return c
}

// setEmail judges an address: it must be one that an account could have, and verified means that the provider says so and is believed.
func (c *Claims) setEmail(p *provider, email string, verified bool) {
	if p.preset.Has(preset.EmailProved) {
		verified = email != ""
	}
	parsed, err := account.ParseEmail(email)
	if err != nil {
		return
	}
	c.Email, c.EmailVerified = parsed, verified && p.trustEmail
}

// CleanName makes a name fit to be shown: one line, no characters that steer text or hide, not too long.
func CleanName(s string) string {
	var b strings.Builder
	n, space := 0, false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			space = b.Len() > 0
			continue
		case r == utf8.RuneError, !unicode.IsGraphic(r):
			continue
		}
		if space {
			b.WriteByte(' ')
			n, space = n+1, false
		}
		if n++; n > maxName {
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

func cleanPicture(s string) string {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxURL || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > 0x7e || strings.ContainsRune(`"'<>\`, r) }) {
		return ""
	}
	return s
}

var localeName = regexp.MustCompile(`^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,4}$`)

func cleanLocale(s string) string {
	if !localeName.MatchString(s) {
		return ""
	}
	return strings.ReplaceAll(s, "_", "-")
}

// cleanMethods takes the amr values of an answer.
func cleanMethods(v any) []string {
	list, _ := v.([]any)
	said := make([]string, 0, min(len(list), maxMethods))
	for _, m := range list[:min(len(list), maxMethods)] {
		if s, ok := m.(string); ok {
			said = append(said, s)
		}
	}
	return CleanMethods(said)
}

// CleanMethods takes the first amr values that have the form of RFC 8176, each once.
func CleanMethods(said []string) []string {
	var out []string
	for _, s := range said[:min(len(said), maxMethods)] {
		if s != "" && len(s) <= 64 && !slices.Contains(out, s) && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > 0x7e }) {
			out = append(out, s)
		}
	}
	return out
}
