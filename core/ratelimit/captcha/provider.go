package captcha

// Provider is what is particular to one provider, for this package and for pages that show its widget.
type Provider struct {
	Name      string
	VerifyURL string // where tokens are judged
	SiteKey   bool   // it wants to be told for which site key the token should be

	Script string // the widget's script; it fills elements of Class, which have the site key in data-sitekey
	Class  string
	Field  string // the form field that the widget leaves its token in
	// Sources are what a page's policy must allow for the widget, by directive of the Content-Security-Policy.
	Sources map[string]string
}

// Turnstile is Cloudflare's.
func Turnstile() Provider {
	const host = "https://challenges.cloudflare.com"
	return Provider{
		Name: "turnstile", VerifyURL: host + "/turnstile/v0/siteverify",
		Script: host + "/turnstile/v0/api.js", Class: "cf-turnstile", Field: "cf-turnstile-response",
		Sources: map[string]string{"script-src": host, "frame-src": host},
	}
}

// HCaptcha is hCaptcha's.
func HCaptcha() Provider {
	const hosts = "https://hcaptcha.com https://*.hcaptcha.com"
	return Provider{
		Name: "hcaptcha", VerifyURL: "https://api.hcaptcha.com/siteverify", SiteKey: true,
		Script: "https://js.hcaptcha.com/1/api.js", Class: "h-captcha", Field: "h-captcha-response",
		Sources: map[string]string{"script-src": hosts, "frame-src": hosts, "style-src": hosts, "connect-src": hosts},
	}
}

// Find gives the provider of a name.
func Find(name string) (Provider, bool) {
	for _, p := range []Provider{Turnstile(), HCaptcha()} {
		if p.Name == name {
			return p, true
		}
	}
	return Provider{}, false
}
