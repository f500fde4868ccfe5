package lockspire

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// authorize is the authorization endpoint (RFC 6749 §3.1, OpenID Connect Core §3.1.2).
func (in *people) authorize(w http.ResponseWriter, r *http.Request) error {
	params, err := parameters(w, r)
	if err != nil {
		return err
	}
	q, c, err := judge(params, func(id string) (*Client, error) { return in.store.client(r.Context(), id) },
		func(token string) (string, error) { return in.hinted(r.Context(), token, params.Get("client_id")) })
	var refused *clientError
	switch {
	case errors.As(err, &refused):
		in.log.Info("authorization request refused", "client", c.ID, "code", refused.Code, "why", refused.Why)
		return in.toClient(w, r, refused.To, url.Values{"error": {refused.Code}, "error_description": {refused.Why}}, leaveAtOnce)
	case err != nil:
		return err
	}
	now := in.now()
	i := &interaction{ClientID: c.ID, Request: *q, CreatedAt: now, ExpiresAt: now.Add(in.settings.InteractionTTL)}
	if r.Method == http.MethodPost {
		// What was posted from elsewhere came without a session. By GET it comes with one.
		err = in.interact(w, r, i)
	} else {
		err = in.proceed(w, r, visit{client: c, interaction: i})
	}
	var page *pageError
	if err == nil || errors.As(err, &page) || r.Context().Err() != nil {
		return err
	}
	// RFC 6749 §4.1.2.1: trouble of ours is told to the client, which knows whether to try again.
	in.trouble(r, err)
	w.Header().Del("Content-Security-Policy")
	return in.toClient(w, r, q.target(), url.Values{"error": {"temporarily_unavailable"}, "error_description": {"try again shortly"}}, leaveAtOnce)
}

// parameters are those of the query, or of the form.
func parameters(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	raw := r.URL.RawQuery
	if len(raw) > maxRequest {
		return nil, &pageError{Status: http.StatusRequestURITooLong, Code: "too_long", Why: "an authorization request has at most 16 KiB"}
	}
	switch r.Method {
	case http.MethodGet:
		in, err := url.ParseQuery(raw)
		if err != nil {
			return nil, &pageError{Status: http.StatusBadRequest, Code: "invalid_request", Why: "the query can't be read"}
		}
		return in, nil
	case http.MethodPost:
		in, err := form(w, r)
		if err != nil {
			return nil, &pageError{Status: http.StatusBadRequest, Code: "invalid_request", Why: err.Error()}
		}
		if len(in.Encode()) > maxRequest {
			return nil, &pageError{Status: http.StatusRequestEntityTooLarge, Code: "too_long", Why: "an authorization request has at most 16 KiB"}
		}
		return in, nil
	}
	w.Header().Set("Allow", "GET, POST")
	return nil, &pageError{Status: http.StatusMethodNotAllowed, Code: "method"}
}

// visit is one look at a request by one person.
type visit struct {
	client      *Client
	interaction *interaction
	id          string // of a stored interaction; empty: it is new
}

// interact stores a request and goes on with it by GET.
func (in *people) interact(w http.ResponseWriter, r *http.Request, i *interaction) error {
	id := newToken()
	if err := in.store.insertInteraction(r.Context(), id, i); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, in.settings.IssuerPath+"/interaction/"+id, http.StatusSeeOther)
	return nil
}

// resume goes on with a stored request: after a sign-in, or to ask for consent.
func (in *people) resume(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet { // a HEAD must not issue anything
		w.Header().Set("Allow", "GET, POST")
		return &pageError{Status: http.StatusMethodNotAllowed, Code: "method"}
	}
	v, err := in.pending(r)
	if err != nil {
		return err
	}
	switch why := r.URL.Query().Get("error"); {
	case why == "":
		return in.proceed(w, r, v)
	case why == pluginsdk.SignInImpossible && person(r.Context()) != nil && v.interaction.Request.ACR != "":
		return in.proceed(w, r, v) // acr_values is a wish (OpenID Connect Core §3.1.2.1), and the token says what was shown
	}
	if _, err := finish(r.Context(), in.store.db, v.id); err != nil {
		return err
	}
	return in.toClient(w, r, v.interaction.Request.target(), url.Values{"error": {"access_denied"}, "error_description": {"the person did not sign in"}}, leaveByPage)
}

