package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// at is where a setting or block was found, or otherwise where to point instead.
func (d *decoder) at(path string, otherwise hcl.Range) hcl.Range {
	if r, ok := d.where[path]; ok {
		return r
	}
	return otherwise
}

// has reports whether the setting stands in the file.
func (d *decoder) has(path string) bool { _, ok := d.where[path]; return ok }

// say reports a contradiction at the first of the paths that stands in the file.
func (d *decoder) say(p problem, paths ...string) {
	at := d.src.top()
	for _, path := range paths {
		if d.has(path) {
			at = d.where[path]
			break
		}
	}
	diag := Diagnostic{Severity: Error, Summary: p.is, Detail: p.want, Suggestion: p.try, Setting: paths[0]}
	if p.warn {
		diag.Severity = Warning
	}
	d.diags = append(d.diags, d.src.place(diag, at))
}

// check looks for settings that are right each by itself and wrong together. A setting that was reported already holds
// its default, so it leads to no second message.
func (d *decoder) check(c *Config) {
	d.checkServer(c)
	d.checkSession(c)
	d.checkPassword(c)
	d.checkPasskey(c)
	d.checkMetadata(c)
	d.checkAbuse(c)
	d.checkTelemetry(c)
	d.checkKeyring(c)
	d.checkMail(c)
	d.checkReturnTo(c)
	d.checkCookieDomain(c)
	if c.Registration.Confirmation == ConfirmationDeferred {
		d.say(problem{warn: true, is: "deferred confirmation tells strangers who has an account",
			want: "Sign-up answers differently for a known address. With \"required\" it never does."}, "registration.confirmation")
	}
}

func (d *decoder) checkServer(c *Config) {
	s := &c.Server
	if cert, key := d.has("server.tls.cert_file"), d.has("server.tls.key_file"); d.has("server.tls") && !d.broken && !(cert && key) {
		missing := "cert_file and key_file"
		if cert {
			missing = "key_file"
		} else if key {
			missing = "cert_file"
		}
		d.say(problem{is: "the tls block lacks " + missing, want: "TLS needs a certificate and its key. Without the block Sigra speaks plain HTTP, for a proxy in front of it."}, "server.tls")
	} else if s.TLS.CertFile != "" && s.TLS.KeyFile != "" {
		d.checkCertificate(s.TLS)
	}

	host, port, err := net.SplitHostPort(s.Listen)
	if err != nil || d.faulty("server.listen") || d.faulty("server.base_url") {
		return
	}
	tlsOn := d.has("server.tls")
	if !d.has("server.base_url") {
		switch {
		case loopback(host):
			s.BaseURL = "http://" + net.JoinHostPort(host, port)
			if tlsOn {
				s.BaseURL = "https://" + net.JoinHostPort(host, port)
			}
			s.BaseURL, _ = baseURL(s.BaseURL)
		case !d.broken:
			d.say(problem{is: "base_url is needed when Sigra listens beyond this machine",
				want: "Links in mails, cookies and redirects are made for one address, the one people use: base_url = \"https://id.example.com\"."}, "server.listen")
		}
	}
	u, err := url.Parse(s.BaseURL)
	if err != nil {
		return
	}
	if tlsOn && u.Scheme == "http" {
		d.say(problem{is: "base_url is http, but Sigra speaks TLS", want: "Browsers that follow a link would not get through.", try: "https" + s.BaseURL[len("http"):]}, "server.base_url")
	}
	for _, p := range s.TrustedProxies {
		if p.Bits() == 0 {
			d.say(problem{warn: true, is: "every address is trusted as a proxy",
				want: "Anybody can then claim any address by X-Forwarded-For, and limits per address are worth nothing. Name your proxies' networks."}, "server.trusted_proxies")
		}
	}
}

// faulty reports whether an error about the setting was given already.
func (d *decoder) faulty(path string) bool {
	return slices.ContainsFunc(d.diags, func(m Diagnostic) bool { return m.Setting == path && m.Severity == Error })
}

