package config_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/config"
)

// in wraps a setting in its blocks: "password.argon2.time" -> password { argon2 { time = … } }.
func in(path, value string) string {
	parts := strings.Split(path, ".")
	name := parts[len(parts)-1]
	open, end := "", ""
	for _, p := range parts[:len(parts)-1] {
		switch p {
		case "plugin":
			p = `plugin "p"`
		case "gate":
			p = `gate "login"`
		}
		open, end = open+p+" {\n", end+"}\n"
	}
	return open + name + " = " + value + "\n" + end
}

// Each limit from both sides: the last value that is taken, and the first that is not.
func TestLimits(t *testing.T) {
	t.Parallel()
	for _, l := range []struct{ path, low, tooLow, high, tooHigh string }{
		{"server.max_body", `"16KiB"`, `"16383B"`, `"64MiB"`, `"67108865B"`},
		{"server.drain_delay", `"100ms"`, `"99ms"`, `"10m"`, `"601s"`},
		{"server.shutdown_grace", `"1s"`, `"999ms"`, `"10m"`, `"601s"`},
		{"database.max_connections", `2`, `1`, `1000`, `1001`},
		{"registration.confirmation_ttl", `"5m"`, `"299s"`, `"30d"`, `"721h"`},
		{"registration.code_attempts", `1`, `0`, `20`, `21`},
		{"sign_in.magic_link_ttl", `"1m"`, `"59s"`, `"1h"`, `"61m"`},
		{"sign_in.password_reset_ttl", `"5m"`, `"299s"`, `"24h"`, `"25h"`},
		{"sign_in.email_change_ttl", `"5m"`, `"299s"`, `"30d"`, `"721h"`},
		{"second_factor.ttl", `"1m"`, `"59s"`, `"1h"`, `"61m"`},
		{"second_factor.step_up_window", `"1m"`, `"59s"`, `"24h"`, `"25h"`},
		{"second_factor.trust_device", `"1h"`, `"59m"`, `"365d"`, `"366d"`},
		{"session.remember_me", `"24h"`, `"23h"`, `"400d"`, `"401d"`},
		{"session.activity_interval", `"1s"`, `"999ms"`, `"15m"`, `"16m"`},
		{"session.idle_timeout", `"2m"`, `"59s"`, `"24h"`, `"24h1s"`},
		{"session.absolute_timeout", `"30m"`, `"29m"`, `"60d"`, `"366d"`},
		{"password.min_length", `8`, `7`, `128`, `129`},
		{"password.max_length", `64`, `63`, `4096`, `4097`},
		{"password.max_concurrent_hashes", `1`, `-1`, `107`, `108`},
		{"password.queue_timeout", `"100ms"`, `"99ms"`, `"30s"`, `"31s"`},
		{"password.argon2.memory", `"19MiB"`, `"19455KiB"`, `"1GiB"`, `"1048577KiB"`},
		{"password.argon2.time", `2`, `1`, `20`, `21`},
		{"password.argon2.parallelism", `1`, `0`, `16`, `17`},
		{"passkey.max_per_account", `1`, `0`, `100`, `101`},
		{"passkey.ceremony_ttl", `"1m"`, `"59s"`, `"15m"`, `"901s"`},
		{"password.breach_check.timeout", `"100ms"`, `"99ms"`, `"10s"`, `"10001ms"`},
		{"password.import.max_memory", `"1MiB"`, `"1023KiB"`, `"4GiB"`, `"4097MiB"`},
		{"password.import.max_cost", `1`, `0`, `1000`, `1001`},
		{"organizations.max_owned", `1`, `0`, `10000`, `10001`},
		{"organizations.invitation_ttl", `"1h"`, `"59m"`, `"90d"`, `"91d"`},
		{"rate_limit.guess", `"1/1s"`, `"0/1s"`, `"1000000/30d"`, `"1000001/30d"`},
		{"abuse.backoff.after", `"1/1s"`, `"0/1s"`, `"100/30d"`, `"101/30d"`},
		{"abuse.backoff.first", `"100ms"`, `"99ms"`, `"1m"`, `"61s"`},
		{"abuse.backoff.longest", `"1s"`, `"999ms"`, `"1h"`, `"3601s"`},
		{"abuse.proof_of_work.difficulty", `10`, `9`, `24`, `25`},
		{"abuse.proof_of_work.max_difficulty", `21`, `20`, `28`, `29`},
		{"abuse.proof_of_work.ttl", `"1m"`, `"59s"`, `"1h"`, `"3601s"`},
		{"abuse.hard_lockout", `"1/1s"`, `"0/1s"`, `"1000/30d"`, `"1001/30d"`},
		{"audit.retention", `"24h"`, `"23h"`, `"36500d"`, `"36501d"`},
		{"events.retention", `"1h"`, `"59m"`, `"3650d"`, `"3651d"`},
		{"events.max_bytes", `"1KiB"`, `"1023B"`, `"1MiB"`, `"1025KiB"`},
		{"plugin.gate.timeout", `"10ms"`, `"9ms"`, `"30s"`, `"31s"`},
		{"mail.service_name", `"S"`, `""`, fmt.Sprintf("%q", strings.Repeat("s", 64)), fmt.Sprintf("%q", strings.Repeat("s", 65))},
		{"mail.smtp.timeout", `"1s"`, `"999ms"`, `"30s"`, `"31s"`},
		{"mail.smtp.pool", `1`, `0`, `16`, `17`},
		{"mail.smtp.port", `1`, `0`, `65535`, `65536`},
	} {
		also := "" // what the setting is nothing without
		if strings.HasPrefix(l.path, "mail.smtp.") {
			also = "host = \"localhost\"\n"
		}
		in := func(path, value string) string {
			name := path[strings.LastIndexByte(path, '.')+1:]
			return strings.Replace(in(path, value), name+" = ", also+name+" = ", 1)
		}
		for _, good := range []string{l.low, l.high} {
			if _, ds := parse(t, in(l.path, good)); ds.HasErrors() {
				t.Errorf("%s = %s should be taken:\n%s", l.path, good, ds)
			}
		}
		for _, bad := range []string{l.tooLow, l.tooHigh} {
			_, ds := parse(t, in(l.path, bad))
			if len(ds) != 1 || !ds.HasErrors() || !strings.HasPrefix(ds[0].Setting, strings.Split(l.path, ".")[0]) {
				t.Errorf("%s = %s should be one error:\n%s", l.path, bad, ds)
			}
		}
	}
}

