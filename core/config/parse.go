package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const (
	maxSource    = 256 * kib // of the configuration file
	maxDepth     = 64        // of brackets and blocks within each other
	maxOperators = 64        // in one value
	maxLines     = 2000      // of texts that go over several
)

// Loader reads configuration files. The zero value is ready to use.
type Loader struct {
	// Environ is what env("NAME") sees, as NAME=value; nil means the environment of the process.
	Environ []string
	// Unpinned lets external plugins stand without a checksum: for the command that is about to lock them.
	Unpinned bool
}

// Load reads the file at path with the process's environment. The *Config is nil if there is an error among the diagnostics.
func Load(path string) (*Config, Diagnostics) { return Loader{}.Load(path) }

// Parse is Load for a text at hand; filename is what diagnostics call it, and its folder is where relative paths start.
func Parse(src []byte, filename string) (*Config, Diagnostics) { return Loader{}.Parse(src, filename) }

// Load reads the file at path. The *Config is nil if there is an error among the diagnostics.
func (l Loader) Load(path string) (*Config, Diagnostics) {
	fail := func(summary, detail string) (*Config, Diagnostics) {
		return nil, Diagnostics{{Severity: Error, File: path, Summary: summary, Detail: detail}}
	}
	src, err := readFile(path, maxSource)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail("there is no such file", "`sigra init` writes one to start from.")
	case errors.Is(err, fs.ErrPermission):
		return fail("the file can't be read", "Permission is denied to the user that runs Sigra.")
	case errors.Is(err, errNotRegular):
		return fail("this is not a regular file", "Name the file itself, such as sigra.hcl.")
	case errors.Is(err, errTooLarge):
		return fail("the file is larger than 256 KiB", "No configuration of Sigra is that long; is it the right file?")
	case err != nil:
		return fail("the file can't be read", sentence(reason(err)))
	}
	return l.Parse(src, path)
}

// Parse reads the text of a configuration file, and the lock file beside it when there is one.
func (l Loader) Parse(src []byte, filename string) (cfg *Config, diags Diagnostics) {
	if cfg, diags = l.understand(src, filename); diags.HasErrors() {
		return nil, diags
	}
	return cfg, diags
}

// DataDir is where a server with the file at path keeps its data, as far as a file with mistakes in it says; empty when it says nothing.
// It is for finding a server that runs, and for nothing else.
func DataDir(path string) string {
	src, err := readFile(path, maxSource)
	if err != nil {
		return ""
	}
	cfg, diags := Loader{Unpinned: true}.understand(src, path)
	if cfg == nil || slices.ContainsFunc(diags, func(d Diagnostic) bool { return d.Severity == Error && d.Setting == "data_dir" }) {
		return ""
	}
	return cfg.DataDir
}

// understand is Parse, and gives what could be understood of a text with mistakes; nil when that is nothing.
func (l Loader) understand(src []byte, filename string) (cfg *Config, diags Diagnostics) {
	s := newSource(src, filename, l.Environ)
	if int64(len(src)) > maxSource {
		return nil, Diagnostics{s.place(Diagnostic{Severity: Error, Summary: "the file is larger than 256 KiB",
			Detail: "No configuration of Sigra is that long; is it the right file?"}, s.top())}
	}
	body, diags := s.parse()
	if body == nil {
		return nil, diags.sorted()
	}
	lock, lockDiags := LoadLock(LockPath(filename))
	d := &decoder{src: s, ctx: s.evalContext(), broken: diags.HasErrors(), lock: lock, unpinned: l.Unpinned}
	cfg = d.config(body)

	// Where the text could not be understood, what was made of it is not worth a second message on the same line.
	all := slices.Clone(diags)
	for _, m := range d.diags {
		if !diags.touch(m.Line) {
			all = append(all, m)
		}
	}
	return cfg, append(all.sorted(), lockDiags...)
}

// touch reports whether a diagnostic of ds is about the line.
func (ds Diagnostics) touch(line int) bool {
	for _, d := range ds {
		if d.Line <= line && line <= max(d.Line, d.EndLine) {
			return true
		}
	}
	return false
}