// pending finds a stored request and its client, which may have changed meanwhile.
func (in *people) pending(r *http.Request) (visit, error) {
	id := r.PathValue("id")
	i, err := in.store.interaction(r.Context(), id, in.now())
	if errors.Is(err, errNoInteraction) {
		return visit{}, &pageError{Status: http.StatusBadRequest, Code: "interaction_expired"}
	} else if err != nil {
		return visit{}, err
	}
	if i.Answer == answeredDone {
		return visit{}, &pageError{Status: http.StatusConflict, Code: "interaction_answered"}
	}
	c, err := in.store.client(r.Context(), i.ClientID)
	switch {
	case err != nil && !errors.Is(err, errNoClient):
		return visit{}, err
	case err != nil || c.Disabled || !c.redirects(i.Request.RedirectURI):
		return visit{}, &pageError{Status: http.StatusBadRequest, Code: "unauthorized_client", Why: "the client was changed meanwhile"}
	}
	return visit{client: c, interaction: i, id: id}, nil
}

// person is who is signed in, if it is a person in a session: no key, token or service account authorizes an application.
func person(ctx context.Context) *pluginsdk.Principal {
	p := pluginsdk.RequestPrincipal(ctx)
	if p == nil || p.Kind != "user" || p.SessionID == "" || p.Scopes != nil {
		return nil
	}
	return p
}

// mostAsked is how often a request may lead to the sign-in, so that no browser goes round for ever.
const mostAsked = 3

// proceed looks at what a request still needs: a sign-in, consent, or nothing.
func (in *people) proceed(w http.ResponseWriter, r *http.Request, v visit) error {
	q, who := &v.interaction.Request, person(r.Context())
	how := leaveAtOnce
	if v.id != "" {
		how = leaveByPage
	}
	fail := func(code, why string) error {
		if v.id != "" {
			if _, err := finish(r.Context(), in.store.db, v.id); err != nil {
				return err
			}
		}
		return in.toClient(w, r, q.target(), url.Values{"error": {code}, "error_description": {why}}, how)
	}
	if who != nil && who.ImpersonatorID != "" {
		return fail("access_denied", "an administrator who acts in somebody's name can't authorize applications")
	}
	if need := in.needsSignIn(v.interaction, who); need != "" {
		switch {
		case q.prompts("none"):
			return fail(need, "the person would have to be asked") // OpenID Connect Core §3.1.2.6
		case v.interaction.Asked >= mostAsked:
			return fail("login_required", "the person did not sign in as asked")
		}
		return in.toSignIn(w, r, v)
	}
	if v.interaction.SessionID != "" && v.interaction.SessionID != who.SessionID {
		// Nothing of somebody else's request is shown.
		return &pageError{Status: http.StatusBadRequest, Code: "interaction_elsewhere"}
	}
	ask, err := in.needsConsent(r.Context(), q, v.client, who)
	switch {
	case err != nil:
		return err
	case ask && q.prompts("none"):
		return fail("consent_required", "the person would have to be asked")
	case ask:
		return in.askConsent(w, r, v, who)
	}
	text := newToken()
	issued, err := in.issueCode(r.Context(), q, v.client, who, text, func(tx *sql.Tx) (bool, error) {
		if v.id == "" {
			return true, nil
		}
		return finish(r.Context(), tx, v.id)
	})
	switch {
	case errors.Is(err, errNotActive):
		return fail("access_denied", "the account is not active")
	case err != nil:
		return err
	case !issued:
		return &pageError{Status: http.StatusConflict, Code: "interaction_answered"}
	}
	return in.toClient(w, r, q.target(), url.Values{"code": {text}}, how)
}

// needsSignIn says with which error a request is refused that must not ask; empty when the person is signed in as it wants.
func (in *people) needsSignIn(i *interaction, who *pluginsdk.Principal) string {
	q := &i.Request
	if who == nil {
		return "login_required"
	}
	fresh := !who.AuthTime.Before(i.CreatedAt.Truncate(time.Second)) // proved since this request came
	switch {
	case q.HintedUser != "" && q.HintedUser != who.UserID:
		return "login_required"
	case q.prompts("login") && !fresh:
		return "login_required"
	case q.prompts("select_account") && !fresh && i.Asked == 0:
		return "account_selection_required"
	case q.MaxAge != nil && !fresh && in.now().Sub(who.AuthTime) > time.Duration(min(*q.MaxAge, 1<<31))*time.Second:
		return "login_required"
	case q.MaxAge != nil && *q.MaxAge == 0 && !fresh:
		return "login_required"
	case q.ACR == "aal2" && who.AAL != "aal2" && (i.Asked == 0 || q.prompts("none")):
		// acr_values is a wish (OpenID Connect Core §3.1.2.1): whoever comes back without goes on, and the token says so.
		return "interaction_required"
	}
	return ""
}

