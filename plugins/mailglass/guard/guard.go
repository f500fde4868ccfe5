package guard

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// The reasons of findings.
const (
	Pixel              = "pixel"                // a remote image of at most 3 by 3
	HiddenImage        = "hidden_image"         // a remote image that can't be seen
	RemoteImage        = "remote_image"         // an image fetched from anywhere
	RemoteCSS          = "remote_css"           // a style that fetches
	RemoteFont         = "remote_font"          // a font that is fetched
	RemoteMedia        = "remote_media"         // sound or film that is fetched
	RemoteObject       = "remote_object"        // a frame, an object, an external body
	RemoteSVG          = "remote_svg"           // an SVG that fetches
	RemoteHint         = "remote_hint"          // prefetch, preload, icon: addresses a client may fetch
	LinkHost           = "link_host"            // a link outside the configured origins
	LinkScheme         = "link_scheme"          // neither https nor mailto nor tel nor an anchor
	InsecureLink       = "insecure_link"        // an http link
	LinkWrapped        = "link_wrapped"         // the address of another place inside a link
	LinkTextMismatch   = "link_text_mismatch"   // the text names another host than the link
	TrackingParam      = "tracking_param"       // a campaign's or click's id in a link
	PingAttribute      = "ping_attribute"       // ping
	BaseHref           = "base_href"            // a base element or Content-Location
	MetaRefresh        = "meta_refresh"         // meta refresh
	Form               = "form"                 // a form
	Script             = "script"               // a script or an event handler
	AMPPart            = "amp_part"             // an AMP part
	ListUnsubscribe    = "list_unsubscribe"     // list headers on auth mail
	ReadReceipt        = "read_receipt"         // a receipt is asked for
	ProviderTrackingOn = "provider_tracking_on" // a header that switches tracking on at a provider
	Charset            = "charset"              // a charset that can hide markup
	NoTextPart         = "no_text_part"         // no text part
	Malformed          = "malformed"            // the message can't be read as a client would
)

// Finding is one thing that is wrong with a message.
type Finding struct {
	Reason  string `json:"reason"`
	Part    string `json:"part"`              // "header", or the MIME part: "1.2"
	Line    int    `json:"line,omitempty"`    // in the part's decoded content, from 1; 0: of the whole part
	Element string `json:"element,omitempty"` // "img", "a", a header's name
	Detail  string `json:"detail,omitempty"`  // the address or value, cut to 200 bytes
}

// String is one line for people.
func (f Finding) String() string {
	at := f.Part
	if f.Line > 0 {
		at += fmt.Sprintf(":%d", f.Line)
	}
	out := at + ": " + f.Reason
	if f.Element != "" {
		out += " <" + f.Element + ">"
	}
	if f.Detail != "" {
		out += " " + f.Detail
	}
	return out
}

// Config of a Guard.
type Config struct {
	// Origins are where links may lead: "https://auth.example.com". At least one.
	Origins []string
	// TrackingConfigurationSets are SES configuration sets that track opens or clicks.
	TrackingConfigurationSets []string
}

// Guard checks messages. It is safe for concurrent use.
type Guard struct {
	origins []string // "https://host:port"
	sets    []string
}

// New makes a Guard.
func New(cfg Config) (*Guard, error) {
	if len(cfg.Origins) == 0 {
		return nil, fmt.Errorf("guard: links need an origin that they may lead to")
	}
	g := &Guard{sets: cfg.TrackingConfigurationSets}
	for _, o := range cfg.Origins {
		u, err := url.Parse(o)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return nil, fmt.Errorf("guard: an origin is such as https://auth.example.com, not %q", o)
		}
		n, ok := origin(u)
		if !ok {
			return nil, fmt.Errorf("guard: %q has no host name", o)
		}
		g.origins = append(g.origins, n)
	}
	return g, nil
}

// ours reports whether an address leads to a configured origin.
func (g *Guard) ours(u *url.URL) bool {
	o, ok := origin(u)
	return ok && slices.Contains(g.origins, o)
}

// origin is scheme, host and port in one spelling (RFC 6454 §4); the host by UTS 46, as browsers resolve it.
func origin(u *url.URL) (string, bool) {
	host, err := idna.Lookup.ToASCII(strings.TrimSuffix(strings.ToLower(u.Hostname()), "."))
	if err != nil || host == "" {
		return "", false
	}
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[scheme]
	}
	return scheme + "://" + host + ":" + port, true
}

// report collects the findings of one message.
type report struct {
	guard    *Guard
	findings []Finding
	hasText  bool
}

func (r *report) add(f Finding) {
	f.Detail = clip(f.Detail)
	if len(r.findings) < 100 && !slices.Contains(r.findings, f) {
		r.findings = append(r.findings, f)
	}
}

func clip(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < 0x20 || c == 0x7f {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "�"))
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}