// parse makes a body of the text. The body is nil when the text is not fit to be parsed at all; otherwise it is what could be
// understood, even next to errors.
func (s *source) parse() (body *hclsyntax.Body, diags Diagnostics) {
	at := s.top()
	// The parser is a library that panics on its own mistakes; the file of a user must not end the process, nor a reload.
	defer func() {
		if p := recover(); p != nil {
			body = nil
			diags = append(diags, s.place(Diagnostic{Severity: Error, Summary: "the file can't be parsed",
				Detail: "The HCL parser gave up on it without saying where. Please report this, with the file if you can."}, at))
		}
	}()
	tokens, _ := hclsyntax.LexConfig(s.text, s.name, hcl.InitialPos)
	s.hide(tokens)
	if diags = s.scan(tokens); diags.HasErrors() {
		return nil, diags
	}
	file, hd := hclsyntax.ParseConfig(s.text, s.name, hcl.InitialPos)
	diags = s.translate(hd, nil).oncePerLine()
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return nil, diags
	}
	_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n.(type) {
		case *hclsyntax.ForExpr, *hclsyntax.SplatExpr:
			if len(diags) > 3*mostShown {
				return nil
			}
			// Loops within loops make a short file run for ever; settings need none.
			diags = append(diags, s.place(Diagnostic{Severity: Error, Summary: "there are no loops in this file",
				Detail: "Write the values out."}, n.Range()))
		}
		return nil
	})
	return body, diags
}

// scan refuses what would take the parser unbounded stack or memory: it recurses, and a stack overflow can't be recovered from.
func (s *source) scan(tokens hclsyntax.Tokens) (diags Diagnostics) {
	depth, brackets, operators, lines := 0, 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			if t.Type != hclsyntax.TokenOBrace {
				brackets++ // inside them a value goes on over the end of a line
			}
			if depth++; depth > maxDepth {
				return append(diags, s.place(Diagnostic{Severity: Error, Summary: fmt.Sprintf("more than %d brackets are open here", maxDepth),
					Detail: "No setting is nested that deeply. Is a closing bracket missing?"}, t.Range))
			}
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
			depth = max(0, depth-1)
			if t.Type != hclsyntax.TokenCBrace {
				brackets = max(0, brackets-1)
			}
		case hclsyntax.TokenNumberLit:
			if len(diags) > 3*mostShown {
				return diags
			}
			if f, _, err := big.ParseFloat(string(t.Bytes), 10, 64, big.ToNearestEven); len(t.Bytes) > 32 || err != nil || f.IsInf() || f.MantExp(nil) > 100 || f.MantExp(nil) < -100 {
				diags = append(diags, s.place(Diagnostic{Severity: Error, Summary: "this number is out of any range"}, t.Range))
			}
		}
		switch t.Type {
		case hclsyntax.TokenBang, hclsyntax.TokenMinus, hclsyntax.TokenPlus, hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPercent,
			hclsyntax.TokenQuestion, hclsyntax.TokenAnd, hclsyntax.TokenOr, hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan,
			hclsyntax.TokenGreaterThan, hclsyntax.TokenLessThanEq, hclsyntax.TokenGreaterThanEq, hclsyntax.TokenDot, hclsyntax.TokenOBrack:
			if operators++; operators > maxOperators {
				return append(diags, s.place(Diagnostic{Severity: Error, Summary: "this value is too long to be worked out", Detail: "Write it more simply."}, t.Range))
			}
		case hclsyntax.TokenStringLit:
			if lines++; lines > maxLines {
				return append(diags, s.place(Diagnostic{Severity: Error, Summary: fmt.Sprintf("the texts up to here have more than %d lines", maxLines),
					Detail: "Is the end of one missing? A text that starts with <<EOT ends with a line EOT."}, t.Range))
			}
		case hclsyntax.TokenComma, hclsyntax.TokenOBrace:
			operators = 0
		case hclsyntax.TokenNewline:
			if brackets == 0 {
				operators = 0
			}
		}
	}
	return diags
}

