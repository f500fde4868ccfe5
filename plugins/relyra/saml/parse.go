package saml

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/beevik/etree"
)

var (
	absoluteURI = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:[^\s]+$`)
	declaration = regexp.MustCompile(`^<\?xml\s+version\s*=\s*["']1\.0["'](\s+encoding\s*=\s*["']([A-Za-z0-9._-]+)["'])?(\s+standalone\s*=\s*["'](yes|no)["'])?\s*\?>`)
)

// parse makes the one tree that everything else looks at. It refuses more than XML does: what two parsers could read differently
// is not read at all.
func parse(raw []byte, max limits) (*etree.Element, error) {
	if len(raw) > max.bytes {
		return nil, refuse(GateTooLarge, "the message is larger than %d bytes", max.bytes)
	}
	body, err := precheck(raw)
	if err != nil {
		return nil, err
	}
	p := parser{max: max, decoder: xml.NewDecoder(bytes.NewReader(body)), prefixes: map[string]struct{}{}}
	if err := p.run(); err != nil {
		return nil, err
	}
	return p.root, nil
}

// precheck looks at the bytes alone, before any parser: what it refuses, no parser sees.
func precheck(raw []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(raw, []byte("\xef\xbb\xbf")), bytes.HasPrefix(raw, []byte("\xff\xfe")), bytes.HasPrefix(raw, []byte("\xfe\xff")):
		return nil, refuse(GateEncoding, "the message begins with a byte order mark; only UTF-8 without one is read")
	case !utf8.Valid(raw):
		return nil, refuse(GateEncoding, "the message is not valid UTF-8")
	}
	body := raw
	if bytes.HasPrefix(raw, []byte("<?xml")) && len(raw) > 5 && strings.IndexByte(xmlSpace, raw[5]) >= 0 {
		m := declaration.FindSubmatch(raw)
		if m == nil {
			return nil, refuse(GateNotWellFormed, "the XML declaration cannot be read")
		}
		if encoding := string(m[2]); encoding != "" && !strings.EqualFold(encoding, "utf-8") {
			return nil, refuse(GateEncoding, "the message declares another encoding").want("UTF-8", encoding)
		}
		body = raw[len(m[0]):]
	}
	// `<` can stand in XML only where markup begins, so that these four are found without a parser, and before one.
	if i := bytes.Index(body, []byte("<!")); i >= 0 {
		rest := body[i:]
		switch {
		case bytes.HasPrefix(rest, []byte("<!--")):
			return nil, refuse(GateComment, "the message has a comment")
		case bytes.HasPrefix(rest, []byte("<![CDATA[")):
			return nil, refuse(GateComment, "the message has a CDATA section")
		default:
			return nil, refuse(GateDoctype, "the message has a DOCTYPE or another declaration").got(string(rest[:min(len(rest), 20)]))
		}
	}
	if bytes.Contains(body, []byte("<?")) {
		return nil, refuse(GateComment, "the message has a processing instruction")
	}
	return body, nil
}

type parser struct {
	max      limits
	decoder  *xml.Decoder
	root     *etree.Element
	open     []frame
	elements int
	prefixes map[string]struct{}
}

// A frame is an element that has begun and not ended.
type frame struct {
	el    *etree.Element
	name  xml.Name // prefix and local name, as written
	scope map[string]string
}

func (p *parser) run() error {
	for {
		token, err := p.decoder.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return refuse(GateNotWellFormed, "the message is not well-formed XML: %v", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			err = p.start(t)
		case xml.EndElement:
			err = p.end(t)
		case xml.CharData:
			err = p.text(t)
		default:
			err = refuse(GateComment, "the message has markup other than elements")
		}
		if err != nil {
			return err
		}
	}
	switch {
	case len(p.open) > 0:
		return refuse(GateNotWellFormed, "the message ends before its elements do")
	case p.root == nil:
		return refuse(GateNotWellFormed, "the message has no element")
	}
	return nil
}

func (p *parser) text(data xml.CharData) error {
	if len(p.open) == 0 {
		if len(bytes.TrimSpace(data)) > 0 {
			return refuse(GateNotWellFormed, "there is text outside the root element")
		}
		return nil
	}
	p.open[len(p.open)-1].el.CreateText(string(data))
	return nil
}

func (p *parser) end(t xml.EndElement) error {
	if len(p.open) == 0 || p.open[len(p.open)-1].name != t.Name {
		return refuse(GateNotWellFormed, "an element ends that did not begin there").got(written(t.Name))
	}
	p.open = p.open[:len(p.open)-1]
	return nil
}

func (p *parser) start(t xml.StartElement) error {
	if len(p.open) == 0 && p.root != nil {
		return refuse(GateNotWellFormed, "there is a second root element").got(written(t.Name))
	}
	if len(p.open) >= p.max.depth {
		return refuse(GateTooDeep, "elements are nested more than %d deep", p.max.depth)
	}
	if p.elements++; p.elements > p.max.elements {
		return refuse(GateTooMany, "the message has more than %d elements", p.max.elements)
	}
	if len(t.Attr) > p.max.attributes {
		return refuse(GateTooMany, "an element has more than %d attributes", p.max.attributes).got(written(t.Name))
	}
	scope, err := p.scope(t)
	if err != nil {
		return err
	}
	if err := checkNames(t, scope); err != nil {
		return err
	}
	el := etree.NewElement(written(t.Name))
	for _, a := range t.Attr {
		el.CreateAttr(written(a.Name), a.Value)
	}
	if len(p.open) == 0 {
		p.root = el
	} else {
		p.open[len(p.open)-1].el.AddChild(el)
	}
	p.open = append(p.open, frame{el: el, name: t.Name, scope: scope})
	return nil
}

// scope returns the prefixes that are bound inside t.
func (p *parser) scope(t xml.StartElement) (map[string]string, error) {
	scope := map[string]string{"xml": nsXML}
	if len(p.open) > 0 {
		scope = p.open[len(p.open)-1].scope
	}
	copied := false
	for _, a := range t.Attr {
		prefix, declares := declared(a.Name)
		if !declares {
			continue
		}
		if err := checkDeclaration(prefix, a.Value); err != nil {
			return nil, err
		}
		if p.prefixes[prefix] = struct{}{}; len(p.prefixes) > p.max.prefixes {
			return nil, refuse(GateTooMany, "the message declares more than %d namespace prefixes", p.max.prefixes)
		}
		if !copied {
			inner := make(map[string]string, len(scope)+1)
			for k, v := range scope {
				inner[k] = v
			}
			scope, copied = inner, true
		}
		scope[prefix] = a.Value
	}
	return scope, nil
}

// declared returns the prefix that an attribute declares, "" for the default namespace.
func declared(name xml.Name) (string, bool) {
	switch {
	case name.Space == "xmlns":
		return name.Local, true
	case name.Space == "" && name.Local == "xmlns":
		return "", true
	}
	return "", false
}

func checkDeclaration(prefix, uri string) error {
	switch {
	case prefix == "xmlns", prefix == "xml" && uri != nsXML, prefix != "xml" && uri == nsXML, uri == nsXMLNS:
		return refuse(GateNotWellFormed, "a reserved namespace is declared anew").got(prefix + "=" + uri)
	case uri == "" && prefix != "":
		return refuse(GateNotWellFormed, "a namespace prefix is undeclared, which XML 1.0 does not allow").got(prefix)
	case uri != "" && !absoluteURI.MatchString(uri):
		// libxml2 cannot canonicalize these, and verifiers that take its failure for an empty string were fooled ("void canonicalization").
		return refuse(GateNamespace, "a namespace is not an absolute URI").got(uri)
	}
	return nil
}

// checkNames refuses what encoding/xml lets pass: undeclared prefixes, names with more than one colon, an attribute given twice.
func checkNames(t xml.StartElement, scope map[string]string) error {
	if _, err := resolve(t.Name, scope); err != nil {
		return err
	}
	seen := make(map[xml.Name]struct{}, len(t.Attr))
	for _, a := range t.Attr {
		name := a.Name
		if prefix, declares := declared(a.Name); declares {
			if strings.Contains(prefix, ":") {
				return refuse(GateNotWellFormed, "a name has more than one colon").got(written(a.Name))
			}
		} else {
			namespace := ""
			if a.Name.Space != "" || strings.Contains(a.Name.Local, ":") {
				var err error
				if namespace, err = resolve(a.Name, scope); err != nil {
					return err
				}
			}
			name = xml.Name{Space: namespace, Local: a.Name.Local}
		}
		if _, twice := seen[name]; twice {
			return refuse(GateNotWellFormed, "an attribute stands twice on one element").got(written(a.Name))
		}
		seen[name] = struct{}{}
	}
	return nil
}

func resolve(name xml.Name, scope map[string]string) (string, error) {
	if strings.Contains(name.Local, ":") || strings.Contains(name.Space, ":") || name.Local == "" {
		return "", refuse(GateNotWellFormed, "a name has a colon in the wrong place").got(written(name))
	}
	if name.Space == "xmlns" {
		return "", refuse(GateNotWellFormed, "an element has the reserved prefix xmlns").got(written(name))
	}
	namespace, ok := scope[name.Space]
	if !ok && name.Space != "" {
		return "", refuse(GateNotWellFormed, "a namespace prefix is not declared").got(written(name))
	}
	return namespace, nil
}

func written(name xml.Name) string {
	if name.Space == "" {
		return name.Local
	}
	return name.Space + ":" + name.Local
}
