package saml_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/beevik/etree"

	"github.com/sigra-auth/sigra/plugins/relyra/saml"
)

var soak = flag.Bool("soak", false, "run the heavy proofs at full size")

const attacker = "admin@corp.example"

// TestMutants changes what the identity provider signed in every way that attacks use, one to four ways at a time, and grafts parts of
// one message into another. Whoever a mutant signs in, with whatever attributes, is exactly what was signed.
func TestMutants(t *testing.T) {
	t.Parallel()
	c := connection(t)
	seeds, signed := mutantSeeds(t, c)
	total := 3_000
	if *soak {
		total = 100_000
	}
	rnd := rand.New(rand.NewPCG(20261130, 0))
	accepted, gates := 0, map[saml.Gate]int{}
	for i := range total {
		m := mutant{rnd: rnd, doc: seeds[rnd.IntN(len(seeds))].Copy(), seeds: seeds}
		for range 1 + rnd.IntN(4) {
			m.step()
		}
		message := m.write()
		a, err := c.VerifyResponse(clock, post(message), anyRequest)
		if err != nil {
			r, ok := saml.AsRefusal(err)
			if !ok {
				t.Fatalf("mutant %d (%s): not a refusal: %v\n%s", i, strings.Join(m.did, ", "), err, message)
			}
			gates[r.Gate]++
			continue
		}
		accepted++
		if !signed[said(a)] {
			t.Fatalf("mutant %d (%s) signs in what nobody signed for: %s\n%s", i, strings.Join(m.did, ", "), said(a), message)
		}
	}
	t.Logf("%d mutants, %d accepted unchanged in meaning, refusals: %v", total, accepted, gates)
	if len(gates) < 15 {
		t.Errorf("the mutants met only %d gates", len(gates))
	}
}

// said is everything of an assertion that anybody acts on.
func said(a *saml.Assertion) string {
	raw, _ := json.Marshal([]any{a.ID, a.NameID, a.Attributes, a.SessionIndex, a.Issuer, a.InResponseTo})
	return string(raw)
}

func mutantSeeds(t *testing.T, c *saml.Connection) ([]*etree.Document, map[string]bool) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(vectors, "accept/ok-*.xml"))
	if err != nil {
		t.Fatal(err)
	}
	var seeds []*etree.Document
	signed := map[string]bool{}
	for _, name := range names {
		message := file(t, "accept/"+filepath.Base(name))
		a, err := c.VerifyResponse(clock, post(message), anyRequest)
		if err != nil {
			continue // needs another connection than this
		}
		signed[said(a)] = true
		doc := etree.NewDocument()
		if err := doc.ReadFromBytes(message); err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, doc)
	}
	if len(seeds) < 20 {
		t.Fatalf("only %d seeds", len(seeds))
	}
	return seeds, signed
}

type mutant struct {
	rnd   *rand.Rand
	doc   *etree.Document
	seeds []*etree.Document
	raw   []func(string) string // done to the bytes at the end
	did   []string
}

func (m *mutant) step() {
	steps := []struct {
		name string
		do   func()
	}{
		{"move", m.move}, {"duplicate", m.duplicate}, {"wrap", m.wrap}, {"unwrap", m.unwrap}, {"rename", m.rename}, {"remove", m.remove},
		{"forge text", m.forgeText}, {"forge attribute", m.forgeAttribute}, {"split text", m.splitText}, {"graft", m.graft},
		{"forged twin", m.forgedTwin}, {"declare", m.declare}, {"identifier", m.identifier}, {"algorithm", m.algorithm},
		{"bytes", m.bytes}, {"re-encode", m.reencode}, {"swap signature", m.swapSignature}, {"hide original", m.hideOriginal},
	}
	s := steps[m.rnd.IntN(len(steps))]
	m.did = append(m.did, s.name)
	s.do()
}

func (m *mutant) write() []byte {
	m.doc.WriteSettings = etree.WriteSettings{CanonicalAttrVal: true, CanonicalEndTags: true, CanonicalText: true}
	text, err := m.doc.WriteToString()
	if err != nil {
		panic(err)
	}
	for _, change := range m.raw {
		text = change(text)
	}
	return []byte(text)
}

func (m *mutant) all() []*etree.Element { return m.doc.Root().FindElements("//*") }

