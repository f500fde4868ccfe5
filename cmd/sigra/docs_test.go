package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// pages are everything people read.
func pages(t *testing.T) map[string]string {
	t.Helper()
	root := repoRoot(t)
	var files []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 5 {
		t.Fatalf("only %v", files)
	}
	out := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		rel, err := filepath.Rel(root, f)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.ToSlash(rel)] = string(b)
	}
	return out
}

var (
	shellBlock = regexp.MustCompile("(?ms)^```(?:sh|bash|shell|console)\n(.*?)^```$")
	inlineCode = regexp.MustCompile("`([^`\n]+)`")
	choice     = regexp.MustCompile(`[\w-]+(?:\|[\w-]+)+`)
)

// TestDocs_commandsExist holds that every sigra command that the documentation shows is there, with the flags it shows.
func TestDocs_commandsExist(t *testing.T) {
	t.Parallel()
	checked := 0
	for page, text := range pages(t) {
		for _, block := range shellBlock.FindAllStringSubmatch(text, -1) {
			for _, line := range shellLines(block[1]) {
				words, ok := sigraWords(line)
				if !ok {
					continue
				}
				checked++
				if err := parses(words, true); err != nil {
					t.Errorf("%s: %s\n%v", page, line, err)
				}
			}
		}
		for _, code := range inlineCode.FindAllStringSubmatch(shellBlock.ReplaceAllString(text, ""), -1) {
			words, ok := sigraWords(code[1])
			if !ok || len(words) == 0 {
				continue
			}
			checked++
			if err := parses(words, false); err != nil {
				t.Errorf("%s: `%s`\n%v", page, code[1], err)
			}
		}
	}
	if checked < 15 {
		t.Errorf("only %d commands found", checked)
	}
}

// sigraWords gives the arguments of a line that runs sigra.
func sigraWords(line string) (args []string, ok bool) {
	words := shellWords(line)
	switch {
	case len(words) > 0 && (words[0] == "sigra" || words[0] == "./sigra" || words[0] == "bin/sigra"):
		return words[1:], true
	case len(words) > 2 && words[0] == "go" && words[1] == "run" && words[2] == "./cmd/sigra":
		return words[3:], true
	}
	return nil, false
}

// parses holds a command line against the commands there are. In running text arguments may be left out.
func parses(words []string, whole bool) error {
	for i, w := range words {
		if m := choice.FindString(w); m == w && m != "" { // bash|zsh|fish
			for alt := range strings.SplitSeq(w, "|") {
				if err := parses(slices.Concat(words[:i], []string{alt}, words[i+1:]), whole); err != nil {
					return err
				}
			}
			return nil
		}
	}
	if len(words) > 0 && words[0] == pluginServe { // not for people, and no command
		return nil
	}
	cmd, rest, err := newRoot(&cli{stdio: stdio{strings.NewReader(""), io.Discard, io.Discard}}).Find(words)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); errors.Is(err, pflag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if args := cmd.Flags().Args(); whole || len(args) > 0 && cmd.HasSubCommands() {
		return cmd.ValidateArgs(args)
	}
	return nil
}

// shellLines splits a block into commands, joining what a backslash continues.
func shellLines(block string) []string {
	var out []string
	for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", " ")) {
		if line = strings.TrimPrefix(strings.TrimSpace(line), "$ "); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

// shellWords splits a command into words as a shell does: quotes, and what is behind #, |, > or ; left out.
func shellWords(line string) []string {
	var out []string
	var word strings.Builder
	in, quote := false, rune(0)
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			in, quote = true, r
		case !in && (r == '#' || r == '|' || r == '>' || r == ';' || r == '&'):
			return out
		case r == ' ' || r == '\t':
			if in {
				out = append(out, word.String())
			}
			word.Reset()
			in = false
		default:
			in = true
			word.WriteRune(r)
		}
	}
	if in {
		out = append(out, word.String())
	}
	return out
}

// TestDocs_gettingStarted does what the page says, line by line. Only the address differs, and the blanks are filled in.
func TestDocs_gettingStarted(t *testing.T) {
	t.Parallel()
	in := newInstance(t, setup{})
	in.config = filepath.Join(in.dir, "sigra.hcl")
	if err := os.Remove(in.config); err != nil {
		t.Fatal(err)
	}
	addr := in.addr
	var flow, code, token string
	ran := 0
	for _, block := range shellBlock.FindAllStringSubmatch(pages(t)["docs/getting-started.md"], -1) {
		for _, line := range shellLines(block[1]) {
			ran++
			words := shellWords(line)
			switch {
			case words[0] == "go": // build: this test binary is what it makes
			case line == "./sigra serve" || strings.HasPrefix(line, "./sigra serve "):
				in.data = filepath.Join(in.dir, "sigra-data") // the default
				in.startIn(addr)
			case words[0] == "./sigra":
				cmd := in.command(words[1:]...)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", line, err, out)
				}
			case words[0] == "curl":
				body := in.curl(line, words[1:], map[string]string{"localhost:8484": addr, "ZbyB…": flow, "675042": code, "Bearer …": "Bearer " + token, "sigra_session=…": "sigra_session=" + token})
				var answer struct{ Flow, Token string }
				if err := json.Unmarshal(body, &answer); err != nil {
					t.Fatalf("%s: %v\n%s", line, err, body)
				}
				if answer.Flow != "" {
					flow = answer.Flow
					code = in.mailTo("ada@example.com", "confirm_email").Variables["code"]
				}
				if answer.Token != "" {
					token = answer.Token
				}
			default:
				t.Errorf("this line is not understood: %s", line)
			}
		}
	}
	if ran < 8 || token == "" {
		t.Errorf("%d lines ran, and the token is %q", ran, token)
	}
}

// startIn runs `sigra serve` in the instance's folder on the file that `sigra init` wrote, at another address.
func (in *instance) startIn(addr string) {
	in.t.Helper()
	b, err := os.ReadFile(in.config)
	if err != nil {
		in.t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "localhost:8484", addr)
	if text == string(b) {
		in.t.Fatal("the file does not name the default address")
	}
	if err := os.WriteFile(in.config, []byte(text), 0o600); err != nil {
		in.t.Fatal(err)
	}
	in.start()
}

// curl does what a curl command line would.
func (in *instance) curl(line string, args []string, fill map[string]string) []byte {
	in.t.Helper()
	filled := func(s string) string {
		for from, to := range fill {
			s = strings.ReplaceAll(s, from, to)
		}
		return s
	}
	method, target, body, header := http.MethodGet, "", "", http.Header{}
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "-s":
		case a == "-H":
			i++
			name, value, _ := strings.Cut(filled(args[i]), ": ")
			header.Add(name, value)
		case a == "-d":
			i++
			method, body = http.MethodPost, filled(args[i])
		case strings.HasPrefix(a, "-"):
			in.t.Fatalf("%s: this test does not know curl's %s", line, a)
		default:
			target = filled(a)
		}
	}
	req, err := http.NewRequest(method, "http://"+strings.TrimPrefix(target, "http://"), strings.NewReader(body))
	if err != nil {
		in.t.Fatal(err)
	}
	req.Header = header
	res, err := client.Do(req)
	if err != nil {
		in.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode/100 != 2 {
		in.t.Fatal(fmt.Sprintf("%s\nanswered %d:", line, res.StatusCode), string(b), err)
	}
	return b
}
