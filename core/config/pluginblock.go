package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Questions are what a plugin can be asked before something happens, in the order of the documentation. A test
// holds them equal to those of core/gate.
var questions = []string{"registration", "login", "session.step_up", "member.add", "member.remove", "user.delete", "token.issue", "route"}

var (
	pluginName   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	grantName    = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*(:[^\s:]+)?$`)
	eventPattern = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*(\.\*)?$`)
	userName     = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_.-]{0,31}|[0-9]{1,10})$`)
	hexDigest    = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

func checkPluginName(s string) *problem {
	if pluginName.MatchString(s) {
		return nil
	}
	p := &problem{is: "this is no name for a plugin", want: "A lower-case letter, then lower-case letters, digits and underscores, 63 at most."}
	if like := strings.Map(func(r rune) rune {
		if r == '-' || r == '.' || r == ' ' {
			return '_'
		}
		return r
	}, strings.ToLower(s)); pluginName.MatchString(like) {
		p.try = like
	}
	return p
}

func readPlugin(b *block, label string) Plugin {
	b.plugin = label
	p := Plugin{Name: label, Enabled: true, Range: b.header, ConfigRange: b.header, src: b.d.src, ranges: map[string]hcl.Range{}}
	for name, a := range b.body.Attributes {
		p.ranges[name] = a.SrcRange
	}
	for _, hb := range b.body.Blocks {
		p.ranges[strings.Join(append([]string{hb.Type}, hb.Labels...), ".")] = hb.DefRange()
	}
	b.file("source", &p.Source)
	b.text("sha256", &p.SHA256, strings.Repeat("5f", 32), func(s string) (string, *problem) {
		if hexDigest.MatchString(s) {
			return s, nil
		}
		pr := &problem{is: "must be 64 hexadecimal digits", want: "`sha256sum FILE` prints them."}
		if low := strings.TrimPrefix(strings.ToLower(strings.TrimSpace(s)), "sha256:"); hexDigest.MatchString(low) {
			pr.is, pr.try = "must be 64 hexadecimal digits, lower-case and nothing else", low
		} else if strings.Trim(low, "0123456789abcdef") == "" {
			pr.is = fmt.Sprintf("must be 64 hexadecimal digits, not %d", len(low))
		}
		return "", pr
	})
	b.boolean("insecure_unpinned", &p.InsecureUnpinned)
	b.file("reattach", &p.Reattach)
	b.boolean("enabled", &p.Enabled)
	b.boolean("required", &p.Required)
	p.Grants = b.texts("grants", "identity.read", func(s string) (string, *problem) {
		const want = `Such as "identity.read" or "routes.serve:/greeter"; ` + "`sigra plugin info NAME` lists those the plugin needs."
		if !grantName.MatchString(s) {
			return "", &problem{is: "has an entry that is no grant", want: want}
		}
		if kind, arg, ok := strings.Cut(s, ":"); ok && (kind == "routes.serve" || kind == "routes.public") && (!strings.HasPrefix(arg, "/") || strings.Contains(arg, "..") || strings.HasSuffix(arg, "/")) {
			return "", &problem{is: "has routes without a clean path", want: `A path starts with a slash and ends without one: "routes.serve:/greeter".`}
		}
		return s, nil
	})
	p.Env = b.texts("env", "SSL_CERT_FILE", func(s string) (string, *problem) {
		if !variableName.MatchString(s) {
			pr := &problem{is: "has an entry that is no name of an environment variable", want: `Names only, such as "SSL_CERT_FILE"; the values come from Sigra's own environment.`}
			if name, _, ok := strings.Cut(s, "="); ok && variableName.MatchString(name) {
				pr.try = name
			} else if name := strings.Trim(s, "${}"); variableName.MatchString(name) {
				pr.try = name
			}
			return "", pr
		}
		return s, nil
	})
	for _, e := range b.list("allowed_networks", "texts", "10.20.0.0/16") {
		prefix, pr := network(e.text)
		if pr != nil {
			b.wrong("allowed_networks", e.expr, e.at, *pr)
			continue
		}
		p.AllowedNetworks = append(p.AllowedNetworks, prefix)
	}
	b.labelled("gate", "member.add", func(s string) *problem {
		if slices.Contains(questions, s) {
			return nil
		}
		return &problem{is: fmt.Sprintf("%q is no question that a plugin can be asked", s), want: "The questions: " + strings.Join(questions, ", ") + ".", try: Suggest(s, questions)}
	}, func(b *block, question string) {
		// A gate that can't be asked keeps the door shut unless the operator says otherwise (ASVS 5.0 16.5.3: fail securely).
		g := PluginGate{Question: question, OnError: OnErrorDeny, Range: b.header}
		b.choice("on_error", &g.OnError, OnErrorDeny, OnErrorAllow)
		b.duration("timeout", &g.Timeout, 10*time.Millisecond, 30*time.Second, "")
		p.Gates = append(p.Gates, g)
	})
	b.text("user", &p.User, "nobody", func(s string) (string, *problem) {
		if userName.MatchString(s) {
			return s, nil
		}
		return "", &problem{is: "is no name of a user", want: "A user of this machine, such as \"nobody\", or the number of one."}
	})
	b.nested("limits", func(b *block) { readPluginLimits(b, &p.Limits) })
	p.Events.From = FromBeginning
	b.nested("events", func(b *block) { readPluginEvents(b, &p.Events) })
	b.nested("database", func(b *block) { b.secret("url", &p.DatabaseURL, databaseURL) })
	p.Config = &hclsyntax.Body{SrcRange: b.header, EndRange: b.header}
	b.rawConfig(&p)
	if b.d.probe == nil {
		b.d.pin(&p)
		checkPlugin(b, p)
	}
	p.Source, p.Reattach = absolute(p.Source), absolute(p.Reattach)
	return p
}

