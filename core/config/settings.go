package config

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// config reads the whole file. What it returns is only to be used when nothing was reported.
func (d *decoder) config(body *hclsyntax.Body) *Config {
	d.where = map[string]hcl.Range{}
	c := Default()
	b := &block{d: d, body: body, header: d.src.top()}
	c.DataDir = d.src.path(c.DataDir)
	b.file("data_dir", &c.DataDir)
	b.file("messages", &c.Messages)
	b.file("pages", &c.Pages)
	b.nested("server", func(b *block) { readServer(b, &c.Server) })
	b.nested("database", func(b *block) { readDatabase(b, &c.Database) })
	b.nested("keyring", func(b *block) { readKeyring(b, &c.Keyring) })
	b.nested("registration", func(b *block) { readRegistration(b, &c.Registration) })
	b.nested("sign_in", func(b *block) { readSignIn(b, &c.SignIn) })
	b.nested("second_factor", func(b *block) { readSecondFactor(b, &c.SecondFactor) })
	b.nested("session", func(b *block) { readSession(b, &c.Session) })
	b.nested("password", func(b *block) { readPassword(b, &c.Password) })
	b.nested("passkey", func(b *block) { readPasskey(b, &c.Passkey) })
	b.nested("metadata", func(b *block) { readMetadata(b, &c.Metadata) })
	b.nested("organizations", func(b *block) { readOrganizations(b, &c.Organizations) })
	b.nested("rate_limit", func(b *block) { readRateLimit(b, &c.RateLimit) })
	b.nested("abuse", func(b *block) { readAbuse(b, &c.Abuse) })
	b.nested("mail", func(b *block) { readMail(b, &c.Mail) })
	b.nested("audit", func(b *block) { readAudit(b, &c.Audit) })
	b.nested("events", func(b *block) { readEvents(b, &c.Events) })
	b.nested("logging", func(b *block) { readLogging(b, &c.Logging) })
	b.nested("telemetry", func(b *block) { readTelemetry(b, &c.Telemetry) })
	b.labelled("access", "admin", checkAccessName, func(b *block, label string) {
		c.Access = append(c.Access, readAccess(b, label))
	})
	b.labelled("provider", "google", checkProviderName, func(b *block, label string) {
		c.Providers = append(c.Providers, readProvider(b, label))
	})
	b.labelled("plugin", "threadline", checkPluginName, func(b *block, label string) {
		c.Plugins = append(c.Plugins, readPlugin(b, label))
	})
	b.end()
	if d.probe == nil {
		d.check(c)
	}
	return c
}

func readServer(b *block, s *Server) {
	b.text("listen", &s.Listen, "localhost:8484", listenAddress)
	b.text("base_url", &s.BaseURL, "https://id.example.com", baseURL)
	for _, e := range b.list("trusted_proxies", "texts", "10.0.0.0/8") {
		prefix, p := network(e.text)
		if p != nil {
			b.wrong("trusted_proxies", e.expr, e.at, *p)
			continue
		}
		s.TrustedProxies = append(s.TrustedProxies, prefix)
	}
	s.InternalHosts = b.texts("internal_hosts", "sigra:8484", internalHost)
	b.choice("forwarded_header", &s.ForwardedHeader, XForwardedFor, Forwarded)
	b.boolean("hsts_subdomains", &s.HSTSSubdomains)
	b.size("max_body", &s.MaxBody, 16*kib, 64*mib)
	b.duration("drain_delay", &s.DrainDelay, 100*time.Millisecond, 10*time.Minute, "to close at once")
	b.duration("shutdown_grace", &s.ShutdownGrace, time.Second, 10*time.Minute, "")
	b.nested("tls", func(b *block) {
		b.file("cert_file", &s.TLS.CertFile)
		b.file("key_file", &s.TLS.KeyFile)
	})
}

