package web

import "github.com/sigra-auth/sigra/core/lang"

// passkeyForm is a passkey's form as assets/passkey.js wants it; see there. Without a script it is not shown.
type passkeyForm struct {
	Kind            string // login, second, stepup, register
	Options, Finish string // where the ceremony begins and ends; no Finish: the form itself is sent, to Action
	Action          string
	Submit          string
	Quiet           bool
	Fields          []field
	Hidden          []hidden
	Texts           passkeyTexts
}

// passkeyTexts are what the script may have to say.
type passkeyTexts struct{ Cancelled, Timeout, Unsupported, Exists, Site, Offline, Server, Failed string }

func passkeyTextsIn(l *lang.Language) passkeyTexts {
	text := func(name string) string { return l.Text("page.passkey." + name) }
	return passkeyTexts{text("cancelled"), text("timeout"), text("unsupported"), text("exists"), text("site"), text("offline"), text("server"), text("failed")}
}