func (m *mutant) any() *etree.Element {
	all := m.all()
	if len(all) == 0 {
		return m.doc.Root()
	}
	return all[m.rnd.IntN(len(all))]
}

func (m *mutant) tagged(tag string) *etree.Element {
	var found []*etree.Element
	for _, el := range m.all() {
		if el.Tag == tag {
			found = append(found, el)
		}
	}
	if len(found) == 0 {
		return m.any()
	}
	return found[m.rnd.IntN(len(found))]
}

func (m *mutant) insert(parent, el *etree.Element) {
	parent.InsertChildAt(m.rnd.IntN(len(parent.Child)+1), el)
}

func inside(el, ancestor *etree.Element) bool {
	for ; el != nil; el = el.Parent() {
		if el == ancestor {
			return true
		}
	}
	return false
}

func (m *mutant) move() {
	el, to := m.any(), m.any()
	if el == m.doc.Root() || inside(to, el) {
		return
	}
	el.Parent().RemoveChild(el)
	m.insert(to, el)
}

func (m *mutant) duplicate() {
	el := m.any()
	m.insert(m.any(), el.Copy())
}

func (m *mutant) wrap() {
	el := m.any()
	parent := el.Parent()
	if parent == nil || el == m.doc.Root() {
		return
	}
	at := el.Index()
	parent.RemoveChild(el)
	wrapper := etree.NewElement([]string{"samlp:Extensions", "saml:Advice", "ds:Object", "x", "saml:Assertion", "samlp:Response"}[m.rnd.IntN(6)])
	wrapper.AddChild(el)
	parent.InsertChildAt(at, wrapper)
}

func (m *mutant) unwrap() {
	el := m.any()
	parent := el.Parent()
	if parent == nil || el == m.doc.Root() {
		return
	}
	at := el.Index()
	parent.RemoveChild(el)
	for _, c := range append([]etree.Token{}, el.Child...) {
		parent.InsertChildAt(at, c)
		at++
	}
}

func (m *mutant) rename() {
	el := m.any()
	tags := []string{"Assertion", "Response", "Signature", "Subject", "NameID", "Reference", "Object", "EncryptedAssertion", "assertion", "Extensions", strings.ToLower(el.Tag)}
	if m.rnd.IntN(3) == 0 {
		el.Space = []string{"", "saml", "samlp", "ds", "evil"}[m.rnd.IntN(5)]
		return
	}
	el.Tag = tags[m.rnd.IntN(len(tags))]
}

func (m *mutant) remove() {
	if el := m.any(); el != m.doc.Root() && el.Parent() != nil {
		el.Parent().RemoveChild(el)
	}
}

func (m *mutant) forgeText() {
	m.tagged([]string{"NameID", "AttributeValue", "Audience", "Issuer", "DigestValue", "SignatureValue", "X509Certificate"}[m.rnd.IntN(7)]).SetText(attacker)
}

func (m *mutant) forgeAttribute() {
	el := m.any()
	if len(el.Attr) == 0 {
		el.CreateAttr("ID", "_x")
		return
	}
	a := &el.Attr[m.rnd.IntN(len(el.Attr))]
	a.Value = []string{"", "_x", "_assert-9a8b7c", "_resp-1a2b3c", "#_assert-9a8b7c", "2099-01-01T00:00:00Z", attacker, "http://www.w3.org/2000/09/xmldsig#rsa-sha1"}[m.rnd.IntN(8)]
}

func (m *mutant) splitText() {
	el := m.tagged([]string{"NameID", "AttributeValue", "Issuer", "DigestValue", "Audience"}[m.rnd.IntN(5)])
	text := el.Text()
	if text == "" {
		return
	}
	at := m.rnd.IntN(len(text))
	el.SetText(text[:at])
	switch m.rnd.IntN(4) {
	case 0:
		el.CreateComment("x")
	case 1:
		el.CreateProcInst("x", "y")
	case 2:
		el.CreateCData(attacker)
	case 3:
		el.CreateElement("x")
	}
	el.CreateText(text[at:])
}

func (m *mutant) graft() {
	other := m.seeds[m.rnd.IntN(len(m.seeds))].Copy().Root()
	parts := other.FindElements("//*")
	m.insert(m.any(), parts[m.rnd.IntN(len(parts))].Copy())
}

