package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

//go:embed template
var templates embed.FS

// Seam is one of the things that a plugin can do, by the name that `sigra plugin new --seam` takes.
type Seam string

// The seams.
const (
	Routes Seam = "routes"
	Gate   Seam = "gate"
	Audit  Seam = "audit"
	Events Seam = "events"
	Mailer Seam = "mailer"
	Login  Seam = "login"
	Claims Seam = "claims"
)

// Seams are all of them, in the order of the documentation.
func Seams() []Seam { return []Seam{Audit, Events, Mailer, Gate, Routes, Login, Claims} }

// Default is what a plugin begins with when nothing else is asked for: a page, which shows at once that it runs, and a
// gate, which shows what a plugin can have a say in. Neither needs a database.
func Default() []Seam { return []Seam{Routes, Gate} }

// Config says what to write.
type Config struct {
	Name   string // of the plugin and its block
	Dir    string // must not exist, or be empty; empty means the name
	Module string // path of the Go module; empty means example.com/sigra-plugin-NAME
	Seams  []Seam // nil means Default
	SDK    SDK
}

// SDK is where the module gets Sigra's SDK from.
type SDK struct {
	Version  string // "v1.2.3"; empty means the one that Checkout replaces
	Checkout string // a folder with Sigra's source to build against, for development of Sigra itself
}

// Result is what was written.
type Result struct {
	Dir     string   `json:"dir"`     // absolute
	Files   []string `json:"files"`   // below Dir
	Program string   `json:"program"` // where `go build` puts the program
	Block   string   `json:"block"`   // the block for sigra.hcl
}

