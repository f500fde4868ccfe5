package web

import (
	"net/http"
	"strings"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
)

// usernames reports whether accounts may have one.
func (p *Pages) usernames() bool { return p.cfg.Usernames != flow.NoUsernames }

func usernameField(l *lang.Language, value string, required bool) field {
	f := field{
		Name: "username", Label: l.Text("page.field.username"), Type: "text", Value: value, Autocomplete: "nickname", Required: required,
		MaxLength: account.MaxUsername, Hint: l.Text("page.field.username_hint", "min", account.MinUsername, "max", account.MaxUsername),
	}
	if !required {
		f.Label = l.Text("page.field.username_optional")
	}
	return f
}

// signInName asks for what people sign in by.
func (p *Pages) signInName(l *lang.Language, value string) field {
	f := emailField(l, value)
	if p.usernames() {
		f.Label, f.Type = l.Text("page.field.email_or_username"), "text"
	}
	return f
}

// confirmedTo is where somebody goes on whose sign-up is confirmed: to choose another username, when the one chosen then is gone.
func (p *Pages) confirmedTo(in auth.SignedIn, returnTo string) string {
	if in.UsernameTaken {
		return "/account/username?notice=username-taken"
	}
	return p.onward(returnTo)
}

func (p *Pages) usernameForm(l *lang.Language, typed, present string) *form {
	f := &form{Action: "/account/username", Submit: l.Text("page.account.username.submit"), Fields: []field{usernameField(l, typed, true)}}
	if present != "" && p.cfg.Usernames == flow.OptionalUsernames {
		f.Also = []button{{Name: "remove", Value: "1", Label: l.Text("page.account.username.remove"), Unchecked: true}}
	}
	f.focus()
	return f
}

func (p *Pages) askUsername(w http.ResponseWriter, r *http.Request, status int, who principal.Principal, typed string, ft *fault.Error) {
	own, err := p.cfg.OwnAccount.Overview(r.Context(), who)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	v := p.ownView(r, who, "page.account.username.title")
	l := v.L.Language
	f := p.usernameForm(l, typed, own.Username)
	if ft != nil {
		p.refuse(l, f, ft)
	}
	lead := l.Text("page.account.username.none")
	if own.Username != "" {
		lead = l.Text("page.account.username.lead", "username", own.Username)
	}
	p.ask(w, r, status, v, f, asking{Back: p.accountLink(l), Lead: lead})
}

func (p *Pages) showUsername(w http.ResponseWriter, r *http.Request) {
	if who, ok := p.sure(w, r); ok {
		p.askUsername(w, r, http.StatusOK, who, "", nil)
	}
}

func (p *Pages) changeUsername(w http.ResponseWriter, r *http.Request) {
	who, ok := p.taken(w, r)
	if !ok {
		return
	}
	typed, notice := strings.TrimSpace(r.PostForm.Get("username")), "username-changed"
	var err error
	switch {
	case r.PostForm.Get("remove") != "":
		notice = "username-removed"
		err = p.cfg.OwnAccount.ChangeUsername(r.Context(), who, "")
	case typed == "":
		err = fault.New(fault.Invalid, "username_needed", "Choose a username.").At("username")
	default:
		err = p.cfg.OwnAccount.ChangeUsername(r.Context(), who, typed)
	}
	ft := fault.From(err)
	switch {
	case err == nil:
		see(w, "/account?notice="+notice)
	case needsProof(err) || !reshow(ft) && ft.Kind != fault.RateLimited:
		p.refusedOwn(w, r, err, "/account/username")
	default:
		retryAfter(w, ft)
		p.askUsername(w, r, statusOf(ft.Kind), who, typed, ft)
	}
}
