package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/config"
)

func TestDiagnostics_render(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, src, want string }{
		{"tabs", "server {\n\t\tlisten\t= \"x y\"\n}", "" +
			"sigra.hcl:2:12: error: listen is no address to listen on\n\n" +
			"    2 | \t\tlisten\t= \"x y\"\n" +
			"      | \t\t      \t  ^^^^^\n\n" +
			"  A host and a port, such as \"localhost:8484\"; \":8484\" listens on all addresses."},
		{"letters beyond ASCII", "mail {\n  service_name = \"Größe ✓\" + 1\n}", "" +
			"sigra.hcl:2:18: error: this can't be calculated with\n\n" +
			"    2 |   service_name = \"Größe ✓\" + 1\n" +
			"      |                  ^^^^^^^^^\n\n" +
			"  Texts are put together like this: \"${env(\"A\")}/b\"."},
		{"warning", "registration {\n  confirmation = \"deferred\"\n}", "" +
			"sigra.hcl:2:3: warning: deferred confirmation tells strangers who has an account\n\n" +
			"    2 |   confirmation = \"deferred\"\n" +
			"      |   ^^^^^^^^^^^^^^^^^^^^^^^^^\n\n" +
			"  Sign-up answers differently for a known address. With \"required\" it never does."},
	} {
		_, ds := parse(t, c.src)
		if d := cmp.Diff(c.want, ds.String()); d != "" {
			t.Errorf("%s:\n%s", c.name, d)
		}
	}
}

func TestDiagnostics_longLine(t *testing.T) {
	t.Parallel()
	_, ds := parse(t, "server {\n  trusted_proxies = ["+strings.Repeat(`"10.0.0.0/8", `, 50)+`"nonsense", `+strings.Repeat(`"10.0.0.0/8", `, 50)+"]\n}")
	if len(ds) != 1 {
		t.Fatal(ds)
	}
	lines := strings.Split(ds.String(), "\n")
	if len([]rune(lines[2])) > 160 || !strings.Contains(lines[2], "…") {
		t.Errorf("the line is not cut: %s", lines[2])
	}
	at := strings.Index(lines[3], "^")
	if got := string([]rune(lines[2])[at : at+10]); got != `"nonsense"` {
		t.Errorf("the mark is at %s\n%s", got, ds)
	}
}

func TestDiagnostics_colour(t *testing.T) {
	t.Parallel()
	_, ds := parse(t, "lisen = 1")
	var b bytes.Buffer
	if err := ds.Render(&b, true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "\x1b[31m") || strings.Contains(ds.String(), "\x1b") {
		t.Errorf("%q", b.String())
	}
}

// What a reload answers over the control socket is shown by the CLI as if it had read the file itself.
func TestDiagnostics_json(t *testing.T) {
	t.Parallel()
	_, ds := parse(t, "server {\n  lisen = \"x\"\n}\nplugin \"p\" {\n  gate \"logn\" {}\n}\nregistration {\n  confirmation = \"deferred\"\n}")
	if len(ds) != 3 {
		t.Fatal(ds)
	}
	b, err := json.Marshal(ds)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"severity":"error"`, `"did_you_mean":"listen"`, `"did_you_mean":"login"`, `"plugin":"p"`, `"line":2`, `"column":3`, `"file":"sigra.hcl"`, `"setting":"registration.confirmation"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is missing in %s", want, b)
		}
	}
	var back config.Diagnostics
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if back.String() != ds.String() {
		t.Errorf("got\n%s\nwant\n%s", back, ds)
	}
}

func TestDiagnostics_err(t *testing.T) {
	t.Parallel()
	c, ds := parse(t, in("registration.confirmation", `"deferred"`))
	if c == nil || ds.Err() != nil || len(ds) != 1 {
		t.Error("a warning stops nothing")
	}
	_, ds = parse(t, "x = 1")
	if err := ds.Err(); err == nil || !strings.Contains(err.Error(), "sigra.hcl:1:1") {
		t.Error(err)
	}
}

func TestDiagnostics_flood(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "wrong_%d = 1\n", i)
	}
	_, ds := parse(t, b.String())
	if len(ds) != 101 || !strings.Contains(ds[100].Summary, "not shown") || ds[0].Line != 1 {
		t.Errorf("%d diagnostics, the last: %s", len(ds), ds[len(ds)-1])
	}
}

// Whatever typing mistake is made around a secret, the message about it does not show it.
func TestDiagnostics_typosNeverShowSecrets(t *testing.T) {
	t.Parallel()
	const src = `keyring {
  root_key = "3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhs="
  old_root_keys = ["8f1c5d2e9a3b7c6d", env("KEY", "jZ0yT1xQ9wE8rV7b")]
}
events {
  token = "0d1e2f3a4b5c6d7e8f90" # 5c0b1a2d3e4f5061
  token = <<EOT
9b8a7c6d5e4f3a2b1c0d
EOT
}
database { url = "postgres://sigra:hunter2@db/sigra" }
telemetry {
  otlp {
    headers = { authorization = "Bearer Zm9vYmFyMTIzNDU2Nzg5", "x-key" = "c2VjcmV0MTIzNDU2" }
  }
}
`
	secrets := []string{"+7wABAgMEB", "HCAkKCwwND", "8QERITFBUW", "8f1c5d2e9a", "1xQ9wE8rV7", "0d1e2f3a4b", "5c6d7e8f90", "5c0b1a2d3e", "9b8a7c6d5e", "4f3a2b1c0d", "hunter2", "m9vYmFyMTI", "VjcmV0MTIz"}
	check := func(how, text string) {
		_, ds := parse(t, text)
		for _, d := range ds {
			s := d.String()
			for _, secret := range secrets {
				if strings.Contains(s, secret) {
					t.Errorf("%s:\n%s", how, s)
				}
			}
		}
	}
	for i := range len(src) {
		check("cut", src[:i])
		check("left out", src[:i]+src[i+1:])
		c := string("\"\n=# "[i%5]) // one of them at each place: a quote is open for many, and each parse is dear
		check("put in "+c, src[:i]+c+src[i:])
	}
}

// A whole configuration can be logged by accident without telling a secret.
func TestConfig_neverShowsSecrets(t *testing.T) {
	t.Parallel()
	c := valid(t, `
database {
  url = "postgres://sigra:hunter2@db/sigra"
}
keyring {
  root_key      = "`+rootKey+`"
  old_root_keys = ["`+otherKey[:64]+`"]
}
telemetry {
  otlp {
    endpoint = "https://otel.example.com"
    headers  = { authorization = "supersecret" }
  }
}
plugin "p" {
  database {
    url = "postgres://p:hunter2@db/p"
  }
}
`)
	c.Plugins[0].Config = nil
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		fmt.Fprintf(&out, verb, *c)
		fmt.Fprintf(&out, verb, c)
	}
	b, err := json.Marshal(c.Keyring)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	hclog.New(&hclog.LoggerOptions{Output: &out, JSONFormat: true}).Info("config", "db", c.Database, "keyring", c.Keyring, "telemetry", c.Telemetry, "events", c.Events)
	hclog.New(&hclog.LoggerOptions{Output: &out}).Info("config", "all", c)
	for _, s := range []string{rootKey, otherKey[:20], "hunter2", "supersecret", fmt.Sprintf("%x", "hunter2")} {
		if i := strings.Index(out.String(), s); i >= 0 {
			t.Errorf("%s leaked: …%s", s, out.String()[max(0, i-60):i])
		}
	}
}