// network reads a network in CIDR notation, or one address.
func network(s string) (netip.Prefix, *problem) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	const want = `Addresses in CIDR notation, such as "10.0.0.0/8" or "fd00::/8", or a single address.`
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return prefix, &problem{is: "has an entry that is no network", want: want}
	}
	if m := prefix.Masked(); m != prefix {
		return prefix, &problem{is: "has a network whose address does not end where its mask does", want: want, try: m.String()}
	}
	return prefix, nil
}

func readDatabase(b *block, d *Database) {
	b.secret("url", &d.URL, databaseURL)
	b.number("max_connections", &d.MaxConnections, 2, 1000, "to let the database decide")
	b.boolean("migrate", &d.Migrate)
}

func readKeyring(b *block, k *Keyring) {
	b.secret("root_key", &k.RootKey, rootKey)
	k.OldRootKeys = b.secrets("old_root_keys", rootKey)
}

// rootKey checks that a key has 256 bits, in base64 or hex.
func rootKey(s string) *problem {
	const want = "32 random bytes in base64 or hex; `openssl rand -base64 32` makes one."
	length := 0
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString,
		base64.StdEncoding.Strict().DecodeString, base64.RawStdEncoding.Strict().DecodeString,
		base64.URLEncoding.Strict().DecodeString, base64.RawURLEncoding.Strict().DecodeString,
	} {
		raw, err := decode(s)
		switch {
		case err != nil:
		case len(raw) != 32:
			length = cmp.Or(length, len(raw))
		default:
			// No measure of strength, only a net for "AAAA…".
			seen := map[byte]bool{}
			for _, c := range raw {
				seen[c] = true
			}
			if len(seen) < 8 {
				return &problem{is: "is not random", want: want}
			}
			return nil
		}
	}
	if length > 0 {
		return &problem{is: fmt.Sprintf("is %d bytes long, not 32", length), want: want}
	}
	return &problem{is: "is neither base64 nor hex", want: want}
}

func readRegistration(b *block, r *Registration) {
	b.boolean("enabled", &r.Enabled)
	b.choice("confirmation", &r.Confirmation, ConfirmationRequired, ConfirmationDeferred)
	b.duration("confirmation_ttl", &r.ConfirmationTTL, 5*time.Minute, 30*day, "")
	b.number("code_attempts", &r.CodeAttempts, 1, 20, "")
}

func readSignIn(b *block, s *SignIn) {
	b.choice("username", &s.Username, UsernameOff, UsernameOptional, UsernameRequired)
	b.boolean("magic_link", &s.MagicLink)
	b.duration("magic_link_ttl", &s.MagicLinkTTL, time.Minute, time.Hour, "")
	b.duration("password_reset_ttl", &s.PasswordResetTTL, 5*time.Minute, day, "")
	b.duration("email_change_ttl", &s.EmailChangeTTL, 5*time.Minute, 30*day, "")
	b.choice("suspicious", &s.Suspicious, SuspiciousOff, SuspiciousNotify, SuspiciousStepUp)
	s.ReturnTo = b.texts("return_to", "https://app.example.com", returnAddress)
}

func readSecondFactor(b *block, s *SecondFactor) {
	b.boolean("required", &s.Required)
	b.boolean("required_of_administrators", &s.RequiredOfAdministrators)
	b.duration("ttl", &s.TTL, time.Minute, time.Hour, "")
	b.duration("step_up_window", &s.StepUpWindow, time.Minute, day, "")
	b.duration("trust_device", &s.TrustDevice, time.Hour, 365*day, "to ask every time")
}

func readSession(b *block, s *Session) {
	b.duration("idle_timeout", &s.IdleTimeout, time.Minute, 90*day, "")
	b.duration("absolute_timeout", &s.AbsoluteTimeout, 5*time.Minute, 365*day, "")
	b.duration("remember_me", &s.RememberMe, time.Hour, 400*day, "to do without it")
	b.duration("activity_interval", &s.ActivityInterval, time.Second, time.Hour, "")
	b.text("cookie_domain", &s.CookieDomain, "example.com", cookieDomain)
	s.TokenAudience = b.texts("token_audience", "https://api.example.com", tokenAudience)
}

