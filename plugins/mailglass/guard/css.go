package guard

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	cssEscape  = regexp.MustCompile(`\\(?:([0-9a-fA-F]{1,6})(?:\r\n|[ \t\r\n\f])?|\r\n|[\r\n\f]|(.))`)
	cssComment = regexp.MustCompile(`(?s)/\*.*?(?:\*/|$)`)
	cssURL     = regexp.MustCompile(`(?i)(?:url|src)\s*\(\s*(?:"([^"]*)"|'([^']*)'|([^)]*))`)
	cssImages  = regexp.MustCompile(`(?i)(?:image-set|-webkit-image-set|cross-fade|image)\s*\(([^;{}]*)`)
	cssString  = regexp.MustCompile(`"([^"]*)"|'([^']*)'`)
	cssFont    = regexp.MustCompile(`(?is)@font-face\s*\{[^}]*\}`)
	cssScript  = regexp.MustCompile(`(?i)expression\s*\(|behaviou?r\s*:|-moz-binding\s*:`)
)

// css checks a style sheet or declarations. Comments are read both ways, as comments and as what they hold: inside a string
// they are none.
func (r *report) css(text, part string, line int, element, attribute string) {
	text = unescapeCSS(text)
	for _, s := range []string{text, cssComment.ReplaceAllString(text, "")} {
		r.cssText(s, part, line, element, attribute)
	}
}

func (r *report) cssText(s, part string, line int, element, attribute string) {
	found := func(reason, detail string) {
		if attribute != "" {
			detail = attribute + ": " + detail
		}
		r.add(Finding{Reason: reason, Part: part, Line: line, Element: element, Detail: detail})
	}
	lower := strings.ToLower(s)
	if strings.Contains(lower, "@import") {
		found(RemoteCSS, "@import")
	}
	for _, block := range cssFont.FindAllString(s, -1) {
		for _, m := range cssURL.FindAllStringSubmatch(block, -1) {
			if address := strings.Join(m[1:], ""); fetches(address) {
				found(RemoteFont, address)
			}
		}
	}
	for _, m := range cssURL.FindAllStringSubmatch(s, -1) {
		if address := strings.Join(m[1:], ""); fetches(address) {
			found(RemoteCSS, address)
		}
	}
	for _, m := range cssImages.FindAllStringSubmatch(s, -1) {
		for _, q := range cssString.FindAllStringSubmatch(m[1], -1) {
			if address := strings.Join(q[1:], ""); fetches(address) && !strings.HasPrefix(address, "image/") { // type("image/png")
				found(RemoteCSS, address)
			}
		}
	}
	if m := cssScript.FindString(s); m != "" {
		found(Script, m)
	}
}

// unescapeCSS undoes escapes (CSS Syntax 3 §4.3.7).
func unescapeCSS(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return cssEscape.ReplaceAllStringFunc(s, func(m string) string {
		sub := cssEscape.FindStringSubmatch(m)
		if sub[1] == "" {
			return sub[2]
		}
		n, err := strconv.ParseUint(sub[1], 16, 32)
		if err != nil || n == 0 || n > utf8.MaxRune {
			return "\uFFFD"
		}
		return string(rune(n))
	})
}
