package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Platform is where this program runs, as a lock file writes it: "linux_amd64".
const Platform = runtime.GOOS + "_" + runtime.GOARCH

var platformName = regexp.MustCompile(`^[a-z][a-z0-9]*_[a-z0-9]+$`)

// IsPlatform reports whether s can stand in a lock file: an operating system and an architecture as Go names them.
func IsPlatform(s string) bool { return platformName.MatchString(s) }

// Lock is a lock file: which program each external plugin is, by its sha256, on each platform it runs on. One file
// serves a fleet of machines that are not all of one kind. A sha256 in a plugin's block wins over it.
//
//	plugin "greeter" {
//	  linux_amd64 = "5f70…"
//	  linux_arm64 = "09ab…"
//	  accepts = [
//	    "identity.read",
//	  ]
//	}
//
// accepts is what the plugin asked for when it was locked: one that asks for more later does not start.
type Lock struct {
	sums     map[string]map[string]locked // by plugin, by platform
	accepted map[string][]string          // by plugin
}

type locked struct{ sum, at string }

const lockHeader = `# The programs that Sigra may run as plugins, by sha256. "sigra plugin lock" writes this file; keep it beside the
# configuration, under version control.
`

// LockPath is where the lock file of a configuration file lies: sigra.lock.hcl beside sigra.hcl.
func LockPath(file string) string { return strings.TrimSuffix(file, ".hcl") + ".lock.hcl" }

// LoadLock reads a lock file. One that is not there is empty.
func LoadLock(path string) (*Lock, Diagnostics) {
	l := &Lock{sums: map[string]map[string]locked{}, accepted: map[string][]string{}}
	text, err := readFile(path, maxSource)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return l, nil
	case errors.Is(err, errNotRegular), errors.Is(err, errTooLarge):
		return nil, Diagnostics{{Severity: Error, File: path, Summary: "this is not a lock file", Detail: sentence(err.Error())}}
	case err != nil:
		return nil, Diagnostics{{Severity: Error, File: path, Summary: "the lock file can't be read", Detail: sentence(reason(err))}}
	}
	s := newSource(text, path, []string{})
	body, diags := s.parse()
	if body == nil || diags.HasErrors() {
		return nil, diags
	}
	r := &lockReader{src: s, lock: l}
	r.read(body)
	if r.diags.HasErrors() {
		return nil, r.diags.sorted()
	}
	return l, nil
}

// lockReader makes a Lock of a parsed file.
type lockReader struct {
	src   *source
	lock  *Lock
	diags Diagnostics
}

func (r *lockReader) say(at hcl.Range, summary, detail string) {
	r.diags = append(r.diags, r.src.place(Diagnostic{Severity: Error, Summary: summary, Detail: detail}, at))
}

func (r *lockReader) read(body *hclsyntax.Body) {
	for _, a := range body.Attributes {
		r.say(a.SrcRange, "a lock file has plugin blocks only", "Write it with `sigra plugin lock`.")
	}
	for _, b := range body.Blocks {
		switch {
		case b.Type != "plugin" || len(b.Labels) != 1 || len(b.Body.Blocks) > 0:
			r.say(b.DefRange(), "a lock file has plugin blocks only", `Each is plugin "name" { … } with a line for each platform.`)
			continue
		case r.lock.sums[b.Labels[0]] != nil:
			r.say(b.DefRange(), fmt.Sprintf("plugin %s is here twice", b.Labels[0]), "After a merge, perhaps? One block per plugin.")
			continue
		}
		sums := map[string]locked{}
		r.lock.sums[b.Labels[0]] = sums
		for name, a := range b.Body.Attributes {
			if name == "accepts" {
				r.accepts(b.Labels[0], a)
				continue
			}
			if !IsPlatform(name) {
				r.say(a.NameRange, fmt.Sprintf("%s is no platform", name), "An operating system and an architecture, such as "+Platform+".")
			}
			v, hd := a.Expr.Value(nil)
			var sum string
			if !hd.HasErrors() && v.IsKnown() && !v.IsNull() && v.Type() == cty.String {
				sum = v.AsString()
			}
			if !hexDigest.MatchString(sum) {
				r.say(a.Expr.Range(), "must be 64 hexadecimal digits, lower-case", "`sigra plugin lock "+b.Labels[0]+"` writes them.")
				continue
			}
			sums[name] = locked{sum, fmt.Sprintf("%s:%d:%d", r.src.name, a.SrcRange.Start.Line, a.SrcRange.Start.Column)}
		}
	}
}

// accepts reads what a plugin may ask for.
func (r *lockReader) accepts(plugin string, a *hclsyntax.Attribute) {
	v, hd := a.Expr.Value(nil)
	list := []string{}
	ok := !hd.HasErrors() && v.IsWhollyKnown() && !v.IsNull() && (v.Type().IsTupleType() || v.Type().IsListType())
	if ok {
		for _, e := range v.AsValueSlice() {
			if ok = ok && !e.IsNull() && e.Type() == cty.String; ok {
				list = append(list, e.AsString())
			}
		}
	}
	if !ok {
		r.say(a.Expr.Range(), "must be a list of texts", "`sigra plugin lock "+plugin+"` writes it.")
		return
	}
	r.lock.accepted[plugin] = list
}

// Accepted is what a plugin may ask for; nil when the file does not say.
func (l *Lock) Accepted(plugin string) []string { return l.accepted[plugin] }

// Accept puts in what a plugin may ask for from now on.
func (l *Lock) Accept(plugin string, rights []string) {
	l.accepted[plugin] = append([]string{}, rights...)
}

// Sum is the checksum of a plugin's program on a platform, and where that is written.
func (l *Lock) Sum(plugin, platform string) (sum, at string, ok bool) {
	e, ok := l.sums[plugin][platform]
	return e.sum, e.at, ok
}

// Platforms are those that a plugin is locked for.
func (l *Lock) Platforms(plugin string) []string { return slices.Sorted(maps.Keys(l.sums[plugin])) }

// Set puts a checksum in, or another one.
func (l *Lock) Set(plugin, platform, sum string) {
	if l.sums[plugin] == nil {
		l.sums[plugin] = map[string]locked{}
	}
	l.sums[plugin][platform] = locked{sum: sum}
}

// Text is the lock file. The same content gives the same text, so that changes read well in version control.
func (l *Lock) Text() string {
	var b strings.Builder
	b.WriteString(lockHeader)
	for _, plugin := range slices.Sorted(maps.Keys(l.sums)) {
		platforms := l.Platforms(plugin)
		width := 0
		for _, p := range platforms {
			width = max(width, len(p))
		}
		fmt.Fprintf(&b, "\nplugin %q {\n", plugin)
		for _, p := range platforms {
			fmt.Fprintf(&b, "  %-*s = %q\n", width, p, l.sums[plugin][p].sum)
		}
		if rights, ok := l.accepted[plugin]; ok {
			b.WriteString("  accepts = [\n")
			for _, r := range rights {
				fmt.Fprintf(&b, "    %q,\n", r)
			}
			b.WriteString("  ]\n")
		}
		b.WriteString("}\n")
	}
	return b.String()
}
