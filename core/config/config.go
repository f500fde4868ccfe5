package config

import (
	"net/netip"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/secret"
)

// Config is every setting of one Sigra, checked. Default returns the one that an empty file stands for.
//
// Paths are as they are to be opened: a relative path in the file was resolved against the file's own folder.
type Config struct {
	// DataDir holds the embedded database, the root key, plugin files and the control socket.
	DataDir string
	// Messages is a folder of texts that replace those of pages and mails, or add languages; empty: none.
	Messages string
	// Pages is a folder of templates and assets that replace those of pages; empty: none.
	Pages         string
	Server        Server
	Database      Database
	Keyring       Keyring
	Registration  Registration
	SignIn        SignIn
	SecondFactor  SecondFactor
	Session       Session
	Password      Password
	Passkey       Passkey
	Metadata      Metadata
	Organizations Organizations
	RateLimit     RateLimit
	Abuse         Abuse
	Mail          Mail
	Audit         Audit
	Events        Events
	Logging       Logging
	Telemetry     Telemetry
	// Providers are the provider blocks, in the order of the file.
	Providers []Provider
	// Access are the rules for proxies that ask, in the order of the file.
	Access []AccessRule
	// Plugins are the plugin blocks, in the order of the file.
	Plugins []Plugin
}

// Server is how Sigra is reached.
type Server struct {
	// InternalHosts are names by which applications reach Sigra beside base_url: hosts with their ports. There it answers nobody but who shows an
	// application's key.
	InternalHosts []string
	Listen        string // host:port; an empty host means all addresses, port 0 any free one
	BaseURL       string // scheme://host[:port], where people reach Sigra; no path, no trailing slash
	// TrustedProxies are whose X-Forwarded-* headers count.
	TrustedProxies []netip.Prefix
	// ForwardedHeader is where they say whom a request comes from: XForwardedFor or Forwarded.
	ForwardedHeader string
	// HSTSSubdomains tells browsers that all hosts below BaseURL's speak https.
	HSTSSubdomains bool
	TLS            TLS
	MaxBody        int64         // bytes of a request body
	DrainDelay     time.Duration // how long a stop is announced before listeners close
	ShutdownGrace  time.Duration // how long requests in flight may take to finish
}

// The values of Server.ForwardedHeader.
const (
	XForwardedFor = "x-forwarded-for"
	Forwarded     = "forwarded" // RFC 7239
)

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

// The values of SignIn.Suspicious.
const (
	SuspiciousOff    = "off"     // no second look at where sign-ins come from
	SuspiciousNotify = "notify"  // written down, and told of by mail
	SuspiciousStepUp = "step_up" // and the second factor is asked for, whatever browser is trusted
)

// The values of SignIn.Username.
const (
	UsernameOff      = "off"      // accounts have an address and nothing else
	UsernameOptional = "optional" // who likes has a username beside it, and signs in with either
	UsernameRequired = "required" // sign-up asks for one
)

// SignIn is how people get in, and back in.
type SignIn struct {
	Username         string        // off, optional or required
	MagicLink        bool          // sign-in by a mailed link or code
	MagicLinkTTL     time.Duration // of the link and the code
	PasswordResetTTL time.Duration // of the link and the code to set a new password
	EmailChangeTTL   time.Duration // for the new address to confirm, and the old one to undo
	Suspicious       string        // a new browser on a new network: off, notify or step_up
	// ReturnTo is where people may go on to after signing in or out, beside Sigra itself: "https://app.example.com", "https://*.example.com" (any
	// one label) or "myapp://" (whatever is behind it).
	ReturnTo []string
}

// SecondFactor is what is asked for after the first factor.
type SecondFactor struct {
	Required                 bool          // of everybody; who has none adds one at the next sign-in
	RequiredOfAdministrators bool          // of administrators, whatever others are asked; without it they administer nothing
	TTL                      time.Duration // from the first factor to the second
	StepUpWindow             time.Duration // how long a proof is fresh enough to change how one signs in
	TrustDevice              time.Duration // how long a browser may be spared it; 0: never
}

// Session is how long a sign-in lasts.
type Session struct {
	IdleTimeout      time.Duration
	AbsoluteTimeout  time.Duration
	RememberMe       time.Duration // absolute, for who ticked the box; 0 takes the box away
	ActivityInterval time.Duration // activity is written at most this often per session
	// CookieDomain shares the session cookie with the hosts below it, such as "example.com"; empty: Sigra's own host has it alone.
	CookieDomain string
	// TokenAudience is whom tokens of sessions are for, their "aud"; empty: the base URL.
	TokenAudience []string
}