// absolute makes a path of a file that was named relatively say where it is: plugins run elsewhere.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); path != "" && err == nil {
		return abs
	}
	return path
}

// pin takes the checksum from the lock file when the block has none and does not say to do without.
func (d *decoder) pin(p *Plugin) {
	if d.lock == nil || p.Source == "" || p.InsecureUnpinned {
		return
	}
	p.Accepted = d.lock.Accepted(p.Name)
	if p.has("sha256") {
		return
	}
	p.SHA256, p.Locked, _ = d.lock.Sum(p.Name, Platform)
}

// rawConfig keeps the config block as it is.
func (b *block) rawConfig(p *Plugin) {
	if b.d.probe != nil {
		b.d.probe(Setting{Path: b.join("config"), Kind: "block"})
	}
	for i, hb := range b.claim("config") {
		switch {
		case len(hb.Labels) > 0:
			b.report("config", hb.LabelRanges[0], problem{is: "a config block has no label", want: "Write config { … }."})
		case i > 0:
			b.report("config", hb.TypeRange, problem{is: "there are two config blocks", want: fmt.Sprintf("The first is on line %d; put all settings into that one.", p.ConfigRange.Start.Line)})
		default:
			p.Config, p.ConfigRange = hb.Body, hb.DefRange()
		}
	}
}

// What is less than the least of these keeps any Go program from starting.
func readPluginLimits(b *block, l *PluginLimits) {
	b.size("memory", &l.Memory, 32*mib, 1024*gib)
	b.number("open_files", &l.OpenFiles, 32, 1<<20, "")
}

func readPluginEvents(b *block, e *PluginEvents) {
	pattern := func(s string) (string, *problem) {
		if eventPattern.MatchString(s) {
			return s, nil
		}
		p := &problem{is: "has an entry that is neither an action nor a prefix", want: `An action such as "auth.login.failure", or all below a prefix: "billing.*".`}
		if t := strings.TrimRight(s, "*."); t != "" && eventPattern.MatchString(t+".*") && s != t {
			p.try = t + ".*"
		}
		return "", p
	}
	e.Include = b.texts("include", "auth.login.failure", pattern)
	e.Exclude = b.texts("exclude", "auth.logout", pattern)
	b.choice("from", &e.From, FromBeginning, FromNow)
	for _, s := range e.Exclude {
		if slices.Contains(e.Include, s) {
			b.report("exclude", b.d.at("plugin.events.exclude", b.header), problem{is: fmt.Sprintf("%s is both included and excluded", s), want: "Remove it from one of the two."})
		}
	}
}

