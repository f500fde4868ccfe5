package config

import (
	"net/netip"
	"time"

	"github.com/sigra-auth/sigra/core/secret"
)

// Config is every setting of one Sigra, checked. Default returns the one that an empty file stands for.
//
// Paths are as they are to be opened: a relative path in the file was resolved against the file's own folder.
type Config struct {
	// DataDir holds the embedded database, the root key, plugin files and the control socket.
	DataDir string
	// Messages is a folder of texts that replace those of pages and mails, or add languages; empty: none.
	Messages     string
	Server       Server
	Database     Database
	Keyring      Keyring
	Registration Registration
	Session      Session
	Password     Password
	RateLimit    RateLimit
	Mail         Mail
	Audit        Audit
	Events       Events
	Logging      Logging
	Telemetry    Telemetry
	// Plugins are the plugin blocks, in the order of the file.
	Plugins []Plugin
}

// Server is how Sigra is reached.
type Server struct {
	Listen  string // host:port; an empty host means all addresses, port 0 any free one
	BaseURL string // scheme://host[:port], where people reach Sigra; no path, no trailing slash
	// TrustedProxies are whose X-Forwarded-* headers count.
	TrustedProxies []netip.Prefix
	TLS            TLS
	MaxBody        int64         // bytes of a request body
	ShutdownGrace  time.Duration // how long requests in flight may take to finish
}

// TLS is the certificate Sigra serves with. Both empty: plain HTTP, on loopback or behind a proxy.
type TLS struct{ CertFile, KeyFile string }

// Enabled reports whether Sigra itself speaks TLS.
func (t TLS) Enabled() bool { return t.CertFile != "" }

// Database is where everything is kept.
type Database struct {
	URL            secret.Text // postgres://… or sqlite:///…; unset means DataDir/sigra.db
	MaxConnections int         // 0: the store's own choice for the database
	Migrate        bool        // at start
}

// Keyring is what data keys are sealed with.
type Keyring struct {
	RootKey     secret.Text   // unset means the one in DataDir, made at the first start
	OldRootKeys []secret.Text // still open what they sealed, seal nothing
}

// The values of Registration.Confirmation.
const (
	ConfirmationRequired = "required" // the first session follows the confirmation
	ConfirmationDeferred = "deferred" // the session comes first; sign-up then tells whether an address is known
)

// Registration is how accounts come to be.
type Registration struct {
	Enabled         bool
	Confirmation    string
	ConfirmationTTL time.Duration
	CodeAttempts    int // wrong codes before a code is spent
}

// Session is how long a sign-in lasts.
type Session struct {
	IdleTimeout      time.Duration
	AbsoluteTimeout  time.Duration
	RememberMe       time.Duration // absolute, for who ticked the box; 0 takes the box away
	ActivityInterval time.Duration // activity is written at most this often per session
}

// Password is what passwords must be like and how they are hashed.
type Password struct {
	MinLength, MaxLength int // bytes
	Argon2               Argon2
	// MaxConcurrentHashes bounds how many are computed at once; 0 means by processors, see Hashers.
	MaxConcurrentHashes int
	QueueTimeout        time.Duration // how long a sign-in waits for its turn before 503
}

// Argon2 are the parameters of argon2id.
type Argon2 struct {
	MemoryKiB   uint32
	Time        uint32
	Parallelism uint8
}

// RateLimit bounds how often something may be tried.
type RateLimit struct {
	General         Rate // requests per IP address (/64 for IPv6)
	SignIn          Rate // sign-in attempts per IP address
	SignUp          Rate // sign-ups per IP address
	AccountFailures Rate // failed sign-ins per account, on all nodes together
	MailPerAddress  Rate // mails that strangers can have sent to one address
}

// Rate is at most Count in any Per. A zero Count means no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

// Mail is how messages leave.
type Mail struct {
	From        string // a mailbox: Name <address>, or the address alone
	ServiceName string // what mails and pages call this service
	// Dev keeps mails in the inbox page /dev/mail instead of sending them.
	Dev       bool
	Language  string // BCP 47, of who has not chosen one that there is
	Templates string // a folder of templates that replace the built-in ones; empty: none
	SMTP      SMTP
}

// The values of SMTP.TLS.
const (
	SMTPStartTLS = "starttls"
	SMTPImplicit = "implicit"
	SMTPPlain    = "none" // to this machine only
)

// SMTP is the mail server that messages leave through.
type SMTP struct {
	Host     string // empty: none
	Port     int    // 0: by TLS
	Username string // empty: no sign-in
	Password secret.Text
	TLS      string
	CAFile   string        // empty: the system's certificates
	Timeout  time.Duration // for connecting and for each answer
	Pool     int           // connections at once
	Hello    string        // what Sigra calls itself; empty: the machine's full name, or the sender's domain
}

// Enabled reports whether there is a mail server.
func (s SMTP) Enabled() bool { return s.Host != "" }

// Audit is how long the audit log is kept.
type Audit struct {
	Retention time.Duration // 0: for ever
}

// Events are what applications report to Sigra for plugins.
type Events struct {
	Retention time.Duration
	MaxBytes  int64       // of one event's data
	Token     secret.Text // bearer token that lets an application report; unset: administrators only
}

// Logging is what Sigra writes to stderr.
type Logging struct {
	Level  string // trace, debug, info, warn, error
	Format string // text, json
}

// Telemetry is what Sigra tells monitoring.
type Telemetry struct {
	Metrics       bool   // GET /metrics
	MetricsListen string // host:port of a listener for /metrics alone; empty: none
	OTLP          OTLP
}

// OTLP is where OpenTelemetry logs and metrics go, by OTLP over HTTP. Without an Endpoint they go nowhere.
type OTLP struct {
	Endpoint string // http(s)://host:port
	Headers  map[string]secret.Text
	Insecure bool // plain http to a collector that is not on this machine
}
