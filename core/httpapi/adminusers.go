package httpapi

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/administration"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/session"
)

// Users is what an administrator may do to accounts; *administration.Service is one.
type Users interface {
	CreateUser(ctx context.Context, actor audit.Ref, n administration.NewUser) (a account.Account, linkToken string, err error)
	ResetLink(ctx context.Context, actor audit.Ref, userID uuid.UUID) (linkToken string, err error)
	Disable(ctx context.Context, actor audit.Ref, userID uuid.UUID) error
	Enable(ctx context.Context, actor audit.Ref, userID uuid.UUID) error
	Delete(ctx context.Context, actor audit.Ref, userID uuid.UUID) error
	ResetFactors(ctx context.Context, actor audit.Ref, userID uuid.UUID) error
	Unlock(ctx context.Context, actor audit.Ref, userID uuid.UUID) error
	SetUsername(ctx context.Context, actor audit.Ref, userID uuid.UUID, username string) error
	RevokeSessions(ctx context.Context, actor audit.Ref, reason string, userID uuid.UUID) (session.Ended, error)
}

// Accounts reads accounts; *account.Store is one.
type Accounts interface {
	Get(ctx context.Context, id uuid.UUID) (account.Account, error)
	FindByEmail(ctx context.Context, email string) (account.Account, error)
	FindByUsername(ctx context.Context, username string) (account.Account, error)
	List(ctx context.Context, f account.Filter) (account.Page, error)
}

// UserSessions reads the sessions of a user; *session.Store is one.
type UserSessions interface {
	List(ctx context.Context, userID uuid.UUID) ([]session.Session, error)
}

type userOutput struct{ Body User }

type userPath struct {
	ID uuid.UUID `path:"user_id" format:"uuid" doc:"The account's id."`
}

type listUsersInput struct {
	Query         string `query:"query" maxLength:"320" doc:"A part of the address or the username, or an id."`
	Email         string `query:"email" maxLength:"320" doc:"The one address wanted. The page has one account or none."`
	Username      string `query:"username" maxLength:"320" doc:"The one username wanted. The page has one account or none."`
	Status        string `query:"status" enum:"unconfirmed,active,disabled,deleted" doc:"Only accounts of this status. Without it, all but the deleted."`
	Administrator bool   `query:"administrator" doc:"Only administrators."`
	Cursor        string `query:"cursor" maxLength:"64" doc:"The next member of the page before."`
	Limit         int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at most."`
}

type createUserInput struct {
	Body struct {
		Email         string `json:"email" minLength:"1" maxLength:"320" doc:"The address." example:"ada@example.com"`
		Username      string `json:"username,omitempty" maxLength:"256" doc:"A username, where sign_in { username } allows one. Names that nobody may choose are allowed here."`
		Administrator bool   `json:"administrator,omitempty" doc:"May administer this server."`
		Mail          bool   `json:"mail,omitempty" doc:"Also mail the link to the address."`
	} `nameHint:"NewUser"`
}

type setUsernameInput struct {
	ID   uuid.UUID `path:"user_id" format:"uuid" doc:"The account's id."`
	Body NewUsername
}

// adminUsers is the administration of accounts.
type adminUsers struct {
	kit      *kit
	users    Users
	accounts Accounts
	sessions UserSessions
}