func readPassword(b *block, p *Password) {
	b.number("min_length", &p.MinLength, 8, 128, "")   // ASVS 5.0 6.2.1
	b.number("max_length", &p.MaxLength, 64, 4096, "") // ASVS 5.0 6.2.9; the upper end bounds what a stranger can make us hash
	b.number("max_concurrent_hashes", &p.MaxConcurrentHashes, 1, 1024, "for one per processor")
	b.duration("queue_timeout", &p.QueueTimeout, 100*time.Millisecond, 30*time.Second, "")
	b.nested("argon2", func(b *block) {
		memory, passes, lanes := int64(p.Argon2.MemoryKiB)*kib, int(p.Argon2.Time), int(p.Argon2.Parallelism)
		b.size("memory", &memory, 7*mib, gib)
		b.number("time", &passes, 1, 20, "")
		b.number("parallelism", &lanes, 1, 16, "")
		p.Argon2 = Argon2{MemoryKiB: uint32(memory / kib), Time: uint32(passes), Parallelism: uint8(lanes)}
	})
	b.nested("breach_check", func(b *block) {
		c := &p.BreachCheck
		b.choice("mode", &c.Mode, BreachAPI, BreachFile, BreachOff)
		b.text("url", &c.URL, "https://api.pwnedpasswords.com/range/", rangeURL)
		b.file("file", &c.File)
		b.duration("timeout", &c.Timeout, 100*time.Millisecond, 10*time.Second, "")
	})
	b.nested("import", func(b *block) {
		b.size("max_memory", &p.Import.MaxMemory, mib, 4*gib)
		b.number("max_cost", &p.Import.MaxCost, 1, 1000, "")
	})
}

func readRateLimit(b *block, r *RateLimit) {
	b.rate("general", &r.General)
	b.rate("guess", &r.Guess)
	b.rate("mail", &r.Mail)
	b.rate("hash", &r.Hash)
	b.rate("sign_in_account", &r.SignInAccount)
	b.rate("second_factor", &r.SecondFactor)
	b.rate("mail_per_address", &r.MailPerAddress)
}

func readMail(b *block, m *Mail) {
	b.text("from", &m.From, "Example <no-reply@example.com>", func(s string) (string, *problem) {
		a, err := mail.ParseAddress(s)
		if err != nil || strings.ContainsAny(s, "\r\n") {
			return "", &problem{is: "is no mailbox", want: `An address, or a name with the address: "Example <no-reply@example.com>".`}
		}
		if a.Name == "" {
			return a.Address, nil
		}
		return s, nil
	})
	b.text("service_name", &m.ServiceName, "Example", func(s string) (string, *problem) {
		switch {
		case strings.TrimSpace(s) == "" || strings.TrimSpace(s) != s:
			return "", &problem{is: "must be a name, without white space around it", want: "People see it in every mail."}
		case len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return "", &problem{is: "must be at most 64 bytes long, on one line", want: "People see it in every mail."}
		}
		return s, nil
	})
	b.boolean("dev", &m.Dev)
	b.text("language", &m.Language, "en", func(s string) (string, *problem) {
		if !languageTag.MatchString(s) {
			return "", &problem{is: "is no language tag", want: `A BCP 47 tag of a language that there are texts in, such as "en" or "de".`}
		}
		return s, nil
	})
	b.file("templates", &m.Templates)
	b.nested("smtp", func(b *block) { readSMTP(b, &m.SMTP) })
}

