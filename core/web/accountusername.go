package web

import (
	"context"
	"net/http"
	"strings"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
)

// OwnUsername is what people do to their own username.
type OwnUsername interface {
	ChangeUsername(ctx context.Context, p principal.Principal, username string) error
}

// accountUsername is the username of whoever is signed in.
type accountUsername struct {
	*ownKit
	flows OwnUsername
}

// Mount adds the page, where accounts may have one.
func (p *accountUsername) Mount(m *mounter) {
	if p.usernames() {
		m.page("/account/username", recent, p.showUsername)
		m.form("/account/username", ownRecent, p.changeUsername)
	}
}

// usernames reports whether accounts may have one.
func (p *renderer) usernames() bool { return p.set.Usernames != flow.NoUsernames }

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
func (p *renderer) signInName(l *lang.Language, value string) field {
	f := emailField(l, value)
	if p.usernames() {
		f.Label, f.Type = l.Text("page.field.email_or_username"), "text"
	}
	return f
}

// confirmedTo is where somebody goes on whose sign-up is confirmed: to choose another username, when the one chosen then is gone.
func (p *signUp) confirmedTo(in auth.SignedIn, returnTo string) string {
	if in.UsernameTaken {
		return "/account/username?notice=username-taken"
	}
	return p.onward(returnTo)
}

func (p *accountUsername) usernameForm(l *lang.Language, typed, present string) *form {
	f := &form{Action: "/account/username", Submit: l.Text("page.account.username.submit"), Fields: []field{usernameField(l, typed, true)}}
	if present != "" && p.set.Usernames == flow.OptionalUsernames {
		f.Also = []button{{Name: "remove", Value: "1", Label: l.Text("page.account.username.remove"), Unchecked: true}}
	}
	f.focus()
	return f
}

func (p *accountUsername) askUsername(w http.ResponseWriter, r *http.Request, status int, who principal.Principal, typed string, ft *fault.Error) {
	own, err := p.account.Overview(r.Context(), who)
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

func (p *accountUsername) showUsername(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	p.askUsername(w, r, http.StatusOK, who, "", nil)
}

func (p *accountUsername) changeUsername(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	typed, notice := strings.TrimSpace(r.PostForm.Get("username")), "username-changed"
	var err error
	switch {
	case r.PostForm.Get("remove") != "":
		notice = "username-removed"
		err = p.flows.ChangeUsername(r.Context(), who, "")
	case typed == "":
		err = fault.New(fault.Invalid, "username_needed", "Choose a username.").At("username")
	default:
		err = p.flows.ChangeUsername(r.Context(), who, typed)
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