// translate makes Diagnostics of the library's. names are the settings that would have been right, for "did you mean".
func (s *source) translate(hd hcl.Diagnostics, names []string) Diagnostics {
	var out Diagnostics
	for _, h := range hd[:min(len(hd), 3*mostShown)] {
		if h == nil {
			continue
		}
		at := s.top()
		if h.Subject != nil {
			at = *h.Subject
		}
		if _, call := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](h); call && h.Context != nil {
			at = *h.Context // the whole call, not its name alone
		}
		d := Diagnostic{Severity: Error}
		if h.Severity == hcl.DiagWarning {
			d.Severity = Warning
		}
		d.Summary, d.Detail, d.Suggestion = s.inOurWords(h, at, names)
		if d.Summary == notClosed {
			at = s.quoteBefore(at)
		}
		out = append(out, s.place(d, at))
	}
	return out
}

// quoteBefore finds where a text started that does not end on its line.
func (s *source) quoteBefore(at hcl.Range) hcl.Range {
	if at.Start.Byte > len(s.text) {
		return at
	}
	i := bytes.LastIndexAny(s.text[:at.Start.Byte], "\"\n")
	if i < 0 || s.text[i] == '\n' {
		return at
	}
	back := utf8.RuneCount(s.text[i:at.Start.Byte])
	at.End = at.Start
	at.Start.Byte, at.Start.Column = i, max(1, at.Start.Column-back)
	return at
}

// inOurWords says what the library found wrong as the rest of this package would.
func (s *source) inOurWords(h *hcl.Diagnostic, at hcl.Range, names []string) (summary, detail, suggestion string) {
	if call, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](h); ok {
		if ce := (*callError)(nil); errors.As(call.FunctionCallError(), &ce) {
			return ce.is, ce.want, ce.try
		}
	}
	word := s.snippet(at)
	if s.secretAt(at) {
		word = ""
	}
	const calls = `The functions are env("NAME"), env("NAME", "default") and file("path").`
	switch h.Summary {
	case "Unsupported argument":
		return fmt.Sprintf("there is no setting %q here", word), known(names), Suggest(word, names)
	case "Unsupported block type":
		return fmt.Sprintf("there is no block %q here", word), known(names), Suggest(word, names)
	case "Unknown variable", "Variables not allowed":
		return s.notAText(word, at)
	case "Incorrect attribute value type":
		_, what, _ := strings.Cut(h.Detail, ": ")
		return "this value has the wrong type", sentence(what), ""
	case "Call to unknown function":
		return fmt.Sprintf("there is no function %q", word), calls, Suggest(word, []string{"env", "file"})
	case "Not enough function arguments", "Too many function arguments", "Invalid function argument":
		return "the function is not called as it should be", calls, ""
	case "Attribute redefined":
		return fmt.Sprintf("%s is set twice", first(word)), "Each setting may stand once in its block. Remove one of the two.", ""
	case "Invalid argument name":
		return "the name of a setting stands without quotes", "", ""
	case "Invalid single-argument block definition", "Argument definition required":
		return "a block written on one line holds one setting at most", "Put each setting on a line of its own, and the closing brace } on the last.", ""
	case "Unclosed configuration block", "Unclosed configuration body":
		return "this block is never closed", "A closing brace } is missing, here or in a block inside it.", ""
	case "Argument or block definition required":
		return s.notASetting(word, at)
	case "Missing newline after argument":
		return "there is something after the value", "A setting ends with its line.", ""
	case "Missing newline after block definition":
		return "there is something after the closing brace", "A block ends with its line.", ""
	case "Invalid block definition":
		return "this block does not start as a block does", `A block starts name { or name "label" { on one line. If a setting is meant, its equals sign is missing: name = value.`, ""
	case "Invalid expression", "Missing expression":
		return "a value should stand here", `A text stands in quotes; numbers, true and false don't.`, ""
	case "Unterminated template string", "Unterminated string literal", "Invalid multi-line string":
		return notClosed, `A closing quote " is missing.`, ""
	case "Missing item separator":
		return "a comma or a closing bracket is missing before this", "", ""
	case "Invalid character":
		switch word {
		case "'", "`", "“", "”", "‘", "’", "„", "«", "»":
			return "a text stands in straight double quotes", `Write "…".`, ""
		case ";":
			return "there are no semicolons here", "Each setting ends with its line.", ""
		}
		return "this character has no meaning here", "", ""
	case "Invalid escape sequence":
		return "a backslash in a text starts an escape sequence", `A backslash itself is written twice: "C:\\sigra".`, ""
	case "Invalid operand":
		return "this can't be calculated with", `Texts are put together like this: "${env("A")}/b".`, ""
	case "Invalid character encoding":
		return "the file is not valid UTF-8", "Save it as UTF-8, without special settings, and try again.", ""
	}
	return s.passed(h, at)
}

