package web

import (
	"html/template"
	"reflect"
	"time"

	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
)

// bodies are what the templates get as their pages' Body. Those that adopters replace are tried on samples of them.
var bodies = map[string]any{
	"account": overview{}, "account-form": asking{}, "authenticator": appPage{}, "challenge": challenge{}, "check-mail": checkMailPage{}, "choose-account": choosing{}, "confirm": confirmPage{},
	"dev-inbox": []letter{}, "dev-message": letter{}, "devices": devicesPage{}, "sessions": sessionsPage{}, "error": trouble{}, "expired": over{}, "leaving": leaving{}, "link": backToLogin{},
	"invitation": invitationPage{}, "organization": organizationPage{}, "organization-member": memberPage{}, "organizations": belongingsPage{},
	"link-approved": nil, "link-open": magicOpenPage{}, "link-sent": magicSentPage{}, "link-status": magicStatusPage{}, "login": signInPage{}, "logins": loginsPage{},
	"logout": principal.Principal{}, "organization-sign-in": offersPage{},
	"passkey": passkeyPage{}, "passkey-new": newPasskey{}, "passkeys": passkeysPage{}, "plugin": template.HTML(""), "provider-failed": providerTrouble{},
	"recovery-codes": codesPage{}, "recovery-codes-shown": newCodes{}, "register": registerPage{}, "reset": backToLogin{}, "reset-sent": resetSentPage{}, "set-password": nil, "signed-out": goneOn{},
}

// filling is how much a sample has in it.
type filling int

const (
	full filling = iota // everything
	lean                // no words, lists or switches
	bare                // no parts either
)

var fillings = []filling{full, lean, bare}

// sample is a page's view, made up.
func sample(page string, f filling) view {
	v := reflect.New(reflect.TypeFor[view]()).Elem()
	fill(v, f, 0)
	out := v.Interface().(view)
	out.Title, out.Service, out.Shape = "Title", "Sigra", "wide"
	if f == full {
		out.Scripts = passkeyScripts
	}
	if page == "link-status" {
		out.Shape = "frame"
	}
	if b := bodies[page]; b != nil {
		body := reflect.New(reflect.TypeOf(b)).Elem()
		fill(body, f, 0)
		out.Body = body.Interface()
	}
	return out
}

// deepest is how far samples are filled: a form has fields, and these have options.
const deepest = 6

// fill puts something into whatever a template can get at.
func fill(v reflect.Value, f filling, depth int) {
	if depth > deepest {
		return
	}
	switch v.Interface().(type) {
	case time.Time:
		if f == full {
			v.Set(reflect.ValueOf(time.Unix(1_700_000_000, 0).UTC()))
		}
		return
	case lang.Strict:
		return
	case []field:
		if f == full {
			v.Set(reflect.ValueOf(sampleFields()))
		}
		return
	}
	switch v.Kind() {
	case reflect.String:
		if f == full {
			v.SetString("x")
		}
	case reflect.Bool:
		v.SetBool(f == full)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Pointer:
		if f != bare {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), f, depth+1)
		}
	case reflect.Slice:
		if f == full {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			fill(v.Index(0), f, depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), f, depth+1)
			}
		}
	}
}

// sampleFields are one of each kind.
func sampleFields() []field {
	var out []field
	for _, kind := range []string{"text", "checkbox", "radio", "select"} {
		for _, words := range []string{"", "x"} {
			out = append(out, field{
				Name: kind, Label: "x", Type: kind, Value: words, Hint: words, Error: words, Class: words, Autocomplete: words, InputMode: words, Pattern: words,
				MinLength: len(words), MaxLength: len(words), Checked: words != "", Autofocus: words != "", Required: words != "", ReadOnly: words != "",
				Options: []option{{Value: "x", Label: "x", Hint: words, Checked: words != ""}},
			})
		}
	}
	return out
}