var languageTag = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}$`)

func readSMTP(b *block, s *SMTP) {
	b.text("host", &s.Host, "smtp.example.com", func(v string) (string, *problem) {
		const want = `The name or address of the mail server, such as "smtp.example.com".`
		if _, rest, ok := strings.Cut(v, "://"); ok {
			return "", &problem{is: "is a name, not a URL", want: want, try: strings.TrimRight(rest, "/")}
		}
		if host, _, err := net.SplitHostPort(v); err == nil && validHost(host) {
			return "", &problem{is: "has a port in it", want: "The port is a setting of its own: port = 587.", try: host}
		}
		if !validHost(v) {
			return "", &problem{is: "is neither a name nor an address", want: want}
		}
		return v, nil
	})
	b.number("port", &s.Port, 1, 65535, "")
	b.text("username", &s.Username, "sigra", func(v string) (string, *problem) {
		if v == "" || len(v) > 320 || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return "", &problem{is: "is empty, longer than 320 bytes or not on one line", want: "Leave username and password out if the server wants none."}
		}
		return v, nil
	})
	b.secret("password", &s.Password, func(v string) *problem {
		if len(v) > 1024 || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return &problem{is: "is longer than 1024 bytes or not on one line"}
		}
		return nil
	})
	b.choice("tls", &s.TLS, SMTPStartTLS, SMTPImplicit, SMTPPlain)
	b.file("ca_file", &s.CAFile)
	b.duration("timeout", &s.Timeout, time.Second, 30*time.Second, "")
	b.number("pool", &s.Pool, 1, 16, "")
	b.text("hello", &s.Hello, "id.example.com", func(v string) (string, *problem) {
		if !validHost(v) {
			return "", &problem{is: "is neither a name nor an address", want: `A full name of this machine, such as "id.example.com".`}
		}
		return v, nil
	})
}

func readAudit(b *block, a *Audit) {
	b.duration("retention", &a.Retention, day, 36500*day, "for ever")
	b.duration("anonymous_retention", &a.AnonymousRetention, day, 36500*day, "for as long as the others")
}

func readEvents(b *block, e *Events) {
	b.duration("retention", &e.Retention, time.Hour, 3650*day, "")
	b.size("max_bytes", &e.MaxBytes, kib, mib)
}

func readLogging(b *block, l *Logging) {
	b.choice("level", &l.Level, "trace", "debug", "info", "warn", "error")
	b.choice("format", &l.Format, "text", "json")
}

var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$") // RFC 9110 §5.6.2

func readTelemetry(b *block, t *Telemetry) {
	b.boolean("metrics", &t.Metrics)
	b.text("metrics_listen", &t.MetricsListen, "127.0.0.1:9090", listenAddress)
	b.nested("otlp", func(b *block) {
		b.text("endpoint", &t.OTLP.Endpoint, "https://otel.example.com:4318", collectorURL)
		t.OTLP.Headers = b.secretMap("headers", `authorization = env("OTLP_AUTH")`, func(key, value string) *problem {
			switch {
			case !headerName.MatchString(key):
				return &problem{is: fmt.Sprintf("has a name that no HTTP header can have: %q", key)}
			case value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
				return &problem{is: fmt.Sprintf("has a value for %s that is empty or more than one line", key)}
			}
			return nil
		})
		b.boolean("insecure", &t.OTLP.Insecure)
	})
}

// Setting is one name that may stand in the file.
type Setting struct {
	Path string // "server.tls.cert_file"; what stands in a plugin block is "plugin.source" and so on
	Kind string // "text", "duration", "block" …
}

func (s Setting) split() (path, name string) {
	if i := strings.LastIndexByte(s.Path, '.'); i >= 0 {
		return s.Path[:i], s.Path[i+1:]
	}
	return "", s.Path
}

// Settings lists every setting and block that a file may have.
func Settings() []Setting {
	var out []Setting
	src := newSource(nil, "", []string{})
	d := &decoder{src: src, ctx: src.evalContext(), probe: func(s Setting) { out = append(out, s) }}
	d.config(&hclsyntax.Body{})
	return out
}