const notClosed = "this text is not closed on its line"

// notAText is said of a bare word where a value should be.
func (s *source) notAText(word string, at hcl.Range) (summary, detail, suggestion string) {
	if word == "" {
		return "this value needs quotes", "A text stands in quotes. Better, take a secret from env(\"NAME\") or file(\"path\").", ""
	}
	before, after := string(s.text[:at.Start.Byte]), string(s.text[at.End.Byte:])
	summary = word + " is not known here"
	switch {
	case strings.HasPrefix(after, "."), strings.HasPrefix(after, "["):
		return summary, `There are no variables in this file; env("NAME") reads one of the environment.`, ""
	case strings.EqualFold(word, "yes"), strings.EqualFold(word, "on"):
		return summary, "True and false stand without quotes.", "true"
	case strings.EqualFold(word, "no"), strings.EqualFold(word, "off"):
		return summary, "True and false stand without quotes.", "false"
	case strings.HasSuffix(before, "${") && variableName.MatchString(word):
		return summary, "There are no variables in this file, but there is the environment.", fmt.Sprintf("${env(%q)}", word)
	}
	return summary, "A text stands in quotes.", fmt.Sprintf("%q", word)
}

// notASetting is said of what stands where a setting or a block should.
func (s *source) notASetting(word string, at hcl.Range) (summary, detail, suggestion string) {
	after := strings.TrimLeft(string(s.text[at.End.Byte:]), " \t\r\n")
	switch {
	case word == "}":
		return "this brace closes nothing", "There is one closing brace too many, or an opening one is missing above.", ""
	case word == "/" && strings.HasPrefix(after, "*"):
		return "this comment is never closed", "*/ is missing.", ""
	case strings.HasPrefix(after, ":"):
		return "a name is not followed by a colon here", "A setting is name = value, a block is name { … }.", ""
	case strings.HasPrefix(after, "{"):
		return "the brace of a block stands on the same line as its name", "Write name {.", ""
	}
	return "a setting or a block should stand here", "A setting is name = value, a block is name { … }.", ""
}

// oncePerLine keeps the first of what the parser said about a line; the rest follows from it. A quote that was
// not closed makes it stumble over every line after it.
func (ds Diagnostics) oncePerLine() Diagnostics {
	var out Diagnostics
	open := 0 // the last line that a missing quote spoilt
	for _, d := range ds.sorted() {
		if d.Summary == notClosed {
			if open > 0 && d.Line == open+1 {
				open = d.Line
				continue
			}
			open = d.Line
		}
		if n := len(out); n > 0 && out[n-1].Line == d.Line {
			continue
		}
		out = append(out, d)
	}
	return out
}

// passed keeps the library's words where they serve, in our terms.
func (s *source) passed(h *hcl.Diagnostic, at hcl.Range) (summary, detail, suggestion string) {
	if s.secretAt(at) {
		return "this value can't be read", `Write it as a text in quotes, or take it from env("NAME") or file("path").`, ""
	}
	terms := strings.NewReplacer("an argument", "a setting", "An argument", "A setting", "argument", "setting", "Argument", "Setting", "attribute", "setting", "Attribute", "Setting")
	summary = terms.Replace(h.Summary)
	if summary == "" {
		summary = "this can't be read"
	}
	return lower(summary), terms.Replace(h.Detail), ""
}

// lower makes a summary of a heading. "OAuth …" stays as it is.
func lower(s string) string {
	if len(s) > 1 && s[0] >= 'A' && s[0] <= 'Z' && !(s[1] >= 'A' && s[1] <= 'Z') {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}

func known(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "What may stand here: " + strings.Join(names, ", ") + "."
}

// first is the first word of a snippet.
func first(s string) string {
	if f := strings.Fields(s); len(f) > 0 {
		return f[0]
	}
	return "this"
}