// Mount adds the operations.
func (d adminUsers) Mount(k *kit) {
	off := d.accounts == nil || d.sessions == nil
	fixed := off || d.users == nil // accounts can be read and not changed
	none404 := map[int]string{http.StatusNotFound: "There is no such account."}
	state := map[int]string{http.StatusNotFound: "There is no such account.", http.StatusConflict: "The account's status does not allow it."}
	register(k, operation{
		method: http.MethodGet, path: "/v1/admin/users", id: "list-users", tag: "users", off: off,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "List accounts", description: "Newest first, page by page.", ok: "A page of accounts.",
	}, d.listUsers)
	register(k, operation{
		method: http.MethodPost, path: "/v1/admin/users", id: "create-user", tag: "users", off: fixed, status: http.StatusCreated,
		limit: ratelimit.General, access: endpoint.Administrator, recent: true, maxBody: smallBody,
		summary:     "Make an account",
		description: "Makes an account without a password and answers with the one-time link to set it. No administrator ever sets a user's password.",
		ok:          "The account is made.", problems: map[int]string{http.StatusConflict: "A live account has the address, or the username."},
	}, d.createUser)
	register(k, operation{
		method: http.MethodGet, path: "/v1/admin/users/{user_id}", id: "get-user", tag: "users", off: off,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "Show an account", description: "With its live sessions.", ok: "The account.", problems: none404,
	}, d.getUser)
	register(k, operation{
		method: http.MethodDelete, path: "/v1/admin/users/{user_id}", id: "delete-user", tag: "users", off: fixed, status: http.StatusNoContent,
		limit: ratelimit.General, access: endpoint.Administrator, recent: true,
		summary:     "Delete an account",
		description: "Executes the deletion at once, if the gate user.delete allows it: sessions end, personal data is erased, audit rows keep the id.",
		ok:          "The account is deleted.", problems: state,
	}, d.deleteUser)
	register(k, operation{
		method: http.MethodPost, path: "/v1/admin/users/{user_id}/disable", id: "disable-user", tag: "users", off: fixed,
		limit: ratelimit.General, access: endpoint.Administrator, recent: true,
		summary: "Disable an account", description: "Its sessions end with the very next request and nobody can sign in to it.", ok: "The account as it is now.", problems: state,
	}, d.change(func(ctx context.Context, actor audit.Ref, id uuid.UUID) error {
		return d.users.Disable(ctx, actor, id)
	}))
	register(k, operation{
		method: http.MethodPost, path: "/v1/admin/users/{user_id}/enable", id: "enable-user", tag: "users", off: fixed,
		limit: ratelimit.General, access: endpoint.Administrator, recent: true,
		summary: "Enable an account", description: "Sign-in works again.", ok: "The account as it is now.", problems: state,
	}, d.change(func(ctx context.Context, actor audit.Ref, id uuid.UUID) error {
		return d.users.Enable(ctx, actor, id)
	}))
	register(k, operation{
		method: http.MethodPost, path: "/v1/admin/users/{user_id}/reset-factors", id: "reset-factors", tag: "users", off: fixed,
		limit: ratelimit.General, access: endpoint.Administrator, recent: true,
		summary:     "Remove an account's second factors",
		description: "For somebody who has lost them and whom you know: authenticator app, passkeys and recovery codes go, sessions and trusted browsers end, the person is told by mail. The password stays.",
		ok:          "The account as it is now.", problems: state,
	}, d.change(func(ctx context.Context, actor audit.Ref, id uuid.UUID) error {
		return d.users.ResetFactors(ctx, actor, id)
	}))
	register(k, operation{
		method: http.MethodPost, path: "/v1/admin/users/{user_id}/unlock", id: "unlock-user", tag: "users", off: fixed,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary:     "Lift the pauses that failures brought on an account",
		description: "Wrong passwords and second factors are forgotten; attempts may begin anew.",
		ok:          "The account as it is now.", problems: state,
	}, d.change(func(ctx context.Context, actor audit.Ref, id uuid.UUID) error {
		return d.users.Unlock(ctx, actor, id)
	}))
	register(k, operation{
		method: http.MethodPut, path: "/v1/admin/users/{user_id}/username", id: "set-username", tag: "users", off: fixed,
		limit: ratelimit.General, access: endpoint.Administrator, recent: true, maxBody: smallBody,
		summary:     "Give an account a username, or another one",
		description: "Where sign_in { username } allows one. Names that nobody may choose are allowed here.",
		ok:          "The account as it is now.", problems: map[int]string{http.StatusNotFound: "There is no such account.", http.StatusConflict: "A live account has the username."},
	}, func(ctx context.Context, who asker, in *setUsernameInput) (*userOutput, error) {
		return d.change(func(ctx context.Context, actor audit.Ref, id uuid.UUID) error {
			return d.users.SetUsername(ctx, actor, id, in.Body.Username)
		})(ctx, who, &userPath{ID: in.ID})
	})
	register(k, operation{
		method: http.MethodDelete, path: "/v1/admin/users/{user_id}/username", id: "remove-user-username", tag: "users", off: fixed,
		limit: ratelimit.General, access: endpoint.Administrator, recent: true,
		summary: "Take an account's username away", description: "Its owner signs in with the address then.", ok: "The account as it is now.", problems: none404,
	}, d.change(func(ctx context.Context, actor audit.Ref, id uuid.UUID) error {
		return d.users.SetUsername(ctx, actor, id, "")
	}))
	register(k, operation{
		method: http.MethodPost, path: "/v1/admin/users/{user_id}/reset-link", id: "create-reset-link", tag: "users", off: fixed, status: http.StatusCreated,
		limit: ratelimit.General, access: endpoint.Administrator, recent: true,
		summary: "Make a one-time link to set a password", description: "Earlier links of the account stop working. The password stays as it is until the link is used.",
		ok: "The link.", problems: state,
	}, d.resetLink)
	register(k, operation{
		method: http.MethodDelete, path: "/v1/admin/users/{user_id}/sessions", id: "revoke-user-sessions", tag: "users", off: fixed,
		limit: ratelimit.General, access: endpoint.Administrator, recent: true,
		summary: "Sign an account out everywhere", description: "Its sessions end with the very next request, and with them sign-ins under way, links and codes that were mailed and not used, and the trust in every browser. Its credentials stay.", ok: "How many sessions were ended.", problems: none404,
	}, d.revokeSessions)
}

