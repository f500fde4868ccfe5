package web

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
)

// form is a form as the templates show it. Its words are in the person's language already.
type form struct {
	Action   string
	Submit   string
	Quiet    bool // the button is not what the page is about
	Danger   bool // the button takes something away
	Fields   []field
	Hidden   []hidden
	Also     []button     // more buttons, after the first
	Problem  string       // above the fields, when it was refused
	Prefix   string       // of the fields' ids, where a page has several forms
	Label    string       // of the form, for screen readers, where a page has several
	Target   string       // "_top" out of a frame
	Work     *work        // it is sent with a proof of work
	Captcha  *widget      // or with the answer to a captcha
	Autofill *passkeyForm // the browser offers passkeys in its field
}

type hidden struct{ Name, Value string }

// button is another way to send a form.
type button struct {
	Name, Value, Label string
	Unchecked          bool // the fields need not be filled in
}

// field is one input. Its id is its name behind the form's prefix, so that an error can point at it.
type field struct {
	Name         string
	Label        string
	Type         string // text, email, password, checkbox, radio, select
	Value        string
	Checked      bool
	Options      []option // of radio and select
	Autocomplete string
	InputMode    string
	Pattern      string
	MinLength    int
	MaxLength    int
	Hint         string
	Error        string
	Autofocus    bool
	Required     bool
	ReadOnly     bool
	Class        string
	Prefix       string // set by Rows
}

// option is one of several to choose from.
type option struct {
	Value, Label, Hint string
	Checked            bool
}

// Rows are the fields with their form's prefix.
func (f form) Rows() []field {
	out := make([]field, len(f.Fields))
	for i, x := range f.Fields {
		x.Prefix = f.Prefix
		out[i] = x
	}
	return out
}

// ID is the input's id.
func (f field) ID() string { return f.Prefix + f.Name }

// Latin reports whether what is typed is written from left to right in every language.
func (f field) Latin() bool {
	return f.Type == "email" || f.Type == "password" || f.InputMode != "" || f.Class == "code"
}

// Describes gives the ids that describe the input to a screen reader.
func (f field) Describes() string {
	switch {
	case f.Hint != "" && f.Error != "":
		return f.ID() + "-error " + f.ID() + "-hint"
	case f.Error != "":
		return f.ID() + "-error"
	case f.Hint != "":
		return f.ID() + "-hint"
	}
	return ""
}

// Wrong lists the fields that have an error, for the summary.
func (f form) Wrong() []field {
	var out []field
	for _, x := range f.Rows() {
		if x.Error != "" {
			out = append(out, x)
		}
	}
	return out
}

// focus puts the cursor where the person goes on: the first wrong field, or else the first empty one.
func (f *form) focus() {
	at := -1
	for i, x := range f.Fields {
		f.Fields[i].Autofocus = false
		if at < 0 && x.Value == "" && x.Type != "checkbox" && x.Type != "radio" && x.Type != "select" && !x.ReadOnly {
			at = i
		}
	}
	for i, x := range f.Fields {
		if x.Error != "" {
			at = i
			break
		}
	}
	if at >= 0 {
		f.Fields[at].Autofocus = true
	}
}

// refuse marks what a fault complains of and puts the cursor there.
func (p *renderer) refuse(l *lang.Language, f *form, ft *fault.Error) {
	words := p.say(l, ft)
	if ft.RetryAfter > 0 {
		words += " " + inWords(l, ft.RetryAfter)
	}
	f.Problem = words
	for i := range f.Fields {
		if ft.Field != "" && f.Fields[i].Name == ft.Field {
			f.Fields[i].Error = words
			f.Problem = l.Text("page.form.again")
		}
	}
	f.focus()
}

// codePattern lets through what typed.Code reads: digits of any script, with spaces, dashes and invisible marks between. Browsers read it
// with the flag v, older ones with u (HTML §4.10.5.3.6).
const codePattern = `[\p{Nd}\p{Zs}\p{Pd}\p{Cf}\u2212]*`

// codeField asks for a code out of a mail or an app.
func codeField(label, hint string) field {
	return field{
		Name: "code", Label: label, Hint: hint, Type: "text", Autocomplete: "one-time-code", InputMode: "numeric",
		Pattern: codePattern, MaxLength: 32, Required: true, Class: "code",
	}
}

// emailField asks for an address.
func emailField(l *lang.Language, value string) field {
	return field{Name: "email", Label: l.Text("page.field.email"), Type: "email", Value: value, Autocomplete: "username", MaxLength: 254, Required: true}
}

// whose is for password managers, which file a password under a name; the server ignores it.
func whose(l *lang.Language, email string) field {
	return field{Name: "username", Label: l.Text("page.field.email"), Type: "email", Value: email, Autocomplete: "username", ReadOnly: true}
}

var (
	errNotAForm = fault.New(fault.Invalid, "not_a_form", "This page takes a form.")
	errBigForm  = fault.New(fault.TooLarge, "form_too_large", "That is more than this form takes.")
	errBadForm  = fault.New(fault.Invalid, "malformed_form", "The form can't be read. Please go back and try again.")
)

// maxFields bounds the fields of a form: none has twenty.
const maxFields = 50

// readForm takes the fields from the body and only from there: an address with a password in it must not work. It reads as much
// as the form may have, and looks into it only when it is not too much.
func readForm(w http.ResponseWriter, r *http.Request, limit int64) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return errNotAForm
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		return errBigForm
	case err != nil:
		return errBadForm.Because(err)
	case bytes.Count(body, []byte("&")) >= maxFields:
		return errBadForm
	}
	if r.PostForm, err = url.ParseQuery(string(body)); err != nil {
		return errBadForm.Because(err)
	}
	for _, values := range r.PostForm {
		if len(values) > 1 {
			return errBadForm
		}
	}
	return nil
}

// reshow tells whether a fault belongs on the form it came from.
func reshow(f *fault.Error) bool {
	switch f.Kind {
	case fault.Invalid, fault.Unauthenticated, fault.Conflict, fault.Denied:
		return true
	}
	return false
}