func TestParse_zeroMeansSomething(t *testing.T) {
	t.Parallel()
	c := valid(t, in("session.remember_me", `"0"`)+in("audit.retention", `"0"`)+in("rate_limit.general", `"0"`)+in("password.max_concurrent_hashes", `0`)+
		"abuse {\n hard_lockout = \"0\"\n backoff {\n after = \"0\"\n }\n proof_of_work {\n difficulty = 0\n }\n }\n")
	if a := c.Abuse; a.HardLockout != (config.Rate{}) || a.Backoff.After != (config.Rate{}) || a.ProofOfWork.Difficulty != 0 {
		t.Errorf("%+v", a)
	}
	if c.Session.RememberMe != 0 || c.Audit.Retention != 0 || c.RateLimit.General != (config.Rate{}) || c.Password.MaxConcurrentHashes != 0 {
		t.Errorf("%+v", c)
	}
}

func TestParse_null(t *testing.T) {
	t.Parallel()
	c := valid(t, "data_dir = null\n"+in("session.idle_timeout", "null")+in("database.url", "null")+in("server.trusted_proxies", "null"))
	if c.DataDir != "sigra-data" || c.Session.IdleTimeout != 30*time.Minute || !c.Database.URL.IsZero() || c.Server.TrustedProxies != nil {
		t.Errorf("a null setting counts as left out: %+v", c)
	}
}

func TestPassword_hashers(t *testing.T) {
	t.Parallel()
	p := config.Default().Password
	if got, want := p.Hashers(), min(runtime.GOMAXPROCS(0), 107); got != want {
		t.Errorf("got %d, want %d", got, want)
	}
	p.Argon2.MemoryKiB = 1 << 20
	if got := p.Hashers(); got > 2 {
		t.Errorf("%d hashes of 1 GiB each", got)
	}
	p.MaxConcurrentHashes = 7
	if p.Hashers() != 7 {
		t.Error("a number in the file counts")
	}
}

func TestBaseURL(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		"":                                         "http://localhost:8484",
		`listen = "localhost:9000"`:                "http://localhost:9000",
		`listen = "127.0.0.1:9000"`:                "http://127.0.0.1:9000",
		`listen = "[::1]:9000"`:                    "http://[::1]:9000",
		`listen = "localhost:0"`:                   "http://localhost:0",
		`base_url = "https://ID.Example.Com"`:      "https://id.example.com",
		`base_url = "https://id.example.com:443"`:  "https://id.example.com",
		`base_url = "http://localhost:80"`:         "http://localhost",
		`base_url = "https://id.example.com:8443"`: "https://id.example.com:8443",
		`base_url = "https://[2001:DB8::1]:8443"`:  "https://[2001:db8::1]:8443",
		`base_url = "https://192.0.2.1"`:           "https://192.0.2.1",
	} {
		if c := valid(t, "server {\n"+src+"\n}\n"+in("mail.dev", "false")); c.Server.BaseURL != want {
			t.Errorf("%s: got %s, want %s", src, c.Server.BaseURL, want)
		}
	}
	cert, key := certificate(t, t.TempDir())
	c := valid(t, fmt.Sprintf("server {\n tls {\n cert_file = %q\n key_file = %q\n}\n}", cert, key))
	if c.Server.BaseURL != "https://localhost:8484" || !c.Server.TLS.Enabled() {
		t.Errorf("%+v", c.Server)
	}
}