func (d adminUsers) listUsers(ctx context.Context, _ asker, in *listUsersInput) (*struct{ Body UserPage }, error) {
	out := &struct{ Body UserPage }{Body: UserPage{Users: []User{}}}
	if in.Email != "" || in.Username != "" {
		find, name := d.accounts.FindByEmail, in.Email
		if name == "" {
			find, name = d.accounts.FindByUsername, in.Username
		}
		found, err := find(ctx, name)
		switch {
		case err == nil:
			out.Body.Users = append(out.Body.Users, userOf(found))
		case fault.KindOf(err) != fault.NotFound:
			return nil, err
		}
		return out, nil
	}
	page, err := d.accounts.List(ctx, account.Filter{Query: in.Query, Status: account.Status(in.Status), Administrator: in.Administrator, Cursor: in.Cursor, Limit: in.Limit})
	if err != nil {
		return nil, inQuery(err)
	}
	for _, u := range page.Accounts {
		out.Body.Users = append(out.Body.Users, userOf(u))
	}
	out.Body.Next = page.Next
	return out, nil
}

func (d adminUsers) createUser(ctx context.Context, who asker, in *createUserInput) (*struct{ Body Invitation }, error) {
	u, token, err := d.users.CreateUser(ctx, who.actor(), administration.NewUser{Email: in.Body.Email, Username: in.Body.Username, Administrator: in.Body.Administrator, Mail: in.Body.Mail})
	if err != nil {
		return nil, err
	}
	return &struct{ Body Invitation }{Invitation{User: userOf(u), Link: d.passwordLink(token)}}, nil
}

func (d adminUsers) passwordLink(token string) string {
	return d.kit.baseURL + "/set-password?token=" + token
}

func (d adminUsers) getUser(ctx context.Context, _ asker, in *userPath) (*struct{ Body UserDetail }, error) {
	u, err := d.accounts.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	list, err := d.sessions.List(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &struct{ Body UserDetail }{UserDetail{User: userOf(u), Sessions: []UserSession{}}}
	for _, s := range list {
		out.Body.Sessions = append(out.Body.Sessions, UserSession{ID: s.ID, AAL: s.AAL, AMR: s.AMR, Persistent: s.Persistent,
			CreatedAt: s.CreatedAt, LastSeenAt: s.LastSeenAt, ExpiresAt: s.ExpiresAt, IP: s.IP, UserAgent: s.UserAgent})
	}
	return out, nil
}

func (d adminUsers) deleteUser(ctx context.Context, who asker, in *userPath) (*empty, error) {
	return nil, d.users.Delete(ctx, who.actor(), in.ID)
}

// change is an operation that changes an account and answers with what it is then.
func (d adminUsers) change(f func(ctx context.Context, actor audit.Ref, id uuid.UUID) error) func(context.Context, asker, *userPath) (*userOutput, error) {
	return func(ctx context.Context, who asker, in *userPath) (*userOutput, error) {
		if err := f(ctx, who.actor(), in.ID); err != nil {
			return nil, err
		}
		u, err := d.accounts.Get(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return &userOutput{userOf(u)}, nil
	}
}

func (d adminUsers) resetLink(ctx context.Context, who asker, in *userPath) (*struct{ Body Invitation }, error) {
	token, err := d.users.ResetLink(ctx, who.actor(), in.ID)
	if err != nil {
		return nil, err
	}
	u, err := d.accounts.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body Invitation }{Invitation{User: userOf(u), Link: d.passwordLink(token)}}, nil
}

func (d adminUsers) revokeSessions(ctx context.Context, who asker, in *userPath) (*struct{ Body Revoked }, error) {
	n, err := d.users.RevokeSessions(ctx, who.actor(), "", in.ID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body Revoked }{Revoked{Sessions: int64(len(n))}}, nil
}
