package config

import (
	"runtime"
	"time"
)

const (
	kib = int64(1) << 10
	mib = kib << 10
	gib = mib << 10
	day = 24 * time.Hour
)

// Default returns the settings that an empty file stands for: safe ones to develop with.
func Default() *Config {
	return &Config{
		DataDir: "sigra-data",
		Server: Server{
			Listen:          "localhost:8484",
			BaseURL:         "http://localhost:8484",
			ForwardedHeader: XForwardedFor,
			MaxBody:         mib,
			ShutdownGrace:   20 * time.Second,
		},
		Database: Database{Migrate: true},
		Registration: Registration{
			Enabled:         true,
			Confirmation:    ConfirmationRequired,
			ConfirmationTTL: 48 * time.Hour,
			CodeAttempts:    5,
		},
		SignIn: SignIn{
			Username:         UsernameOff,
			MagicLink:        true,
			MagicLinkTTL:     10 * time.Minute, // ASVS 5.0 6.5.5
			PasswordResetTTL: time.Hour,
			EmailChangeTTL:   day,
			Suspicious:       SuspiciousNotify,
		},
		SecondFactor: SecondFactor{
			TTL:          5 * time.Minute,
			StepUpWindow: 5 * time.Minute,
			TrustDevice:  30 * day,
		},
		Session: Session{
			IdleTimeout:      30 * time.Minute, // ASVS 5.0 7.3.1
			AbsoluteTimeout:  24 * time.Hour,   // ASVS 5.0 7.3.2
			RememberMe:       60 * day,
			ActivityInterval: time.Minute,
		},
		Password: Password{
			MinLength:    8, // ASVS 5.0 6.2.1
			MaxLength:    1024,
			Argon2:       Argon2{MemoryKiB: 19456, Time: 2, Parallelism: 1}, // OWASP Password Storage Cheat Sheet
			QueueTimeout: 3 * time.Second,
			BreachCheck:  BreachCheck{Mode: BreachAPI, URL: "https://api.pwnedpasswords.com/range/", Timeout: 2 * time.Second}, // ASVS 5.0 6.2.12
			Import:       PasswordImport{MaxMemory: 128 * mib, MaxCost: 50},
		},
		Passkey: Passkey{
			Enabled:       true,
			RPID:          "localhost",
			MaxPerAccount: 20,
			CeremonyTTL:   5 * time.Minute, // WebAuthn L3 §15.1
		},
		Metadata: Metadata{MaxSize: 16 * kib},
		Organizations: Organizations{
			Creation:      CreationAdministrators,
			ManagerRoles:  []string{"admin"},
			MaxOwned:      10,
			InvitationTTL: 7 * day,
		},
		RateLimit: RateLimit{
			General:        Rate{1200, time.Minute},
			Guess:          Rate{30, time.Minute},
			Mail:           Rate{20, 10 * time.Minute},
			Hash:           Rate{30, time.Minute},
			SignInAccount:  Rate{10, time.Minute},
			SecondFactor:   Rate{5, 15 * time.Minute},
			MailPerAddress: Rate{3, 15 * time.Minute},
		},
		Abuse: Abuse{
			Backoff:     Backoff{After: Rate{5, 15 * time.Minute}, First: time.Second, Longest: time.Minute},
			ProofOfWork: ProofOfWork{Difficulty: 21, MaxDifficulty: 24, TTL: 5 * time.Minute},
			HardLockout: Rate{50, 15 * time.Minute},
			Captcha:     Captcha{Timeout: 5 * time.Second},
		},
		Mail: Mail{
			From: "Sigra <sigra@localhost>", ServiceName: "Sigra", Dev: true, Language: "en",
			SMTP: SMTP{TLS: SMTPStartTLS, Timeout: 15 * time.Second, Pool: 4},
		},
		Audit:   Audit{AnonymousRetention: 90 * day},
		Events:  Events{Retention: 30 * day, MaxBytes: 64 * kib},
		Logging: Logging{Level: "info", Format: "text"},
		Telemetry: Telemetry{
			Metrics: true,
		},
	}
}

// hashMemory bounds what all password hashes running at once may take.
const hashMemory = 2 * gib

// Hashers is how many password hashes may run at once: MaxConcurrentHashes, or one per processor as far as their memory
// stays within 2 GiB.
func (p Password) Hashers() int {
	if p.MaxConcurrentHashes > 0 {
		return p.MaxConcurrentHashes
	}
	n := runtime.GOMAXPROCS(0)
	if each := int64(p.Argon2.MemoryKiB) * kib; each > 0 {
		n = min(n, int(hashMemory/each))
	}
	return max(n, 1)
}
