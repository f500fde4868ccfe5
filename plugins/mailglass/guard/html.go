package guard

import (
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/text/encoding/htmlindex"
)

// markup is one pass over the HTML of a part.
type markup struct {
	*report
	part    string
	charset string
	line    int
	links   []openLink // the a elements that are open
	nested  int        // conditional comments in conditional comments
}

// openLink is an a element whose text is being read.
type openLink struct {
	host string
	line int
	text strings.Builder
}

// html checks a part as the client that shows most would read it.
func (r *report) html(text, part, charset string) {
	m := &markup{report: r, part: part, charset: charset, line: 1}
	m.scan(text)
}

func (m *markup) scan(text string) {
	z := html.NewTokenizer(strings.NewReader(text))
	z.SetMaxBuf(maxMessage)
	style := false
	for {
		kind := z.Next()
		raw := z.Raw()
		at := m.line
		breaks := strings.Count(string(raw), "\n")
		switch kind {
		case html.ErrorToken:
			if err := z.Err(); !errors.Is(err, io.EOF) {
				m.add(Finding{Reason: Malformed, Part: m.part, Line: at, Detail: err.Error()})
			}
			return
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			m.element(t, at)
			style = t.Data == "style" && kind == html.StartTagToken
			if !style {
				z.NextIsNotRawText() // a client without scripts shows what is in noscript, and others what is in title
			}
		case html.EndTagToken:
			t := z.Token()
			if t.Data == "a" {
				m.closeLink()
			}
			style = false
		case html.TextToken:
			if style {
				m.css(string(raw), m.part, at, "style", "")
				break
			}
			if n := len(m.links); n > 0 {
				m.links[n-1].text.WriteString(z.Token().Data)
			}
		case html.CommentToken:
			m.comment(z.Token().Data)
			m.line = at
		}
		m.line = at + breaks
	}
}

var condition = regexp.MustCompile(`(?is)^\s*\[if\b[^\]]*\]>?(.*)$`)

// comment reads what Outlook reads of one.
func (m *markup) comment(data string) {
	if c := condition.FindStringSubmatch(data); c != nil && m.nested < 5 {
		m.nested++
		m.scan(c[1])
		m.nested--
	}
}

func (m *markup) closeLink() {
	n := len(m.links)
	if n == 0 {
		return
	}
	l := &m.links[n-1]
	if named := textHost(l.text.String()); named != "" && l.host != "" && named != l.host {
		m.add(Finding{Reason: LinkTextMismatch, Part: m.part, Line: l.line, Element: "a", Detail: strings.TrimSpace(l.text.String())})
	}
	m.links = m.links[:n-1]
}

// element checks one start tag.
func (m *markup) element(t html.Token, line int) {
	name := t.Data
	if i := strings.LastIndexByte(name, ':'); i >= 0 { // v:image, svg:use
		name = name[i+1:]
	}
	attr := map[string]string{}
	for _, a := range t.Attr {
		key := strings.ToLower(a.Key)
		if _, twice := attr[key]; !twice { // the first one counts
			attr[key] = a.Val
		}
	}
	found := func(reason, detail string) {
		m.add(Finding{Reason: reason, Part: m.part, Line: line, Element: t.Data, Detail: detail})
	}
	switch name {
	case "base":
		found(BaseHref, attr["href"])
	case "script":
		found(Script, attr["src"])
	case "form":
		found(Form, attr["action"])
	case "meta":
		m.meta(attr, found)
	case "iframe", "frame", "object", "embed", "applet", "portal":
		found(RemoteObject, attr["src"]+attr["data"])
	case "link":
		reason := RemoteHint
		if strings.Contains(strings.ToLower(attr["rel"]), "stylesheet") {
			reason = RemoteCSS
		}
		found(reason, attr["href"])
	}
	for key, value := range attr {
		m.attribute(name, key, value, line, found)
	}
	if isImage(name) && (fetches(attr["src"]) || attr["srcset"] != "") {
		if tiny(attr) {
			found(Pixel, attr["src"])
		}
		if hidden(attr["style"]) {
			found(HiddenImage, attr["src"])
		}
	}
	if href, ok := attr["href"]; ok {
		m.href(name, href, line, found)
	}
	if href, ok := attr["xlink:href"]; ok {
		m.href(name, href, line, found)
	}
}

func isImage(name string) bool {
	switch name {
	case "img", "image", "input", "imagedata", "fill", "background", "feimage":
		return true
	}
	return false
}

