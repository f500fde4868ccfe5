package config_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sigra-auth/sigra/core/config"
)

// No text makes the parser panic, hang, or complain without saying where; and what it takes holds together.
func FuzzParse(f *testing.F) {
	f.Add(config.Example())
	f.Add(strings.Repeat("(", 100_000))
	f.Add("x = " + strings.Repeat("!", 100_000) + "true")
	f.Add("x = " + strings.Repeat(`"${`, 1000))
	f.Add("x = " + strings.Repeat("1?1:", 5000) + "1")
	f.Add("x = " + strings.Repeat("a.", 50_000) + "b")
	f.Add(strings.Repeat("a {\n", 5000))
	f.Add(strings.Repeat("'", 100_000))
	f.Add(strings.Repeat("url = ", 50_000))
	f.Add("server {\ntrusted_proxies = [" + strings.Repeat("5,", 100_000) + "]\n}")
	f.Add("telemetry {\notlp {\nheaders = {" + strings.Repeat("\"\u00e9\" = 1,", 20_000) + "}\n}\n}")
	f.Add("root_key = <<-X\n${\n")
	files, err := filepath.Glob("testdata/malformed/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, m := range ar.Files {
			if strings.HasSuffix(m.Name, ".hcl") {
				f.Add(string(m.Data))
			}
		}
	}
	f.Fuzz(func(t *testing.T, src string) {
		if strings.Contains(src, "/proc") || strings.Contains(src, "/sys") || strings.Contains(src, "/dev") {
			t.Skip("a file that is another one at every read")
		}
		c, ds := parseIn(t, src)
		checkDiagnostics(t, src, ds)
		switch {
		case c == nil && !ds.HasErrors():
			t.Fatal("nothing was read, and nobody said why")
		case c != nil && ds.HasErrors():
			t.Fatal("an error, and yet a configuration")
		case c == nil:
			return
		}
		if c.Server.BaseURL == "" || c.Server.Listen == "" || c.DataDir == "" || c.Session.IdleTimeout <= 0 || c.Password.Hashers() < 1 {
			t.Errorf("does not hold together: %+v", c)
		}
		for _, p := range c.Plugins {
			if p.External() && p.SHA256 == "" && !p.InsecureUnpinned {
				t.Errorf("an unpinned program: %+v", p)
			}
			_, ds := p.Decode(greeterSpec)
			checkDiagnostics(t, src, ds)
		}
	})
}
