package lang

import (
	"embed"
	"io/fs"

	"github.com/sigra-auth/sigra/pluginsdk/lang"
)

//go:embed messages
var messages embed.FS

// The types are those of pluginsdk/lang, which plugins use for their own texts.
type (
	Tag        = lang.Tag
	Catalogues = lang.Catalogues
	Language   = lang.Language
	Strict     = lang.Strict
	Error      = lang.Error
)

// Source is the language that all others are translated from.
const Source = lang.Source

// Load prepares the built-in catalogues and reads, where override is not nil, those that replace texts or add languages. Every
// mistake is an *Error with file and line; several are joined. A built-in language is read when it is first used: that it has no
// mistakes is tested.
func Load(override fs.FS) (*Catalogues, error) { return lang.Load(Messages(), override) }

// Verify reads a whole set of catalogues, such as Messages, and reports whatever is not as it must be.
func Verify(root fs.FS) error { return lang.Verify(root) }

// Messages are the built-in message files, to start from when replacing them.
func Messages() fs.FS {
	sub, err := fs.Sub(messages, "messages")
	if err != nil {
		panic(err) // the path is a constant and valid
	}
	return lang.Merge(lang.Base(), sub)
}

// TemplateError finds the place in what text/template or html/template say of a mistake; dir is where their names lie. Without
// a place, err comes back as it is.
func TemplateError(dir string, err error) error { return lang.TemplateError(dir, err) }
