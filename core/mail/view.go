package mail

import (
	"strings"
	"unicode/utf8"

	"github.com/sigra-auth/sigra/core/lang"
)

// view is what the templates see. Its exported fields and methods, and those of Letter, are what sites that replace templates build
// on: docs/mail.md lists them.
type view struct {
	Letter
	Service, Subject string
	Lang, Dir        string // of the document

	language *lang.Language
}

// detail is one line of what is known about the event.
type detail struct{ Label, Value, Line string }

func (v view) args() []any {
	args := []any{"service", v.Service, "provider", v.Provider, "name", v.Name}
	if v.Valid > 0 {
		args = append(args, "validity", v.language.Span(v.Valid))
	}
	return args
}

// Say is a text of the catalogue, with the service, the provider and the validity filled in.
func (v view) Say(key string) (string, error) { return v.language.Strict().Text(key, v.args()...) }

// Own is the message's own text, mail.PURPOSE.name, or the one that all notices share, mail.notice.name.
func (v view) Own(name string) (string, error) {
	if own := "mail." + v.Purpose + "." + name; v.language.Has(own) {
		return v.Say(own)
	}
	return v.Say("mail.notice." + name)
}

// OwnCount is a counted text of the message, for Count.
func (v view) OwnCount(name string) (string, error) {
	return v.language.Strict().Plural("mail."+v.Purpose+"."+name, v.Count, v.args()...)
}

// Label is a text of the catalogue as it stands before what it names: "Your code:".
func (v view) Label(key string) (string, error) { return v.label(v.Say(key)) }

// OwnLabel is Own as it stands before what it names.
func (v view) OwnLabel(name string) (string, error) { return v.label(v.Own(name)) }

func (v view) label(s string, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return v.language.Strict().Text("mail.label", "label", s)
}

// Validity is how long link and code are good for, in words.
func (v view) Validity() string { return v.language.Span(v.Valid) }

// Few reports whether recovery codes run out.
func (v view) Few() bool { return v.Count <= fewCodes }

// Undo reports whether the link undoes the change, for as long as it is valid.
func (v view) Undo() bool { return v.Valid > 0 }

// Details are what is known about the event, each with its label.
func (v view) Details() ([]detail, error) {
	var out []detail
	add := func(key, value string) error {
		if value == "" {
			return nil
		}
		name, err := v.Say("mail.detail." + key)
		if err != nil {
			return err
		}
		label, err := v.label(name, nil)
		out = append(out, detail{Label: name, Value: value, Line: label + " " + value})
		return err
	}
	var method, due, when string
	if v.Method != "" {
		var err error
		if method, err = v.Say("mail.method." + v.Method); err != nil {
			return nil, err
		}
	}
	if !v.Due.IsZero() {
		due = v.language.Day(v.Due)
	}
	if !v.When.IsZero() {
		when = v.language.Date(v.When)
	}
	for _, d := range [][2]string{
		{"address", v.Address}, {"method", method}, {"provider", v.Provider}, {"name", v.Name}, {"due", due}, {"when", when}, {"device", v.Device}, {"ip", v.IP},
	} {
		if err := add(d[0], d[1]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// width is where text parts are wrapped.
const width = 76

// wrap makes paragraphs of a text part: lines end before the width where there is a space to end at (a link has none and stays
// whole), and one empty line is as good as many.
func wrap(s string) string {
	var out []string
	for _, l := range strings.Split(s, "\n") {
		l = strings.TrimRight(l, " \t\r")
		if l == "" {
			if len(out) > 0 && out[len(out)-1] != "" {
				out = append(out, "")
			}
			continue
		}
		if utf8.RuneCountInString(l) <= width {
			out = append(out, l)
			continue
		}
		current := ""
		for _, w := range strings.Split(l, " ") {
			switch {
			case current == "":
				current = w
			case utf8.RuneCountInString(current)+1+utf8.RuneCountInString(w) > width:
				out, current = append(out, current), w
			default:
				current += " " + w
			}
		}
		out = append(out, current)
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n") + "\n"
}