// checkPlugin looks for settings that contradict each other within a block.
func checkPlugin(b *block, p Plugin) {
	say := func(name string, pr problem) { b.report(name, p.At(name), pr) }
	has := p.has
	if p.Required && !p.Enabled {
		say("required", problem{is: "a plugin that is not enabled can't be required", want: "Sigra would never be ready. Remove one of the two settings."})
	}
	if p.User == "root" || p.User == "0" {
		say("user", problem{warn: true, is: fmt.Sprintf("plugin %s is to run as root", p.Name), want: "That is what this setting is there to avoid. Name a user that owns nothing, such as \"nobody\"."})
	}
	if !has("source") {
		if has("sha256") {
			say("sha256", problem{is: "sha256 is there but no source", want: "A plugin without source is part of Sigra's own binary. Remove sha256, or name the binary in source."})
		}
		if p.InsecureUnpinned {
			say("insecure_unpinned", problem{is: "insecure_unpinned is there but no source", want: "A plugin without source is part of Sigra's own binary and needs no checksum. Remove the line."})
		}
		if has("reattach") {
			say("reattach", problem{is: "reattach is there but no source", want: "Only a program of its own can run under a debugger. Name the binary in source."})
		}
		return
	}
	if has("reattach") && !p.InsecureUnpinned {
		say("reattach", problem{is: "reattach needs insecure_unpinned = true",
			want: "Whoever can write that file decides what Sigra talks to. It is for development: say so, or remove the line."})
	}
	switch {
	case b.d.unpinned: // they are about to be pinned
	case p.Locked != "":
	case !has("sha256") && !p.InsecureUnpinned && b.d.lock != nil && len(b.d.lock.Platforms(p.Name)) > 0:
		say("source", problem{is: fmt.Sprintf("plugin %s is not locked for %s", p.Name, Platform),
			want: fmt.Sprintf("The lock file has it for %s. If the program is the one you looked at, run here\n\n  sigra plugin lock %s\n\nor, with the file for this platform at hand, anywhere\n\n  sigra plugin lock %s --platform %s --file PATH",
				strings.Join(b.d.lock.Platforms(p.Name), ", "), p.Name, p.Name, Platform)})
	case p.InsecureUnpinned && has("sha256"):
		say("insecure_unpinned", problem{is: "a plugin is either pinned by sha256 or unpinned", want: "Remove insecure_unpinned: the checksum is the safer of the two."})
	case p.InsecureUnpinned:
		say("insecure_unpinned", problem{warn: true, is: fmt.Sprintf("plugin %s runs whatever lies at its source", p.Name),
			want: "Pin it before anybody relies on this server: " + pinLine(p.Source)})
	case !has("sha256") && p.Source != "":
		want := "Sigra runs another program only if it is the one you looked at. Add this line to the block:\n\n"
		if line := pinLine(p.Source); strings.HasPrefix(line, "sha256") {
			want += "  " + line
		} else {
			want = "Sigra runs another program only if it is the one you looked at. " + line
		}
		say("source", problem{is: fmt.Sprintf("plugin %s is a program of its own and has no sha256", p.Name),
			want: want + "\n\n`sigra plugin lock " + p.Name + "` writes it into a lock file instead. While you develop it, insecure_unpinned = true does without."})
	}
}

// pinLine is the line to paste for the binary at path, or how to come by it.
func pinLine(path string) string {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "The file can't be read from here (" + reason(err) + "); `sha256sum " + path + "` on the machine that has it prints the checksum."
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "But " + path + " is not a regular file."
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, gib)); err != nil {
		return "The file can't be read from here (" + reason(err) + ")."
	}
	return `sha256 = "` + hex.EncodeToString(h.Sum(nil)) + `"`
}
