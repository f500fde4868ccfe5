package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/publicsuffix"
)

func readPasskey(b *block, p *Passkey) {
	b.boolean("enabled", &p.Enabled)
	b.text("rp_id", &p.RPID, "example.com", rpID)
	p.RelatedOrigins = b.texts("related_origins", "https://example.com", relatedOrigin)
	b.number("max_per_account", &p.MaxPerAccount, 1, 100, "")
	b.duration("ceremony_ttl", &p.CeremonyTTL, time.Minute, 15*time.Minute, "")
	b.boolean("require_user_verification", &p.RequireUserVerification)
	b.boolean("block_on_regression", &p.BlockOnRegression)
	for _, id := range b.texts("allowed_aaguids", "ee882879-721c-4913-9775-3dfcce97072a", aaguid) {
		p.AllowedAAGUIDs = append(p.AllowedAAGUIDs, uuid.MustParse(id))
	}
}

// rpID checks that a text is a domain name.
func rpID(s string) (string, *problem) {
	const want = `A domain and nothing else, such as "example.com".`
	if u, err := url.Parse(s); err == nil && u.Scheme != "" && u.Hostname() != "" {
		return "", &problem{is: "is an address, not a domain", want: want, try: u.Hostname()}
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return "", &problem{is: "is an IP address", want: "Browsers keep passkeys for names only. " + want}
	}
	if s = strings.ToLower(s); !validHost(s) {
		return "", &problem{is: "is no domain", want: want}
	}
	return s, nil
}

func relatedOrigin(s string) (string, *problem) {
	o, p := baseURL(s)
	if p == nil {
		if u, err := url.Parse(o); err == nil {
			if _, err := netip.ParseAddr(u.Hostname()); err == nil {
				p = &problem{is: "has an IP address for a host"}
			}
		}
	}
	if p != nil {
		return "", &problem{is: "has an entry that " + p.is, want: `Each is a scheme and a name, with the port if it isn't the usual one: "https://example.com".`, try: p.try}
	}
	return o, nil
}

func aaguid(s string) (string, *problem) {
	id, err := uuid.Parse(s)
	if err != nil || len(s) != 36 || id == uuid.Nil {
		return "", &problem{is: "has an entry that is no AAGUID", want: "A UUID that the maker of the authenticator publishes; all zeros stands for models that don't say what they are."}
	}
	return id.String(), nil
}

// maxRelatedLabels is how many different names browsers look at in the list of related origins (WebAuthn L3 §5.11.1).
const maxRelatedLabels = 5

// checkPasskey runs after the server's own checks, which may set base_url.
func (d *decoder) checkPasskey(c *Config) {
	p := &c.Passkey
	base, err := url.Parse(c.Server.BaseURL)
	if err != nil || d.faulty("server.base_url") || d.faulty("server.listen") || d.faulty("passkey.rp_id") {
		return
	}
	host := base.Hostname()
	if _, err := netip.ParseAddr(host); err == nil {
		switch {
		case d.has("passkey.rp_id"):
			d.say(problem{is: "rp_id is set, but the host of base_url is an IP address", want: "Browsers keep passkeys for names only: give base_url a name, or remove rp_id."}, "passkey.rp_id")
		case p.Enabled && d.has("passkey.enabled"):
			d.say(problem{warn: true, is: "there are no passkeys at an IP address", want: "Browsers keep passkeys for names only: give base_url a name, or set enabled = false."}, "passkey.enabled")
		}
		p.Enabled, p.RPID = false, ""
		return
	}
	switch {
	case !d.has("passkey.rp_id"):
		p.RPID = host
	case p.RPID == host:
	case !strings.HasSuffix(host, "."+p.RPID):
		d.say(problem{is: fmt.Sprintf("rp_id is neither %s nor a domain above it", host), want: "Browsers let a site use passkeys of its own domain and of those above it.", try: host}, "passkey.rp_id")
	case above(p.RPID):
		d.say(problem{is: fmt.Sprintf("nobody can own passkeys of %s", p.RPID), want: "Browsers refuse domains under which anybody can register a name.", try: host}, "passkey.rp_id")
	}
	var labels []string
	for _, o := range p.RelatedOrigins {
		if o == c.Server.BaseURL {
			d.say(problem{is: "related_origins has base_url among them", want: "It may use its own passkeys anyway. Leave it out."}, "passkey.related_origins")
		}
		if u, err := url.Parse(o); err == nil {
			if l := label(u.Hostname()); !slices.Contains(labels, l) {
				labels = append(labels, l)
			}
		}
	}
	if len(labels) > maxRelatedLabels {
		d.say(problem{is: fmt.Sprintf("related_origins has %d different names", len(labels)),
			want: fmt.Sprintf("Browsers look at %d and leave out the rest; the same name under several endings counts once.", maxRelatedLabels)}, "passkey.related_origins")
	}
}

// above reports whether a domain is above those that can be registered, such as co.uk.
func above(domain string) bool {
	suffix, _ := publicsuffix.PublicSuffix(domain)
	return suffix == domain
}

// label is the name that somebody registered: "example" of www.example.co.uk.
func label(host string) string {
	domain, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return host
	}
	name, _, _ := strings.Cut(domain, ".")
	return name
}
