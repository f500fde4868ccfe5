package config_test

import (
	"crypto/elliptic"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/config"
)

var update = flag.Bool("update", false, "write the golden files and sigra.hcl.example anew")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// rootKey and its like are random and protect nothing.
const (
	rootKey  = "3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhs="
	otherKey = "deadbeef000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c"
)

func parse(t testing.TB, src string, environ ...string) (*config.Config, config.Diagnostics) {
	t.Helper()
	if environ == nil {
		environ = []string{}
	}
	return config.Loader{Environ: environ}.Parse([]byte(src), "sigra.hcl")
}

func valid(t testing.TB, src string, environ ...string) *config.Config {
	t.Helper()
	c, ds := parse(t, src, environ...)
	if ds.HasErrors() || c == nil {
		t.Fatalf("unexpected errors:\n%s", ds)
	}
	return c
}

var ignore = cmp.Options{cmpopts.IgnoreUnexported(config.Plugin{}), cmpopts.EquateComparable()}

func TestParse_emptyIsDefault(t *testing.T) {
	t.Parallel()
	c, ds := parse(t, "")
	if len(ds) != 0 {
		t.Fatal(ds)
	}
	if d := cmp.Diff(config.Default(), c, ignore); d != "" {
		t.Error(d)
	}
}

// Everything a reader of the example sees is the default, or commented out, or the one plugin.
func TestExample_isDefault(t *testing.T) {
	t.Parallel()
	c, ds := parse(t, config.Example())
	if len(ds) != 0 {
		t.Fatal(ds)
	}
	if len(c.Plugins) != 1 || c.Plugins[0].Name != "threadline" || !c.Plugins[0].Enabled || c.Plugins[0].External() {
		t.Errorf("plugins: %+v", c.Plugins)
	}
	c.Plugins = nil
	if d := cmp.Diff(config.Default(), c, ignore); d != "" {
		t.Error(d)
	}
}

