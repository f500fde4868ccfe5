package config_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sigra-auth/sigra/core/config"
)

// No text makes the parser panic, hang, or complain without saying where; and what it takes holds together.
func FuzzParse(f *testing.F) {
	f.Add(config.Example())
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
		if len(src) > 4<<10 {
			t.Skip("size is TestParse_hostile's")
		}
		if strings.Contains(src, "/proc") || strings.Contains(src, "/sys") || strings.Contains(src, "/dev") {
			t.Skip("a file that is another one at every read")
		}
		c, ds := parseIn(t, src)
		checkDiagnostics(t, src, ds)
		if !leaks.MatchString(src) {
			checkSecrets(t, ds) // of the environment
		}
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

// Long texts made to cost as much as possible: none overflows the stack (which nothing could recover from), none
// takes more than a moment.
func TestParse_hostile(t *testing.T) {
	t.Parallel()
	const size = 100_000
	fill := func(before, part, after string) string {
		return before + strings.Repeat(part, (size-len(before)-len(after))/len(part)) + after
	}
	for name, src := range map[string]string{
		"parentheses":       fill("x = ", "(", ""),
		"lists":             fill("x = ", "[", ""),
		"blocks":            fill("", "a {\n", ""),
		"templates":         fill("x = ", `"${`, ""),
		"negations":         fill("x = ", "!", "true"),
		"minus":             fill("x = 1", "-", "1"),
		"sums":              fill("x = 1", "+1", ""),
		"conditions":        fill("x = ", "1?1:", "1"),
		"condition lines":   fill("x = (", "1?1:\n", "1)"),
		"negation lines":    fill("x = (", "!\n", "true)"),
		"indexes":           fill("x = a", "[0]", ""),
		"traversals":        fill("x = ", "a.", "b"),
		"calls":             fill("x = ", "env(", ""),
		"quotes":            fill("", "'", ""),
		"urls":              fill("", "url = ", ""),
		"secrets":           fill("", "token = ", ""),
		"wrong entries":     fill("server {\ntrusted_proxies = [", "5,", "]\n}"),
		"entries":           fill("plugin \"p\" {\nenv = [", "\"A\",", "]\n}"),
		"wrong headers":     fill("telemetry {\notlp {\nheaders = {", "\"é\" = 1,", "}\n}\n}"),
		"plugins":           fill("", "plugin \"p\" {}\n", ""),
		"bad names":         fill("", "plugin \"P-\" {}\n", ""),
		"unknown blocks":    fill("", "sever {}\n", ""),
		"loops":             fill("x = [", "[for a in [1]: a],", "]"),
		"numbers":           fill("x = [", "1e99999999,", "]"),
		"heredocs":          fill("", "a = <<X\n", ""),
		"NUL":               fill("", "\x00", ""),
		"invalid UTF-8":     fill("data_dir = \"", "\xff", "\""),
		"one long word":     fill("", "a", " = 1"),
		"combining letters": fill("data_dir = \"e", "\u0301", "\" + 1"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			c, ds := parse(t, src)
			if c != nil || !ds.HasErrors() {
				t.Error("was taken")
			}
			checkDiagnostics(t, src, ds)
			if d := time.Since(start); d > time.Minute { // generous: it is about minutes or never, not about a loaded machine
				t.Errorf("took %v", d)
			}
		})
	}
}