// forgedTwin is the heart of wrapping: a copy of the assertion for somebody else, somewhere.
func (m *mutant) forgedTwin() {
	original := m.tagged("Assertion")
	twin := original.Copy()
	for _, el := range twin.FindElements("//*") {
		switch el.Tag {
		case "NameID":
			el.SetText(attacker)
		case "Signature":
			if m.rnd.IntN(2) == 0 && el.Parent() != nil {
				el.Parent().RemoveChild(el)
			}
		}
	}
	if m.rnd.IntN(2) == 0 {
		twin.CreateAttr("ID", fmt.Sprintf("_forged-%d", m.rnd.IntN(3)))
	}
	m.insert(m.any(), twin)
}

// hideOriginal puts a forged message around the original, which goes where its signature still holds.
func (m *mutant) hideOriginal() {
	original := m.doc.Root()
	forged := original.Copy()
	forged.CreateAttr("ID", "_forged")
	for _, el := range forged.FindElements("//*") {
		if el.Tag == "NameID" {
			el.SetText(attacker)
		}
	}
	m.doc.SetRoot(forged)
	m.insert(m.tagged([]string{"Signature", "Extensions", "Advice", "Status", "KeyInfo", "Subject"}[m.rnd.IntN(6)]), original)
}

func (m *mutant) swapSignature() {
	el := m.tagged("Signature")
	other := m.seeds[m.rnd.IntN(len(m.seeds))].Copy().Root()
	for _, sig := range other.FindElements("//*") {
		if sig.Tag == "Signature" && el.Parent() != nil && el.Tag == "Signature" {
			at := el.Index()
			parent := el.Parent()
			parent.RemoveChild(el)
			parent.InsertChildAt(at, sig.Copy())
			return
		}
	}
}

func (m *mutant) declare() {
	prefix := []string{"xmlns", "xmlns:saml", "xmlns:samlp", "xmlns:ds", "xmlns:xml", "xmlns:x"}[m.rnd.IntN(6)]
	m.any().CreateAttr(prefix, []string{"", "1", "urn:oasis:names:tc:SAML:2.0:assertion", "urn:oasis:names:tc:SAML:1.0:assertion", "urn:x"}[m.rnd.IntN(5)])
}

func (m *mutant) identifier() {
	m.any().CreateAttr([]string{"ID", "Id", "id", "xml:id", "samlp:ID", "AssertionID"}[m.rnd.IntN(6)], []string{"_assert-9a8b7c", "_resp-1a2b3c", "_y"}[m.rnd.IntN(3)])
}

func (m *mutant) algorithm() {
	el := m.tagged([]string{"SignatureMethod", "DigestMethod", "Transform", "CanonicalizationMethod"}[m.rnd.IntN(4)])
	el.CreateAttr("Algorithm", []string{
		"", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256", "http://www.w3.org/2000/09/xmldsig#sha1", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
		"http://www.w3.org/2001/10/xml-exc-c14n#WithComments", "http://www.w3.org/TR/1999/REC-xslt-19991116", "http://www.w3.org/2001/04/xmlenc#sha512",
	}[m.rnd.IntN(7)])
}

func (m *mutant) bytes() {
	at, what := m.rnd.Float64(), m.rnd.IntN(6)
	m.raw = append(m.raw, func(s string) string {
		i := int(at * float64(len(s)))
		switch what {
		case 0:
			return s[:i]
		case 1:
			return s + s[i:]
		case 2:
			return s[:i] + "<!---->" + s[i:]
		case 3:
			return s[:i] + "\x00" + s[i:]
		case 4:
			return s[:i] + "&#x61;" + s[i:]
		}
		return s[:i] + string(rune('a'+i%26)) + s[min(i+1, len(s)):]
	})
}

// reencode changes how the message is written and not what it says, if it says anything still.
func (m *mutant) reencode() {
	what := m.rnd.IntN(5)
	m.raw = append(m.raw, func(s string) string {
		switch what {
		case 0:
			return strings.ReplaceAll(s, "alice", "&#97;lice")
		case 1:
			return strings.ReplaceAll(s, "\n", "\r\n")
		case 2:
			return `<?xml version="1.0" encoding="UTF-8"?>` + s
		case 3:
			return strings.ReplaceAll(s, `"`, `'`)
		}
		return strings.ReplaceAll(s, "></", "> </")
	})
}