func TestExample_rootFile(t *testing.T) {
	t.Parallel()
	const path = "../../sigra.hcl.example"
	if *update {
		if err := os.WriteFile(path, []byte(config.Example()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(config.Example(), string(b)); d != "" {
		t.Errorf("sigra.hcl.example differs from core/config/example.hcl; go test ./core/config -update copies it:\n%s", d)
	}
}

// With the comment signs taken off, the example must still be right: nobody should paste a mistake.
func TestExample_commentsAreValidToo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src := strings.ReplaceAll(config.Example(), `env("`, `env("EX_`)
	var out []string
	setting := regexp.MustCompile(`^\s*# {1,3}(\s*)((#? ?[a-z_0-9]+ += .*)|([a-z_0-9]+ ("[a-z._]+" )?\{.*)|\})$`)
	drop := map[string]bool{"trusted_proxies = []": true}
	for _, line := range strings.Split(src, "\n") {
		if drop[strings.TrimSpace(line)] || strings.Contains(line, "insecure_unpinned") || strings.Contains(line, "reattach") || strings.Contains(line, "preset") {
			continue
		}
		if m := setting.FindStringSubmatch(line); m != nil {
			line = m[1] + m[2]
		}
		out = append(out, line)
	}
	text := strings.Join(out, "\n")
	cert, key := certificate(t, dir)
	apple := filepath.Join(dir, "apple.p8")
	if err := os.WriteFile(apple, []byte(p8(t, elliptic.P256())), 0o600); err != nil {
		t.Fatal(err)
	}
	text = strings.NewReplacer("/run/secrets/AuthKey_F6G7H8I9J0.p8", apple, "/etc/sigra/tls/cert.pem", cert, "/etc/sigra/tls/key.pem", key, `rp_id = "example.com"`, `rp_id = "localhost"`,
		`file("/run/secrets/sigra-root-key-2025")`, fmt.Sprintf("%q", otherKey[:64]), "http://localhost:8484", "https://localhost:8484",
		"sigra@localhost", "sigra@example.com").Replace(text)
	c := valid(t, text, "EX_SIGRA_DATABASE_URL=postgres://sigra:pw@db:5432/sigra", "EX_SIGRA_ROOT_KEY="+rootKey, "EX_SIGRA_CAPTCHA_SECRET=0x4AAAAAAA-secret",
		"EX_SIGRA_OTLP_AUTHORIZATION=Bearer x", "EX_GOOGLE_CLIENT_ID=g", "EX_GOOGLE_CLIENT_SECRET=g", "EX_MICROSOFT_CLIENT_ID=m", "EX_MICROSOFT_CLIENT_SECRET=m",
		"EX_WORK_CLIENT_SECRET=w", "EX_FORGE_CLIENT_SECRET=f", "EX_GREETER_DATABASE_URL=sqlite:///tmp/greeter.db", "EX_SIGRA_SMTP_PASSWORD=hunter2")
	if c.Keyring.RootKey.IsZero() || len(c.Keyring.OldRootKeys) != 1 || c.Database.URL.IsZero() || c.Abuse.Captcha.Secret.IsZero() || c.Abuse.Captcha.URL == "" || c.Abuse.Captcha.Hostname == "" || len(c.Telemetry.OTLP.Headers) != 1 ||
		len(c.Plugins) != 7 || len(c.Plugins[6].Gates) != 1 || c.Plugins[6].User != "nobody" || len(c.Access) != 1 || len(c.Access[0].Roles) != 1 ||
		c.Plugins[6].Limits != (config.PluginLimits{Memory: 128 << 20, OpenFiles: 256}) || c.Plugins[6].DatabaseURL.IsZero() || !c.Server.TLS.Enabled() || len(c.Server.TrustedProxies) != 2 ||
		len(c.Providers) != 5 || len(c.Providers[4].AuthorizeParams) != 1 || c.Providers[2].PrivateKey.IsZero() || c.Providers[4].Claims.Picture != "avatar.url" ||
		!c.Mail.SMTP.Enabled() || c.Mail.SMTP.Password.IsZero() || c.Mail.Templates == "" || c.Messages == "" || c.Pages == "" {
		t.Errorf("not every commented setting was read:\n%s\n%+v", text, c)
	}
}

// The example and the page in docs name every setting there is.
func TestSettings_allDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	settings := config.Settings()
	if len(settings) < 70 {
		t.Fatalf("only %d settings found", len(settings))
	}
	for _, s := range settings {
		name := s.Path[strings.LastIndexByte(s.Path, '.')+1:]
		if !regexp.MustCompile(`(?m)(^|[^a-z_])` + name + `($|[^a-z_])`).MatchString(config.Example()) {
			t.Errorf("%s is not in the example", s.Path)
		}
		if s.Kind == "block" {
			if !strings.Contains(string(page), "`"+name) {
				t.Errorf("block %s is not in docs/configuration.md", s.Path)
			}
		} else if !strings.Contains(string(page), "| `"+s.Path+"` |") {
			t.Errorf("%s has no row in docs/configuration.md", s.Path)
		}
	}
	// And no row is about something that isn't there.
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_.0-9]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		found := false
		for _, s := range settings {
			found = found || s.Path == m[1]
		}
		if !found {
			t.Errorf("docs/configuration.md has a row for %s, which is no setting", m[1])
		}
	}
}

// The questions are core/gate's, which stands above this package; its text says what they are.
func TestGates_knowTheQuestionsOfTheCore(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile("../gate/gate.go")
	if err != nil {
		t.Fatal(err)
	}
	questions := regexp.MustCompile(`(?m)^\t\w+\s+Question = "([a-z_.]+)"`).FindAllStringSubmatch(string(src), -1)
	if len(questions) < 8 {
		t.Fatalf("found only %d questions in core/gate", len(questions))
	}
	for _, q := range questions {
		c := valid(t, fmt.Sprintf("plugin \"p\" {\n gate %q {}\n}", q[1]))
		if g := c.Plugins[0].Gates[0]; g.Question != q[1] || g.OnError != config.OnErrorDeny {
			t.Errorf("%+v", g)
		}
	}
	_, ds := parse(t, "plugin \"p\" {\n  gate \"nonsense\" {}\n}")
	if n := strings.Count(ds.String(), ","); n != len(questions)-1 {
		t.Errorf("config knows %d questions, core/gate %d", n+1, len(questions))
	}
}
