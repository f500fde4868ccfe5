package config

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// secretName reports whether what a setting is called says that its value must not be shown. Plugins' settings are judged
// by the same words, before their schema is known.
func secretName(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "root_key", "old_root_keys", "headers", "dsn":
		return true
	case "token_url", "token_auth": // where a provider's tokens come from, and how
		return false
	}
	if strings.HasSuffix(name, "key") || strings.HasSuffix(name, "keys") {
		return true
	}
	for _, word := range []string{"secret", "password", "passwd", "passphrase", "token", "credential", "api_key", "apikey", "private_key", "signing_key", "license_key", "auth_key"} {
		if strings.Contains(name, word) {
			return !strings.HasSuffix(name, "_file") && !strings.HasSuffix(name, "_path") && !strings.HasSuffix(name, "_ttl")
		}
	}
	// A misspelled name is the very thing whose line will be shown.
	for _, s := range []string{"root_key", "old_root_keys", "token", "headers", "secret", "password"} {
		if levenshtein.Distance(name, s, nil) <= 2 {
			return true
		}
	}
	return false
}

// urlName reports whether the value may be a URL with a password in it.
func urlName(name string) bool {
	name = strings.ToLower(name)
	return name == "url" || strings.HasSuffix(name, "_url") || strings.HasSuffix(name, "_dsn")
}

var (
	// credentialURL is a URL that may have a password in it: any but a plain http one.
	credentialURL = regexp.MustCompile(`(?i)https?://[^\s"/@]*@[^\s"]*|\b(?:[a-gi-z]|h[a-su-z])[a-z0-9+.-]*://[^\s"@?:]*[@?:][^\s"]*`)
	// random is a run of characters as keys and tokens are written.
	random = regexp.MustCompile(`[A-Za-z0-9+=]{16,}`)
	// called is what env and file are asked for, and pinned a checksum: neither is secret, however random it looks.
	called = regexp.MustCompile(`(?:env|file)\(\s*"[^"\n]*$|sha256\s*=\s*"[^"\n]*$`)
)

// hideRaw finds secrets by what they look like, wherever they stand. It needs no quotes to be closed and no name to be
// spelled right, which is when lines are shown.
func (s *source) hideRaw() {
	for _, m := range credentialURL.FindAllIndex(s.text, -1) {
		s.hidden = append(s.hidden, span{m[0], m[1]})
	}
	for _, m := range random.FindAllIndex(s.text, -1) {
		word := s.text[m[0]:m[1]]
		letters := len(bytes.FieldsFunc(word, func(r rune) bool { return !unicode.IsLetter(r) }))
		digits := len(bytes.FieldsFunc(word, func(r rune) bool { return !unicode.IsDigit(r) }))
		if letters == 0 || digits == 0 || letters+digits < 3 { // runs of them, mixed
			continue
		}
		line := bytes.LastIndexByte(s.text[max(0, m[0]-300):m[0]], '\n') + max(0, m[0]-300) + 1
		if !called.Match(s.text[line:m[0]]) {
			s.hidden = append(s.hidden, span{m[0], m[1]})
		}
	}
}

// hide finds the secrets in the tokens of a file: the values of settings named like one, and URLs that carry a password.
// Working on tokens, it serves a file that does not parse just as well. What env and file are asked for is no secret.
func (s *source) hide(tokens hclsyntax.Tokens, also ...string) {
	looked := 0 // up to this token no URL needs to be looked for again
	for i := 0; i < len(tokens); i++ {
		if tokens[i].Type != hclsyntax.TokenIdent || i+1 >= len(tokens) {
			continue
		}
		value := i + 2
		switch tokens[i+1].Type {
		case hclsyntax.TokenEqual, hclsyntax.TokenColon:
		case hclsyntax.TokenOQuote: // the sign was forgotten
			value = i + 1
		default:
			continue
		}
		name := string(tokens[i].Bytes)
		switch {
		case secretName(name) || slices.Contains(also, name):
			i = s.hideValue(tokens, value)
		case urlName(name) && i >= looked:
			end := valueEnd(tokens, value)
			looked = end
			for _, t := range tokens[value:end] {
				if bytes.Contains(t.Bytes, []byte("@")) || bytes.Contains(t.Bytes, []byte("password")) {
					i = s.hideValue(tokens, value)
					break
				}
			}
		}
	}
	s.hideRaw()
	s.mergeHidden()
}

// valueEnd is the index after the last token of the value that starts at i.
func valueEnd(tokens hclsyntax.Tokens, i int) int {
	depth := 0
	for ; i < len(tokens); i++ {
		switch tokens[i].Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc,
			hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc,
			hclsyntax.TokenTemplateSeqEnd:
			if depth--; depth < 0 {
				return i
			}
		case hclsyntax.TokenNewline:
			if depth <= 0 {
				return i
			}
		case hclsyntax.TokenComment:
			if depth <= 0 && bytes.HasSuffix(tokens[i].Bytes, []byte("\n")) {
				return i + 1
			}
		case hclsyntax.TokenEOF:
			return i
		}
	}
	return i
}

// hideValue hides the value that starts at token i, all but brackets, commas and calls (a comment may be the rest of an unquoted URL), and returns the index of its last token.
func (s *source) hideValue(tokens hclsyntax.Tokens, i int) int {
	end := valueEnd(tokens, i)
	braces := 0
	for ; i < end; i++ {
		switch tokens[i].Type {
		case hclsyntax.TokenOBrace:
			braces++
		case hclsyntax.TokenCBrace:
			braces--
		}
		switch t := tokens[i]; t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenCBrace, hclsyntax.TokenOBrack, hclsyntax.TokenCBrack, hclsyntax.TokenOParen,
			hclsyntax.TokenCParen, hclsyntax.TokenComma, hclsyntax.TokenNewline:
		case hclsyntax.TokenIdent:
			if i+1 < end && tokens[i+1].Type == hclsyntax.TokenOParen {
				if n := string(t.Bytes); n == "env" || n == "file" {
					i = argumentEnd(tokens, i+2, end) - 1 // what it is asked for may be shown
				}
				continue
			}
			if braces > 0 && i+1 < end && (tokens[i+1].Type == hclsyntax.TokenEqual || tokens[i+1].Type == hclsyntax.TokenColon) {
				i++ // the name in an object
				continue
			}
			if n := string(t.Bytes); n != "null" && n != "true" && n != "false" {
				s.hideToken(t)
			}
		default:
			s.hideToken(t)
		}
	}
	return end - 1
}

// argumentEnd is the index after a first argument that is a plain quoted string; i itself when it is anything else.
func argumentEnd(tokens hclsyntax.Tokens, i, end int) int {
	if i+2 < end && tokens[i].Type == hclsyntax.TokenOQuote && tokens[i+1].Type == hclsyntax.TokenQuotedLit && tokens[i+2].Type == hclsyntax.TokenCQuote {
		return i + 3
	}
	return i
}

func (s *source) hideToken(t hclsyntax.Token) {
	if t.Range.End.Byte > t.Range.Start.Byte {
		s.hidden = append(s.hidden, span{t.Range.Start.Byte, t.Range.End.Byte})
	}
}

// mergeHidden sorts what is hidden and joins neighbours, so that a quoted string is one [redacted].
func (s *source) mergeHidden() {
	slices.SortFunc(s.hidden, func(a, b span) int { return a.start - b.start })
	var out []span
	for _, h := range s.hidden {
		if n := len(out); n > 0 && h.start <= out[n-1].end {
			out[n-1].end = max(out[n-1].end, h.end)
			continue
		}
		out = append(out, h)
	}
	s.hidden = out
}
