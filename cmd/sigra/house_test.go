package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sigra-auth/sigra"

// floors is the house from the ground up. A package of core may import those on its own line and on lines above
// it in this list (which lie below it in the house), never one further down the list.
var floors = [][]string{
	{"fault", "secret", "request", "principal", "typed", "egress", "lang", "federation/preset", "metadata/schema"},
	{"config", "store", "telemetry"},
	{"part"},
	{"lease", "keyring", "commitlog", "topic"},
	{"audit"},
	{"event"},
	{"relay"},
	{"account", "metadata"},
	{"credential/password", "credential/password/argon2id", "credential/password/foreign", "credential/password/breach", "credential/totp", "credential/recoverycode", "credential/passkey", "onetime", "org", "mint", "erasure", "session", "sessionjwt", "device", "forwardauth", "apitoken", "federation", "ratelimit"},
	{"gate", "mail", "mail/smtp", "webhook", "ratelimit/captcha"},
	{"flow"},
	{"factor"},
	{"membership"},
	{"provision"},
	{"auth"},
	{"selfservice"},
	{"administration"},
	{"pluginhost/process"},
	{"pluginhost"},
	{"endpoint", "httpapi", "web", "cookie", "control"},
	{"server"},
}

// The floors of the domain, whose packages serve no HTTP and know no protobuf.
const firstDomain, lastDomain = 7, 16 // account … administration

// clients are packages of the domain that call out over HTTP: providers of logins, webhook endpoints, the list of breached
// passwords, captcha providers. They serve none.
var clients = []string{"federation", "webhook", "credential/password/breach", "ratelimit/captcha"}

func repoRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "..", "..")
}

// sources lists the Go files of the repository with their imports, by directory.
func sources(t *testing.T, visit func(dir, file string, imports []string)) {
	t.Helper()
	root := repoRoot(t)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "sigra-data" || name == "bin") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		var imports []string
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			imports = append(imports, p)
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		visit(filepath.ToSlash(filepath.Dir(rel)), name, imports)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func floorOf(pkg string) int {
	return slices.IndexFunc(floors, func(f []string) bool { return slices.Contains(f, pkg) })
}

func TestHouse_importsPointDown(t *testing.T) {
	t.Parallel()
	sources(t, func(dir, file string, imports []string) {
		test := strings.HasSuffix(file, "_test.go")
		for _, imp := range imports {
			ours, ok := strings.CutPrefix(imp, module+"/")
			switch {
			case !ok:
			case strings.HasPrefix(dir, "pluginsdk") && !strings.HasPrefix(ours, "pluginsdk"):
				t.Errorf("%s/%s imports %s: the SDK knows nothing of Sigra's inside", dir, file, ours)
			case strings.HasPrefix(dir, "plugins/"):
				satellite := strings.Split(dir, "/")[1]
				if !strings.HasPrefix(ours, "pluginsdk") && ours != "plugins/"+satellite && !strings.HasPrefix(ours, "plugins/"+satellite+"/") {
					t.Errorf("%s/%s imports %s: a satellite imports pluginsdk and nothing else of Sigra", dir, file, ours)
				}
			case strings.HasPrefix(ours, "plugins/"):
				if dir != "cmd/sigra" || file != "bundle.go" && !(test && strings.HasSuffix(ours, "test")) { // relyratest …: foreign services for tests
					t.Errorf("%s/%s imports %s: only cmd/sigra/bundle.go names satellites", dir, file, ours)
				}
			}
			from, isCore := strings.CutPrefix(dir, "core/")
			if !isCore || test {
				continue
			}
			if slices.ContainsFunc(strings.Split(from, "/"), func(dir string) bool { return strings.HasSuffix(dir, "test") }) { // storetest, authtest …: for tests only
				continue
			}
			at := floorOf(from)
			if at < 0 {
				t.Errorf("core/%s is on no floor: add it to floors", from)
				return
			}
			if to, ok := strings.CutPrefix(ours, "core/"); ok && floorOf(to) > at {
				t.Errorf("core/%s imports core/%s: arrows point down", from, to)
			}
			if at >= firstDomain && at <= lastDomain && (imp == "net/http" || strings.Contains(imp, "protobuf") || strings.HasPrefix(ours, "pluginsdk")) &&
				!slices.Contains(clients, from) {
				t.Errorf("core/%s imports %s: the domain serves no HTTP and knows no protobuf", from, imp)
			}
		}
	})
}

func TestHouse_topLevel(t *testing.T) {
	t.Parallel()
	allowed := []string{"go.mod", "go.sum", "core", "pluginsdk", "plugins", "clients", "cmd", "docs", "sigra.hcl.example", "README.md", "Makefile", "LICENSE"}
	entries, err := os.ReadDir(repoRoot(t))
	if err != nil {
		t.Fatal(err)
	}
	ignored := []string{"sigra-data", "bin", "dist"}
	for _, e := range entries {
		n := e.Name()
		if !strings.HasPrefix(n, ".") && !slices.Contains(allowed, n) && !slices.Contains(ignored, n) {
			t.Errorf("%s does not belong at the top", n)
		}
	}
}

// TestHouse_everyPackageIsDocumented wants a doc.go with a comment that says what the package owns.
func TestHouse_everyPackageIsDocumented(t *testing.T) {
	t.Parallel()
	packages := map[string]bool{}
	sources(t, func(dir, file string, _ []string) {
		if !strings.HasSuffix(file, "_test.go") {
			packages[dir] = true
		}
	})
	generated := regexp.MustCompile(`^pluginsdk/proto/`)
	for dir := range packages {
		if generated.MatchString(dir) || strings.HasPrefix(dir, "plugins/") && strings.Contains(dir, "/cmd/") {
			continue // generated, or a main of five lines
		}
		path := filepath.Join(repoRoot(t), filepath.FromSlash(dir), "doc.go")
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil || f.Doc == nil {
			t.Errorf("%s has no doc.go with a package comment", dir)
			continue
		}
		if words := len(strings.Fields(f.Doc.Text())); words < 25 {
			t.Errorf("%s/doc.go says little (%d words): what does the package own, and what does it refuse?", dir, words)
		}
	}
}

// TestHouse_noLongFiles keeps files at a length where one thing is in them.
func TestHouse_noLongFiles(t *testing.T) {
	t.Parallel()
	sources(t, func(dir, file string, _ []string) {
		if strings.HasSuffix(file, ".pb.go") || strings.HasSuffix(file, "_test.go") {
			return
		}
		b, err := os.ReadFile(filepath.Join(repoRoot(t), filepath.FromSlash(dir), file))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(b), "\n"); n > 500 {
			t.Errorf("%s/%s has %d lines: look for the second thing in it", dir, file, n)
		}
	})
}
