package web

import (
	"errors"
	"mime"
	"net/http"

	"github.com/sigra-auth/sigra/core/fault"
)

// maxForm bounds a form's body: the longest password, an address, a token and the room that encoding takes.
const maxForm = 32 << 10

// form is a form as the templates show it.
type form struct {
	Action  string
	Submit  string
	Fields  []field
	Hidden  []hidden
	Problem string // above the fields, when it was refused
}

type hidden struct{ Name, Value string }

// field is one input. Its id is its name, so that an error can point at it.
type field struct {
	Name         string
	Label        string
	Type         string // text, email, password, checkbox
	Value        string
	Checked      bool
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
}

// Describes gives the ids that describe the input to a screen reader.
func (f field) Describes() string {
	switch {
	case f.Hint != "" && f.Error != "":
		return f.Name + "-error " + f.Name + "-hint"
	case f.Error != "":
		return f.Name + "-error"
	case f.Hint != "":
		return f.Name + "-hint"
	}
	return ""
}

// Wrong lists the fields that have an error, for the summary.
func (f form) Wrong() []field {
	var out []field
	for _, x := range f.Fields {
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
		if at < 0 && x.Value == "" && x.Type != "checkbox" && !x.ReadOnly {
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

// refuse marks what a fault complains of.
func (f *form) refuse(ft *fault.Error) {
	for i := range f.Fields {
		if ft.Field != "" && f.Fields[i].Name == ft.Field {
			f.Fields[i].Error = ft.Message
			f.Problem = "Please look at this again:"
			return
		}
	}
	f.Problem = ft.Message
}

var (
	errNotAForm = fault.New(fault.Invalid, "not_a_form", "This page takes a form.")
	errBigForm  = fault.New(fault.TooLarge, "form_too_large", "That is more than this form takes.")
	errBadForm  = fault.New(fault.Invalid, "malformed_form", "The form can't be read. Please go back and try again.")
)

// readForm takes the fields from the body and only from there: an address with a password in it must not work.
func readForm(w http.ResponseWriter, r *http.Request) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return errNotAForm
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		var tooBig *http.MaxBytesError
		if errors.As(err, &tooBig) {
			return errBigForm
		}
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