// toSignIn sends the person to Sigra's sign-in, which leads back to the stored request.
func (in *people) toSignIn(w http.ResponseWriter, r *http.Request, v visit) error {
	q, id := &v.interaction.Request, v.id
	v.interaction.Asked++
	if id == "" {
		id = newToken()
		if err := in.store.insertInteraction(r.Context(), id, v.interaction); err != nil {
			return err
		}
	} else if err := in.store.askedAgain(r.Context(), id); err != nil {
		return err
	}
	back := in.settings.IssuerPath + "/interaction/" + id
	ask := pluginsdk.SignInRequest{
		ReturnTo: back, LoginHint: q.LoginHint, UILocales: q.Locales, ClientName: v.client.Name, CancelTo: back, ACRValues: acrValues(q.ACR),
		SelectAccount: q.prompts("select_account") || q.HintedUser != "",
	}
	who := person(r.Context())
	// Whoever is signed in already is asked to prove it anew, or to be somebody else.
	ask.Fresh = q.prompts("login") || q.MaxAge != nil && *q.MaxAge == 0 || who != nil && q.HintedUser != "" && q.HintedUser != who.UserID
	if q.MaxAge != nil && *q.MaxAge > 0 {
		ask.MaxAge = time.Duration(min(*q.MaxAge, 1<<31)) * time.Second
	}
	to, err := in.host.Pages().SignInURL(r.Context(), ask)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

func acrValues(acr string) []string {
	if acr == "" {
		return nil
	}
	return []string{acr}
}

// needsConsent says whether the person must be asked.
func (in *people) needsConsent(ctx context.Context, q *authRequest, c *Client, who *pluginsdk.Principal) (bool, error) {
	switch {
	case q.prompts("consent"):
		return true, nil
	case c.Native() && !c.Config.Trusted:
		// RFC 8252 §8.6: any program on the device can pose as this one, so that what was allowed once is no answer.
		return true, nil
	case c.Config.Trusted:
		return false, nil
	}
	have, err := in.store.consents(ctx, in.store.db, who.UserID, c.ID)
	if err != nil || len(have) == 0 {
		return true, err
	}
	return slices.ContainsFunc(q.Scopes, func(s string) bool { return !slices.Contains(have[0].Scopes, s) }), nil
}

var errNotActive = errors.New("the account is not active")

// issueCode makes a grant with a code. before runs first in the same transaction; nothing is issued when it says no.
func (in *people) issueCode(
	ctx context.Context, q *authRequest, c *Client, who *pluginsdk.Principal, text string, before func(*sql.Tx) (bool, error),
) (issued bool, err error) {
	if ok, err := in.active(ctx, who.UserID); err != nil {
		return false, err
	} else if !ok {
		return false, errNotActive
	}
	now := in.now()
	g := &grant{
		ID: uuid.Must(uuid.NewV7()).String(), ClientID: c.ID, UserID: who.UserID, SessionID: who.SessionID, CreatedAt: now, UsedAt: now, ExpiresAt: now.Add(in.settings.GrantTTL),
		Detail: grantDetail{Scopes: q.Scopes, Resources: q.Resources, Nonce: q.Nonce, AuthTime: who.AuthTime.Unix(), ACR: who.AAL, AMR: who.AMR},
	}
	err = storage.Tx(ctx, in.store.db, func(tx *sql.Tx) error {
		if issued, err = before(tx); err != nil || !issued {
			return err
		}
		if err := insertGrant(ctx, tx, g); err != nil {
			return err
		}
		return insertCode(ctx, tx, text, code{
			GrantID: g.ID, ClientID: c.ID, RedirectURI: q.RedirectURI, Challenge: q.Challenge, ExpiresAt: now.Add(in.settings.CodeTTL),
		})
	})
	return issued, err
}

// active says whether an account may still be used.
func (in *service) active(ctx context.Context, user string) (bool, error) {
	u, found, err := in.host.Identity().User(ctx, user)
	return found && u.Status == "active", err
}
