package config_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sigra-auth/sigra/core/config"
)

// Every file in testdata/malformed holds pairs: a configuration, and all that is said of it, to the letter. After a change,
// -update writes the messages anew; read the difference as a user would.
func TestMalformed(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/malformed/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var out []txtar.File
		for i, f := range ar.Files {
			name, isSource := strings.CutSuffix(f.Name, ".hcl")
			if !isSource {
				continue
			}
			n++
			want := ""
			if i+1 < len(ar.Files) && ar.Files[i+1].Name == name+".want" {
				want = string(ar.Files[i+1].Data)
			}
			_, ds := parseIn(t, string(f.Data))
			got := ds.String() + "\n"
			out = append(out, f, txtar.File{Name: name + ".want", Data: []byte(got)})
			if *update {
				continue
			}
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar")+"/"+name, func(t *testing.T) {
				t.Parallel()
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("messages differ (-want +got):\n%s", d)
				}
				if len(ds) == 0 {
					t.Error("nothing was reported")
				}
				checkDiagnostics(t, string(f.Data), ds)
				checkSecrets(t, ds)
			})
		}
		if *update {
			ar.Files = out
			if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d malformed configurations", n)
	}
}

// parseIn parses in a world where a few variables and files are known.
func parseIn(t testing.TB, src string) (*config.Config, config.Diagnostics) {
	t.Helper()
	return config.Loader{Environ: []string{
		"SIGRA_ROOT_KEY=" + rootKey, "EMPTY=", "WORD=hunter2hunter2", "NUMBER=12", "BINARY=\xff\xfe",
	}}.Parse([]byte(src), "testdata/sigra.hcl")
}

var leaks = regexp.MustCompile(`hunter2|supersecret|deadbeef0001|3q2\+7wAB`)

// checkDiagnostics holds what must be true of every diagnostic.
func checkDiagnostics(t testing.TB, src string, ds config.Diagnostics) {
	t.Helper()
	lines := strings.Count(src, "\n") + 1
	for _, d := range ds {
		switch {
		case d.Severity != config.Error && d.Severity != config.Warning:
			t.Errorf("no severity: %+v", d)
		case d.Summary == "" || strings.Contains(d.Summary, "\n"):
			t.Errorf("a summary is one line: %+v", d)
		case d.File == "" || d.Line < 1 || d.Line > lines || d.Column < 1:
			t.Errorf("no place in the file: %+v", d)
		case d.EndLine < d.Line:
			t.Errorf("ends before it starts: %+v", d)
		case strings.Contains(d.Source, "\n"), d.MarkStart < 0, d.MarkLength < 1, len([]rune(d.Source)) > 150:
			t.Errorf("the line can't be shown: %+v", d)
		}
	}
}

// checkSecrets holds that no secret is shown, whether it stands in the file or comes from outside.
func checkSecrets(t testing.TB, ds config.Diagnostics) {
	t.Helper()
	for _, d := range ds {
		if s := d.String(); leaks.MatchString(s) || leaks.MatchString(d.Suggestion) {
			t.Errorf("a secret is shown:\n%s", s)
		}
	}
}
