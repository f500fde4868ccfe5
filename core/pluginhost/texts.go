package pluginhost

import (
	"golang.org/x/text/language"
)

// text is what a plugin's word for people is in a language: where it is a key of the plugin's catalogue, the text there; or
// else the word itself.
func (p *plugin) text(word, in string) string {
	p.mu.Lock()
	m := p.manifest
	p.mu.Unlock()
	if m != nil {
		if t := m.text(word, in); t != "" {
			return printable(clip(t, 200))
		}
	}
	return printable(clip(word, 200))
}

// text finds a key in the catalogue that suits a language best, or in English.
func (m *manifest) text(key, in string) string {
	var tags []language.Tag
	for _, c := range m.GetCatalogues() {
		tag, _ := language.Parse(c.GetLanguage()) // und suits nobody
		tags = append(tags, tag)
	}
	if len(tags) == 0 {
		return ""
	}
	want, _ := language.Parse(in)
	if _, i, confidence := language.NewMatcher(tags).Match(want); confidence > language.No {
		if t := m.GetCatalogues()[i].GetMessages()[key]; t != "" {
			return t
		}
	}
	for _, c := range m.GetCatalogues() {
		if c.GetLanguage() == "en" {
			return c.GetMessages()[key]
		}
	}
	return ""
}