// Password is what passwords must be like and how they are hashed.
type Password struct {
	MinLength int // characters
	MaxLength int // bytes of UTF-8
	Argon2    Argon2
	// MaxConcurrentHashes bounds how many are computed at once; 0 means by processors, see Hashers.
	MaxConcurrentHashes int
	QueueTimeout        time.Duration // how long a sign-in waits for its turn before 503
	BreachCheck         BreachCheck
	Import              PasswordImport
}

// The values of BreachCheck.Mode.
const (
	BreachAPI  = "api"  // ask the range API
	BreachFile = "file" // look into a file here
	BreachOff  = "off"
)

// BreachCheck is how passwords are held against those that were seen in breaches.
type BreachCheck struct {
	Mode    string
	URL     string        // of the range API
	File    string        // with mode "file"
	Timeout time.Duration // of one question to the API
}

// PasswordImport bounds what a hash that another system made may cost, each time it is verified.
type PasswordImport struct {
	MaxMemory int64
	MaxCost   int // in argon2id hashes of 19 MiB in two passes
}

// Argon2 are the parameters of argon2id.
type Argon2 struct {
	MemoryKiB   uint32
	Time        uint32
	Parallelism uint8
}

// Passkey is how people sign in with what their devices keep for them.
type Passkey struct {
	Enabled bool
	// RPID is the domain that passkeys belong to. There is one whenever they are enabled.
	RPID           string
	RelatedOrigins []string // other origins that may use the same passkeys
	MaxPerAccount  int
	CeremonyTTL    time.Duration // how long a person may take to answer their device
	// RequireUserVerification refuses passkeys that ask for no finger, face or PIN, as second factors too.
	RequireUserVerification bool
	// BlockOnRegression refuses a passkey whose counter did not rise, besides reporting it.
	BlockOnRegression bool
	AllowedAAGUIDs    []uuid.UUID // models that may be registered; none: all
}

// Metadata is what applications, administrators and people keep with an account.
type Metadata struct {
	MaxSize                                 int64 // bytes of one scope's object
	PublicSchema, PrivateSchema, UserSchema MetadataSchema
}

// MetadataSchema is a JSON Schema for one scope. The zero value: none.
type MetadataSchema struct {
	File string
	Text string // what is in it, read with the configuration
}

// RateLimit bounds how often something may be tried.
type RateLimit struct {
	General        Rate // requests per IP address (/64 for IPv6)
	Guess          Rate // of these, those that try a code, a number or a factor
	Mail           Rate // those that have an email sent
	Hash           Rate // those that try or set a password
	SignInAccount  Rate // sign-in attempts per IP address and account together
	SecondFactor   Rate // wrong second factors and step-ups per account, on all nodes together
	MailPerAddress Rate // mails that strangers can have sent to one address
}

// Rate is at most Count in any Per. A zero Count means no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

// Abuse is what becomes of an account's sign-in when too many attempts fail.
type Abuse struct {
	Backoff     Backoff
	ProofOfWork ProofOfWork
	HardLockout Rate    // so many failures in so long stop everything; zero: never
	Captcha     Captcha // asked for in place of the proof of work
}

// Backoff slows attempts down.
type Backoff struct {
	After          Rate          // so many failures in so long change nothing; zero: nothing is ever slowed
	First, Longest time.Duration // how far attempts are apart: doubled with every failure
}

// ProofOfWork is what a slowed attempt costs the client: 2^Difficulty hashes on average.
type ProofOfWork struct {
	Difficulty    int // 0: none is asked for
	MaxDifficulty int // it rises by one whenever the failures have doubled, up to this
	TTL           time.Duration
}

// Captcha is a provider of captchas. Without a Provider there is none.
type Captcha struct {
	Provider string // turnstile, hcaptcha
	SiteKey  string
	Secret   secret.Text
	URL      string // where tokens are judged; empty: at the provider's own address
	Hostname string // where the widget must have been shown; empty: wherever the provider allows
	SendIP   bool
	Timeout  time.Duration
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
	Retention          time.Duration // 0: for ever
	AnonymousRetention time.Duration // of failures of nobody in particular; 0: as long as the others
}

// Events are what applications report to Sigra for plugins.
type Events struct {
	Retention time.Duration
	MaxBytes  int64 // of one event's data
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