// attribute checks what any element may have.
func (m *markup) attribute(name, key, value string, line int, found func(reason, detail string)) {
	switch key {
	case "src", "lowsrc", "dynsrc", "srcset", "imagesrcset":
		reason := RemoteImage
		switch name {
		case "video", "audio", "track", "bgsound":
			reason = RemoteMedia
		case "source":
			if key == "src" {
				reason = RemoteMedia
			}
		case "script", "iframe", "frame", "embed":
			return // found already
		}
		for _, address := range addresses(key, value) {
			if fetches(address) {
				found(reason, address)
			}
		}
	case "poster":
		if fetches(value) {
			found(RemoteMedia, value)
		}
	case "background":
		if fetches(value) {
			found(RemoteImage, value)
		}
	case "style":
		m.css(value, m.part, line, name, "style")
	case "fill", "stroke", "filter", "mask", "clip-path", "cursor", "marker", "marker-start", "marker-mid", "marker-end":
		m.css(value, m.part, line, name, key)
	case "ping":
		found(PingAttribute, value)
	case "formaction", "action":
		found(Form, value)
	case "manifest", "profile", "codebase", "archive", "classid", "longdesc":
		if fetches(value) {
			found(RemoteHint, value)
		}
	default:
		if strings.HasPrefix(key, "on") && len(key) > 2 {
			found(Script, key)
		}
	}
}

// addresses are those of a srcset (HTML §4.8.4.2.1), or the one of another attribute.
func addresses(key, value string) []string {
	if key != "srcset" && key != "imagesrcset" {
		return []string{value}
	}
	var out []string
	for rest := value; ; {
		rest = strings.TrimLeft(rest, " \t\r\n\f,")
		if rest == "" {
			return out
		}
		end := strings.IndexAny(rest, " \t\r\n\f")
		if end < 0 {
			return append(out, strings.TrimRight(rest, ","))
		}
		out = append(out, strings.TrimRight(rest[:end], ","))
		rest = rest[end:]
		if comma := strings.IndexByte(rest, ','); comma >= 0 {
			rest = rest[comma+1:]
		} else {
			rest = ""
		}
	}
}

// href is a link, or something that is fetched, by the element.
func (m *markup) href(name, value string, line int, found func(reason, detail string)) {
	switch name {
	case "base", "link":
	case "image", "feimage", "imagedata", "fill":
		if fetches(value) {
			found(RemoteImage, value)
		}
	case "use", "mpath", "pattern", "lineargradient", "radialgradient", "textpath", "tref", "cursor", "animate", "set", "script":
		if fetches(value) {
			found(RemoteSVG, value)
		}
	default:
		host := m.link(value, m.part, line, name)
		if name == "a" {
			m.links = append(m.links, openLink{host: host, line: line})
		}
	}
}

func (m *markup) meta(attr map[string]string, found func(reason, detail string)) {
	if strings.EqualFold(strings.TrimSpace(attr["http-equiv"]), "refresh") {
		found(MetaRefresh, attr["content"])
	}
	said := attr["charset"]
	if said == "" && strings.EqualFold(attr["http-equiv"], "content-type") {
		if _, c, ok := strings.Cut(strings.ToLower(attr["content"]), "charset="); ok {
			said = c
		}
	}
	if said != "" && !sameCharset(said, m.charset) {
		found(Charset, said)
	}
}

// sameCharset: a page that names UTF-8 is what any decoded text is by now.
func sameCharset(said, is string) bool {
	s, err := htmlindex.Get(strings.TrimSpace(said))
	if err != nil {
		return false
	}
	name, _ := htmlindex.Name(s)
	if name == "utf-8" {
		return true
	}
	i, err := htmlindex.Get(is)
	if err != nil {
		return false
	}
	other, _ := htmlindex.Name(i)
	return name == other
}

var dimension = regexp.MustCompile(`(?i)(?:^|[;{\s])(?:max-)?(width|height)\s*:\s*([0-9.]+)`)

// tiny reports an image that is at most 3 by 3, by its attributes or its style.
func tiny(attr map[string]string) bool {
	small := map[string]bool{}
	look := func(name, value string) {
		if n, err := strconv.ParseFloat(strings.TrimRight(strings.TrimSpace(value), "px% "), 64); err == nil {
			small[name] = n <= 3
		}
	}
	look("width", attr["width"])
	look("height", attr["height"])
	for _, d := range dimension.FindAllStringSubmatch(unescapeCSS(attr["style"]), -1) {
		look(strings.ToLower(d[1]), d[2])
	}
	return small["width"] && small["height"]
}

var invisible = regexp.MustCompile(`(?i)display\s*:\s*none|visibility\s*:\s*(hidden|collapse)|opacity\s*:\s*0?\.?0*\s*(;|$|!)`)

func hidden(style string) bool { return invisible.MatchString(unescapeCSS(style)) }