// The inbox with everybody's codes is never on by itself where strangers could be.
func TestMail_devInbox(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]bool{
		"": true,
		in("server.base_url", `"https://id.example.com"`) + in("mail.dev", "false"):    false,
		in("server.base_url", `"https://id.example.com"`) + "plugin \"threadline\" {}": false,
		"mail {\n smtp {\n host = \"localhost\"\n}\n}\n":                               false,
		"mail {\n dev = true\n smtp {\n host = \"localhost\"\n}\n}\n":                  true,
		in("server.base_url", `"https://id.example.com"`) + in("mail.dev", "true"):     true,
		in("mail.dev", "false"): false,
		"server {\n listen = \":8484\"\n base_url = \"http://localhost:8484\"\n}\n": false,
		in("server.base_url", `"https://localhost"`):                                true,
	} {
		if c := valid(t, src); c.Mail.Dev != want {
			t.Errorf("%s: dev = %v", src, c.Mail.Dev)
		}
	}
}

func TestParse_networks(t *testing.T) {
	t.Parallel()
	c := valid(t, in("server.trusted_proxies", `["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1", "::ffff:192.0.2.8"]`))
	want := []string{"10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "::1/128", "192.0.2.8/32"}
	var got []string
	for _, p := range c.Server.TrustedProxies {
		got = append(got, p.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if !c.Server.TrustedProxies[0].Contains(netip.MustParseAddr("10.1.2.3")) {
		t.Error("a network contains its addresses")
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "500ms": 500 * time.Millisecond, "30s": 30 * time.Second, "30m": 30 * time.Minute, "36h": 36 * time.Hour,
		"60d": 60 * 24 * time.Hour, "2w": 14 * 24 * time.Hour, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, "1d12h": 36 * time.Hour, "0.1s": 100 * time.Millisecond,
	} {
		got, err := config.ParseDuration(s)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v", s, got, err)
		}
		if back, err := config.ParseDuration(config.FormatDuration(got)); err != nil || back != got {
			t.Errorf("%s is written %s and read %v, %v", s, config.FormatDuration(got), back, err)
		}
	}
	for _, s := range []string{"", "5", "-5m", "m", "5x", "5 m", "1e3s", "5m-", "٣m", "1h 30m", "NaN", "inf", "9999999999999d", "0x5s", "5ns", "+5s", ".5s"} {
		if d, err := config.ParseDuration(s); err == nil {
			t.Errorf("%q was read as %v", s, d)
		}
	}
	for d, want := range map[time.Duration]string{24 * time.Hour: "24h", 48 * time.Hour: "2d", 90 * time.Minute: "1h30m", time.Minute: "1m", 1500 * time.Millisecond: "1.5s", 61 * time.Second: "1m1s"} {
		if got := config.FormatDuration(d); got != want {
			t.Errorf("%v is written %s, want %s", d, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int64{"1B": 1, "64KiB": 65536, "1MiB": 1 << 20, "2GiB": 2 << 30, "10MB": 1e7, "1.5KiB": 1536, "1kB": 1000, "0B": 0} {
		got, err := config.ParseSize(s)
		if err != nil || got != want {
			t.Errorf("%s: %d, %v", s, got, err)
		}
		if back, err := config.ParseSize(config.FormatSize(got)); err != nil || back != got {
			t.Errorf("%s is written %s and read %d, %v", s, config.FormatSize(got), back, err)
		}
	}
	for _, s := range []string{"", "5", "MiB", "-1B", "1 MiB", "1mib", "1TiB", "1e3B", "99999999999999999GiB"} {
		if n, err := config.ParseSize(s); err == nil {
			t.Errorf("%q was read as %d", s, n)
		}
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	names := []string{"listen", "base_url", "idle_timeout", "required", "data_dir", "warn"}
	for word, want := range map[string]string{
		"lisen": "listen", "listne": "listen", "baseurl": "base_url", "BASE_URL": "base_url", "idle-timeout": "idle_timeout", "timeout": "idle_timeout",
		"warning": "warn", "require": "required", "frobnicate": "", "x": "", "": "", strings.Repeat("listen", 100): "", "lsn": "",
	} {
		if got := config.Suggest(word, names); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