func (d *decoder) checkCertificate(t TLS) {
	cert, err := readFile(t.CertFile, mib)
	if err != nil {
		d.say(problem{is: "the certificate " + t.CertFile + " can't be read", want: sentence(reason(err))}, "server.tls.cert_file")
	}
	key, kerr := readFile(t.KeyFile, mib)
	if kerr != nil {
		d.say(problem{is: "the key " + t.KeyFile + " can't be read", want: sentence(reason(kerr))}, "server.tls.key_file")
	}
	if err != nil || kerr != nil {
		return
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		d.say(problem{is: "certificate and key can't be used together", want: "Both must be PEM, and the key must be the certificate's own."}, "server.tls.cert_file")
	}
}

func (d *decoder) checkSession(c *Config) {
	s := c.Session
	f := FormatDuration
	if s.IdleTimeout > s.AbsoluteTimeout {
		d.say(problem{is: fmt.Sprintf("idle_timeout (%s) is longer than absolute_timeout (%s)", f(s.IdleTimeout), f(s.AbsoluteTimeout)),
			want: "A session ends at its absolute timeout, so it would never be idle for that long."}, "session.idle_timeout", "session.absolute_timeout")
	}
	if s.RememberMe != 0 && s.RememberMe < s.AbsoluteTimeout {
		d.say(problem{is: fmt.Sprintf("remember_me (%s) is shorter than absolute_timeout (%s)", f(s.RememberMe), f(s.AbsoluteTimeout)),
			want: "Who asks to be remembered would be forgotten sooner. Make it longer, or \"0\" to do without it."}, "session.remember_me", "session.absolute_timeout")
	}
	if s.ActivityInterval > s.IdleTimeout/2 {
		d.say(problem{is: fmt.Sprintf("activity_interval (%s) is more than half of idle_timeout (%s)", f(s.ActivityInterval), f(s.IdleTimeout)),
			want: "Somebody at work would be signed out, because their activity is written too seldom."}, "session.activity_interval", "session.idle_timeout")
	}
}

// argon2Floor is what OWASP's Password Storage Cheat Sheet counts as equally strong: less memory asks for more passes.
var argon2Floor = []Argon2{{MemoryKiB: 47104, Time: 1}, {MemoryKiB: 19456, Time: 2}, {MemoryKiB: 12288, Time: 3}, {MemoryKiB: 9216, Time: 4}, {MemoryKiB: 7168, Time: 5}}

func (d *decoder) checkPassword(c *Config) {
	p := c.Password
	if p.MinLength > p.MaxLength {
		d.say(problem{is: fmt.Sprintf("min_length (%d) is more than max_length (%d)", p.MinLength, p.MaxLength), want: "No password would do."}, "password.min_length", "password.max_length")
	}
	// ASVS 5.0 11.4.2: passwords are stored by a slow function with parameters that current guidance approves of.
	if !slices.ContainsFunc(argon2Floor, func(f Argon2) bool { return p.Argon2.MemoryKiB >= f.MemoryKiB && p.Argon2.Time >= f.Time }) {
		d.say(problem{is: fmt.Sprintf("argon2 with %s of memory and time = %d is too weak", FormatSize(int64(p.Argon2.MemoryKiB)*kib), p.Argon2.Time),
			want: "OWASP's least: 46MiB with 1, 19MiB with 2, 12MiB with 3, 9MiB with 4, 7MiB with 5."}, "password.argon2.memory", "password.argon2.time", "password.argon2")
	}
	if total := int64(p.Argon2.MemoryKiB) * kib * int64(p.MaxConcurrentHashes); total > hashMemory {
		d.say(problem{is: fmt.Sprintf("%d hashes of %s at once take %s", p.MaxConcurrentHashes, FormatSize(int64(p.Argon2.MemoryKiB)*kib), FormatSize(total)),
			want: fmt.Sprintf("All together may take %s, so that a wave of sign-ins can't use up the machine: at most %d with this memory.",
				FormatSize(hashMemory), hashMemory/(int64(p.Argon2.MemoryKiB)*kib))}, "password.max_concurrent_hashes", "password.argon2.memory")
	}
	d.checkBreach(p.BreachCheck)
}