var (
	namePattern    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	versionPattern = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)
	modulePattern  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]*(/[A-Za-z0-9][A-Za-z0-9._~-]*)*$`)
	majorSuffix    = regexp.MustCompile(`^v[2-9][0-9]*$`)
)

// CheckName says whether Sigra will take a plugin of this name.
func CheckName(name string) error {
	if namePattern.MatchString(name) {
		return nil
	}
	const want = "a plugin's name is a lower-case letter, then lower-case letters, digits and underscores, 63 at most"
	like := strings.Map(func(r rune) rune {
		if r == '-' || r == '.' || r == ' ' {
			return '_'
		}
		return r
	}, strings.ToLower(name))
	if namePattern.MatchString(like) {
		return fmt.Errorf("%q can't be a name: %s; %q would do", name, want, like)
	}
	return fmt.Errorf("%q can't be a name: %s", name, want)
}

// view is what the templates see.
type view struct {
	Config
	Has      map[string]bool
	Storage  bool // a seam keeps something in a database
	Program  string
	Source   string // absolute path of the program
	Requires []string
	Grants   string
	Settings string // JSON that Configure takes
}

func (c Config) check() (Config, error) {
	if err := CheckName(c.Name); err != nil {
		return c, err
	}
	if c.Module == "" {
		c.Module = "example.com/sigra-plugin-" + strings.ReplaceAll(c.Name, "_", "-")
	}
	if !modulePattern.MatchString(c.Module) {
		return c, fmt.Errorf("%q can't be the path of a Go module; it looks like example.com/sigra-plugin-%s", c.Module, c.Name)
	}
	if len(c.Seams) == 0 {
		c.Seams = Default()
	}
	for _, s := range c.Seams {
		if !slices.Contains(Seams(), s) {
			return c, fmt.Errorf("there is no seam %q; the seams are %s", s, list(Seams()))
		}
	}
	if c.Dir == "" {
		c.Dir = c.Name
	}
	var err error
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return c, err
	}
	switch {
	case c.SDK.Checkout == "" && !versionPattern.MatchString(c.SDK.Version):
		return c, fmt.Errorf("%q is no version of the SDK; it looks like v1.2.3", c.SDK.Version)
	case c.SDK.Version == "":
		c.SDK.Version = "v0.0.0"
	}
	return c, nil
}

func list(seams []Seam) string {
	var out []string
	for _, s := range seams {
		out = append(out, string(s))
	}
	return strings.Join(out, ", ")
}

// programName is what `go build` calls the program of a module.
func programName(module string) string {
	last := path.Base(module)
	if majorSuffix.MatchString(last) && path.Dir(module) != "." {
		last = path.Base(path.Dir(module))
	}
	return last
}

func newView(c Config) (view, error) {
	v := view{Config: c, Has: map[string]bool{}, Program: programName(c.Module), Settings: "{}"}
	for _, s := range c.Seams {
		v.Has[string(s)] = true
	}
	v.Storage = v.Has[string(Audit)] || v.Has[string(Events)]
	v.Source = filepath.Join(c.Dir, v.Program)
	var grants []string
	for _, s := range Seams() {
		if g := map[Seam]string{
			Audit: "audit.receive", Events: "events.receive:billing.*", Mailer: "mail.deliver", Routes: "routes.public:/" + c.Name, Login: "login.offer", Claims: "claims.add:plan",
		}[s]; g != "" && v.Has[string(s)] {
			grants = append(grants, strconv.Quote(g))
		}
	}
	v.Grants = strings.Join(grants, ", ")
	if v.Has[string(Mailer)] {
		v.Settings = `{"folder": "` + "` + t.TempDir() + `" + `"}`
	}
	if c.SDK.Checkout != "" {
		requires, err := requirements(c.SDK.Checkout)
		if err != nil {
			return v, err
		}
		v.Requires = requires
	}
	return v, nil
}

// Write writes the module.
func Write(c Config) (Result, error) {
	c, err := c.check()
	if err != nil {
		return Result{}, err
	}
	v, err := newView(c)
	if err != nil {
		return Result{}, err
	}
	files := map[string][]byte{}
	err = fs.WalkDir(templates, "template", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(p, "template/"), ".tmpl")
		if seam, _, isGo := strings.Cut(name, ".go"); isGo && slices.Contains(Seams(), Seam(seam)) && !v.Has[seam] {
			return nil
		}
		text, err := v.render(p, name)
		if len(bytes.TrimSpace(text)) > 0 {
			files[v.place(name)] = text
		}
		return err
	})
	if err != nil {
		return Result{}, err
	}
	if c.SDK.Checkout != "" {
		if files["go.sum"], err = os.ReadFile(filepath.Join(c.SDK.Checkout, "go.sum")); err != nil {
			return Result{}, err
		}
	}
	if err := writeAll(c.Dir, files); err != nil {
		return Result{}, err
	}
	r := Result{Dir: c.Dir, Program: v.Source, Block: string(files[c.Name+".hcl"])}
	for name := range files {
		r.Files = append(r.Files, name)
	}
	slices.Sort(r.Files)
	return r, nil
}

// place is where a template's file goes.
func (v view) place(name string) string {
	switch name {
	case "gitignore":
		return ".gitignore"
	case "block.hcl":
		return v.Name + ".hcl"
	case "schema.sql":
		return "migrations/2026010101_begin.sql"
	}
	return name
}

func (v view) render(p, name string) ([]byte, error) {
	t, err := template.New(path.Base(p)).ParseFS(templates, p)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return nil, err
	}
	if !strings.HasSuffix(name, ".go") {
		return b.Bytes(), nil
	}
	out, err := format.Source(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", name, err, b.Bytes())
	}
	return out, nil
}

// writeAll makes the folder and puts the files there; on any error it takes away what it made.
func writeAll(dir string, files map[string][]byte) (err error) {
	if entries, rerr := os.ReadDir(dir); rerr == nil && len(entries) > 0 {
		return fmt.Errorf("%s is there already and not empty", dir)
	} else if rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		return fmt.Errorf("%s can't be used: %w", dir, rerr)
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(parent, ".sigra-plugin-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(tmp)
		}
	}()
	for name, text := range files {
		to := filepath.Join(tmp, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	return os.Rename(tmp, dir) // over an empty folder, or where nothing is
}
