package lang

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"golang.org/x/text/language"
)

// Tag is a BCP 47 language tag.
type Tag = language.Tag

// maxAccept is how much of an Accept-Language header is looked at; browsers send less than a tenth of it.
const maxAccept = 1 << 10

// Catalogues are all the languages there are. Safe for concurrent use.
type Catalogues struct {
	languages []*Language // the first is the one for who understands none of them
	matcher   language.Matcher
}

func newCatalogues(languages map[string]*Language) *Catalogues {
	c := &Catalogues{languages: []*Language{languages[Source]}}
	for _, code := range slices.Sorted(maps.Keys(languages)) {
		if l := languages[code]; code != Source {
			l.english = languages[Source]
			c.languages = append(c.languages, l)
		}
	}
	c.prepare()
	return c
}

func (c *Catalogues) prepare() {
	var tags []Tag
	for _, l := range c.languages {
		tags = append(tags, l.tag)
	}
	c.matcher = language.NewMatcher(tags)
}

// WithDefault returns the same catalogues with another language than English for who understands none of them.
func (c *Catalogues) WithDefault(code string) (*Catalogues, error) {
	i := slices.IndexFunc(c.languages, func(l *Language) bool { return strings.EqualFold(l.Code(), code) })
	if i < 0 {
		return nil, fmt.Errorf("there are no texts in the language %q; there are %s", code, strings.Join(c.Codes(), ", "))
	}
	out := &Catalogues{languages: slices.Clone(c.languages)}
	out.languages[0], out.languages[i] = c.languages[i], c.languages[0]
	out.prepare()
	return out, nil
}

// Codes are the tags of all languages, sorted.
func (c *Catalogues) Codes() []string {
	var out []string
	for _, l := range c.languages {
		out = append(out, l.Code())
	}
	slices.Sort(out)
	return out
}

// All are the languages, sorted by code, for a choice of languages.
func (c *Catalogues) All() []*Language {
	return slices.SortedFunc(slices.Values(c.languages), func(a, b *Language) int { return strings.Compare(a.Code(), b.Code()) })
}

// Default is the language for who understands none of them.
func (c *Catalogues) Default() *Language { return c.languages[0] }

// Match finds the language there is that suits best: preferred, what the user chose once ("" if nothing), goes before an Accept-Language
// header. Both may be any text from outside.
func (c *Catalogues) Match(acceptLanguage, preferred string) Tag {
	for _, want := range []string{preferred, acceptLanguage} {
		if len(want) > maxAccept {
			want = want[:strings.LastIndexByte(want[:maxAccept], ',')+1]
		}
		tags, _, err := language.ParseAcceptLanguage(want)
		if err != nil || len(tags) == 0 {
			continue
		}
		if _, i, confidence := c.matcher.Match(tags...); confidence != language.No {
			return c.languages[i].tag
		}
	}
	return c.languages[0].tag
}

// For gives the language of a tag, or the one that suits it best.
func (c *Catalogues) For(tag Tag) *Language {
	for _, l := range c.languages {
		if l.tag == tag {
			return l
		}
	}
	_, i, _ := c.matcher.Match(tag)
	return c.languages[i]
}

// suggestion names the key that was probably meant.
func suggestion(key string, keys texts) string {
	best, least := "", 4
	for k := range keys {
		if d := levenshtein.Distance(key, k, levenshtein.NewParams().MaxCost(least)); d < least || d == least && best != "" && k < best {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}