func (d *decoder) checkBreach(b BreachCheck) {
	const mode, file = "password.breach_check.mode", "password.breach_check.file"
	switch {
	case d.faulty(mode) || d.faulty(file):
	case b.Mode == BreachFile && b.File == "":
		d.say(problem{is: "mode is \"file\", but there is no file", want: "Say which: file = \"/var/lib/sigra/breach.bin\". `sigra breach build` makes one."}, mode)
	case b.Mode == BreachAPI && b.File != "":
		d.say(problem{warn: true, is: "there is a file, but mode is \"api\"", want: "The file is not read. For passwords to be looked up in it: mode = \"file\"."}, file)
	case b.Mode == BreachFile:
		// No error: an accident with the file must not keep everybody from signing in, and is said in each audit row.
		if st, err := os.Stat(b.File); err != nil {
			d.say(problem{warn: true, is: "the breach file " + b.File + " can't be read", want: sentence(reason(err)) + " Until it can, passwords are accepted unchecked."}, file)
		} else if !st.Mode().IsRegular() {
			d.say(problem{warn: true, is: b.File + " is no regular file", want: "Passwords are accepted unchecked."}, file)
		}
	}
}

func (d *decoder) checkTelemetry(c *Config) {
	o := c.Telemetry.OTLP
	switch t := c.Telemetry; {
	case t.MetricsListen == "" || d.faulty("telemetry.metrics_listen"):
	case !t.Metrics:
		d.say(problem{is: "metrics_listen is set, but metrics = false", want: "There would be nothing to serve there. Remove one of the two."}, "telemetry.metrics_listen")
	case t.MetricsListen == c.Server.Listen && !strings.HasSuffix(t.MetricsListen, ":0"):
		d.say(problem{is: "metrics_listen is where Sigra listens already", want: "Give metrics an address of their own, such as \"127.0.0.1:9090\"."}, "telemetry.metrics_listen")
	}
	if d.has("telemetry.otlp") && !d.has("telemetry.otlp.endpoint") && !d.broken {
		d.say(problem{is: "the otlp block lacks endpoint", want: "Say where the collector is: endpoint = \"https://otel.example.com:4318\". Without the block nothing is exported."}, "telemetry.otlp")
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || o.Endpoint == "" {
		return
	}
	switch {
	case u.Scheme == "http" && !o.Insecure && !loopback(u.Hostname()):
		d.say(problem{is: "endpoint is plain http to another machine", want: "Logs and metrics tell who signed in and when. Use https, or say insecure = true.",
			try: "https" + o.Endpoint[len("http"):]}, "telemetry.otlp.endpoint")
	case u.Scheme == "https" && o.Insecure:
		d.say(problem{is: "insecure is for plain http, and endpoint is https", want: "Remove one of the two; the certificate is checked in any case."}, "telemetry.otlp.insecure")
	}
}

func (d *decoder) checkKeyring(c *Config) {
	k := c.Keyring
	if len(k.OldRootKeys) > 0 && k.RootKey.IsZero() && !d.has("keyring.root_key") {
		d.say(problem{is: "there are old_root_keys, but no root_key", want: "Old keys only open what they sealed; a new one must be there to seal with."}, "keyring.old_root_keys")
	}
	if !k.RootKey.IsZero() && slices.ContainsFunc(k.OldRootKeys, k.RootKey.Equal) {
		d.say(problem{is: "root_key is among the old_root_keys", want: "A key is either in use or being replaced."}, "keyring.old_root_keys")
	}
}

func (d *decoder) checkMail(c *Config) {
	m := &c.Mail
	d.checkSMTP(c)
	u, err := url.Parse(c.Server.BaseURL)
	if err != nil || d.faulty("server.base_url") || d.faulty("server.listen") {
		return
	}
	host, _, _ := net.SplitHostPort(c.Server.Listen)
	open := !loopback(u.Hostname()) || !loopback(host)
	sends := m.SMTP.Enabled() || d.has("mail.smtp")
	if !d.has("mail.dev") && (open || sends) {
		m.Dev = false // the inbox shows everybody's codes and links: never to other machines unasked
	}
	switch {
	case m.Dev && open:
		d.say(problem{warn: true, is: "anybody who reaches this server can read its mails at /dev/mail",
			want: "The inbox is for development: it shows every confirmation code and link. Set dev = false in the mail block before real people use it."}, "mail.dev", "server.base_url", "server.listen")
	case m.Dev && sends:
		d.say(problem{warn: true, is: "nothing goes out through smtp while dev = true", want: "Mails stay in the inbox at /dev/mail. Remove dev, or set it to false, to have them sent."}, "mail.dev")
	case m.Dev || sends || d.broken || slices.ContainsFunc(c.Plugins, func(p Plugin) bool { return p.Enabled }):
	case d.has("mail.dev") || loopback(u.Hostname()):
		d.say(problem{warn: true, is: "no mail will reach anybody",
			want: "The inbox at /dev/mail is off, there is no smtp block and no plugin that could send mail, so nobody can confirm a sign-up. Mails wait until there is one, a day at most."},
			"mail.dev", "server.base_url", "server.listen")
	default:
		d.say(problem{is: "no mail would reach anybody",
			want: "People who sign up could not confirm their address. Say which mail server to use, mail { smtp { host = \"…\" } }, or keep mails in the inbox for now, mail { dev = true }. To run without any mail, say dev = false."},
			"mail", "server.base_url", "server.listen")
	}
}

func (d *decoder) checkSMTP(c *Config) {
	s := c.Mail.SMTP
	if !d.has("mail.smtp") || d.broken {
		return
	}
	faulty := func(name string) bool { return d.faulty("mail.smtp." + name) }
	switch {
	case !d.has("mail.smtp.host"):
		d.say(problem{is: "the smtp block lacks host", want: "Say which mail server to use: host = \"smtp.example.com\"."}, "mail.smtp")
	case s.TLS == SMTPPlain && !loopback(s.Host) && !faulty("host") && !faulty("tls"):
		// RFC 8314 §4.1: codes, links and the password would be there for everybody on the way to read.
		d.say(problem{is: "tls = \"none\" is for a mail server on this machine", want: "Anybody on the way could read every code, link and the password. Use \"starttls\" or \"implicit\"."}, "mail.smtp.tls")
	}
	if d.has("mail.smtp.username") != d.has("mail.smtp.password") {
		missing, there := "password", "username"
		if d.has("mail.smtp.password") {
			missing, there = there, missing
		}
		d.say(problem{is: fmt.Sprintf("the smtp block has a %s, but no %s", there, missing), want: "They go together; leave both out if the server wants none."}, "mail.smtp."+there)
	}
	if a, err := mail.ParseAddress(c.Mail.From); err == nil && s.Host != "" && !loopback(s.Host) && !faulty("host") && !d.faulty("mail.from") && !strings.Contains(a.Address[strings.LastIndexByte(a.Address, '@'):], ".") {
		d.say(problem{is: "mails would come from " + a.Address + ", which other servers don't take", want: "Say who they come from: from = \"Example <no-reply@example.com>\"."}, "mail.from", "mail.smtp")
	}
	if s.CAFile != "" && !faulty("ca_file") {
		pem, err := readFile(s.CAFile, mib)
		if err != nil {
			d.say(problem{is: "the certificates in " + s.CAFile + " can't be read", want: sentence(reason(err))}, "mail.smtp.ca_file")
		} else if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			d.say(problem{is: "there is no certificate in " + s.CAFile, want: "A file of PEM blocks is needed: -----BEGIN CERTIFICATE-----."}, "mail.smtp.ca_file")
		}
	}
}
