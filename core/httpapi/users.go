package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/session"
)

// Users is what an administrator may do to accounts; *auth.Service is one.
type Users interface {
	CreateUser(ctx context.Context, actor audit.Ref, n auth.NewUser) (a account.Account, linkToken string, err error)
	ResetLink(ctx context.Context, actor audit.Ref, userID uuid.UUID) (linkToken string, err error)
	Disable(ctx context.Context, actor audit.Ref, userID uuid.UUID) error
	Enable(ctx context.Context, actor audit.Ref, userID uuid.UUID) error
	Delete(ctx context.Context, actor audit.Ref, userID uuid.UUID) error
	ResetFactors(ctx context.Context, actor audit.Ref, userID uuid.UUID) error
	Unlock(ctx context.Context, actor audit.Ref, userID uuid.UUID) error
	SetUsername(ctx context.Context, actor audit.Ref, userID uuid.UUID, username string) error
}

// Accounts reads accounts; *account.Store is one.
type Accounts interface {
	Get(ctx context.Context, id uuid.UUID) (account.Account, error)
	FindByEmail(ctx context.Context, email string) (account.Account, error)
	FindByUsername(ctx context.Context, username string) (account.Account, error)
	List(ctx context.Context, f account.Filter) (account.Page, error)
}

// UserSessions reads and ends the sessions of a user; *session.Store is one.
type UserSessions interface {
	List(ctx context.Context, userID uuid.UUID) ([]session.Session, error)
	RevokeAll(ctx context.Context, actor audit.Ref, userID uuid.UUID) (int64, error)
}

// User is an account as an administrator sees it.
type User struct {
	ID            uuid.UUID      `json:"id" format:"uuid" doc:"The account's id."`
	Email         string         `json:"email,omitempty" doc:"The address; empty once deleted." example:"ada@example.com"`
	Username      string         `json:"username,omitempty" doc:"The username; absent without one." example:"ada"`
	Status        account.Status `json:"status" enum:"unconfirmed,active,disabled,deleted" doc:"What the account may do."`
	Administrator bool           `json:"administrator" doc:"May administer this server."`
	SecondFactor  bool           `json:"second_factor" doc:"A second factor is asked for after every first one."`
	ConfirmedAt   time.Time      `json:"confirmed_at,omitzero" doc:"When the address was confirmed."`
	LastSignInAt  time.Time      `json:"last_sign_in_at,omitzero" doc:"The last sign-in."`
	CreatedAt     time.Time      `json:"created_at" doc:"When the account was made."`
	UpdatedAt     time.Time      `json:"updated_at" doc:"The last change."`
	DeletedAt     time.Time      `json:"deleted_at,omitzero" doc:"When it was deleted."`
}

func userOf(a account.Account) User {
	return User{ID: a.ID, Email: a.Email, Username: a.Username, Status: a.Status, Administrator: a.Administrator, SecondFactor: a.SecondFactor, ConfirmedAt: a.ConfirmedAt,
		LastSignInAt: a.LastSignInAt, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt, DeletedAt: a.DeletedAt}
}

// UserSession is one live session as an administrator sees it.
type UserSession struct {
	ID         uuid.UUID `json:"id" format:"uuid" doc:"The session's id."`
	AAL        string    `json:"aal" doc:"Assurance: aal1 or aal2."`
	AMR        []string  `json:"amr" doc:"Methods used (RFC 8176)."`
	Persistent bool      `json:"persistent" doc:"Outlives the browser."`
	CreatedAt  time.Time `json:"created_at" doc:"When it began."`
	LastSeenAt time.Time `json:"last_seen_at" doc:"When it was last used, to about a minute."`
	ExpiresAt  time.Time `json:"expires_at" doc:"When it ends whatever happens."`
	IP         string    `json:"ip,omitempty" doc:"Where it was last used from."`
	UserAgent  string    `json:"user_agent,omitempty" doc:"What it was last used with."`
}

// UserPage is a part of the list of accounts.
type UserPage struct {
	Users []User `json:"users" doc:"Newest first."`
	Next  string `json:"next,omitempty" doc:"The cursor of the next page; absent on the last."`
}

// UserDetail is one account with its sessions.
type UserDetail struct {
	User     User          `json:"user" doc:"The account."`
	Sessions []UserSession `json:"sessions" doc:"Its live sessions, newest first."`
}

// Invitation is an account with the one-time link to set its password.
type Invitation struct {
	User User   `json:"user" doc:"The account."`
	Link string `json:"link" doc:"The one-time link to set the password. It is shown once and is as good as a password." example:"http://localhost:8484/set-password?token=…"`
}

// Revoked says how many sessions were ended.
type Revoked struct {
	Sessions int64 `json:"sessions" doc:"How many sessions were ended."`
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

func (a *API) mountUsers() {
	off := a.cfg.Accounts == nil || a.cfg.UserSessions == nil
	fixed := off || a.cfg.Users == nil // accounts can be read and not changed
	none404 := map[int]string{http.StatusNotFound: "There is no such account."}
	state := map[int]string{http.StatusNotFound: "There is no such account.", http.StatusConflict: "The account's status does not allow it."}
	register(a, operation{
		method: http.MethodGet, path: "/v1/admin/users", id: "list-users", tag: "users", off: off, access: admin,
		summary: "List accounts", description: "Newest first, page by page.", ok: "A page of accounts.",
	}, a.listUsers)
	register(a, operation{
		method: http.MethodPost, path: "/v1/admin/users", id: "create-user", tag: "users", off: fixed, access: admin, status: http.StatusCreated,
		summary:     "Make an account",
		description: "Makes an account without a password and answers with the one-time link to set it. No administrator ever sets a user's password.",
		ok:          "The account is made.", problems: map[int]string{http.StatusConflict: "A live account has the address, or the username."},
	}, a.createUser)
	register(a, operation{
		method: http.MethodGet, path: "/v1/admin/users/{user_id}", id: "get-user", tag: "users", off: off, access: admin,
		summary: "Show an account", description: "With its live sessions.", ok: "The account.", problems: none404,
	}, a.getUser)
	register(a, operation{
		method: http.MethodDelete, path: "/v1/admin/users/{user_id}", id: "delete-user", tag: "users", off: fixed, access: admin, status: http.StatusNoContent,
		summary:     "Delete an account",
		description: "Executes the deletion at once, if the gate user.delete allows it: sessions end, personal data is erased, audit rows keep the id.",
		ok:          "The account is deleted.", problems: state,
	}, a.deleteUser)
	register(a, operation{
		method: http.MethodPost, path: "/v1/admin/users/{user_id}/disable", id: "disable-user", tag: "users", off: fixed, access: admin,
		summary: "Disable an account", description: "Its sessions end with the very next request and nobody can sign in to it.", ok: "The account as it is now.", problems: state,
	}, a.change(func(ctx context.Context, actor audit.Ref, id uuid.UUID) error {
		return a.cfg.Users.Disable(ctx, actor, id)
	}))
	register(a, operation{
		method: http.MethodPost, path: "/v1/admin/users/{user_id}/enable", id: "enable-user", tag: "users", off: fixed, access: admin,
		summary: "Enable an account", description: "Sign-in works again.", ok: "The account as it is now.", problems: state,
	}, a.change(func(ctx context.Context, actor audit.Ref, id uuid.UUID) error {
		return a.cfg.Users.Enable(ctx, actor, id)
	}))
	register(a, operation{
		method: http.MethodPost, path: "/v1/admin/users/{user_id}/reset-factors", id: "reset-factors", tag: "users", off: fixed, access: admin,
		summary:     "Remove an account's second factors",
		description: "For somebody who has lost them and whom you know: authenticator app, passkeys and recovery codes go, sessions and trusted browsers end, the person is told by mail. The password stays.",
		ok:          "The account as it is now.", problems: state,
	}, a.change(func(ctx context.Context, actor audit.Ref, id uuid.UUID) error {
		return a.cfg.Users.ResetFactors(ctx, actor, id)
	}))
	register(a, operation{
		method: http.MethodPost, path: "/v1/admin/users/{user_id}/unlock", id: "unlock-user", tag: "users", off: fixed, access: admin,
		summary:     "Lift the pauses that failures brought on an account",
		description: "Wrong passwords and second factors are forgotten; attempts may begin anew.",
		ok:          "The account as it is now.", problems: state,
	}, a.change(func(ctx context.Context, actor audit.Ref, id uuid.UUID) error {
		return a.cfg.Users.Unlock(ctx, actor, id)
	}))
	register(a, operation{
		method: http.MethodPut, path: "/v1/admin/users/{user_id}/username", id: "set-username", tag: "users", off: fixed, access: admin,
		summary:     "Give an account a username, or another one",
		description: "Where sign_in { username } allows one. Names that nobody may choose are allowed here.",
		ok:          "The account as it is now.", problems: map[int]string{http.StatusNotFound: "There is no such account.", http.StatusConflict: "A live account has the username."},
	}, func(ctx context.Context, who asker, in *setUsernameInput) (*userOutput, error) {
		return a.change(func(ctx context.Context, actor audit.Ref, id uuid.UUID) error {
			return a.cfg.Users.SetUsername(ctx, actor, id, in.Body.Username)
		})(ctx, who, &userPath{ID: in.ID})
	})
	register(a, operation{
		method: http.MethodDelete, path: "/v1/admin/users/{user_id}/username", id: "remove-user-username", tag: "users", off: fixed, access: admin,
		summary: "Take an account's username away", description: "Its owner signs in with the address then.", ok: "The account as it is now.", problems: none404,
	}, a.change(func(ctx context.Context, actor audit.Ref, id uuid.UUID) error {
		return a.cfg.Users.SetUsername(ctx, actor, id, "")
	}))
	register(a, operation{
		method: http.MethodPost, path: "/v1/admin/users/{user_id}/reset-link", id: "create-reset-link", tag: "users", off: fixed, access: admin, status: http.StatusCreated,
		summary: "Make a one-time link to set a password", description: "Earlier links of the account stop working. The password stays as it is until the link is used.",
		ok: "The link.", problems: state,
	}, a.resetLink)
	register(a, operation{
		method: http.MethodDelete, path: "/v1/admin/users/{user_id}/sessions", id: "revoke-user-sessions", tag: "users", off: off, access: admin,
		summary: "End all sessions of an account", description: "Each is refused by the very next request.", ok: "How many were ended.", problems: none404,
	}, a.revokeSessions)
}

func (a *API) listUsers(ctx context.Context, _ asker, in *listUsersInput) (*struct{ Body UserPage }, error) {
	out := &struct{ Body UserPage }{Body: UserPage{Users: []User{}}}
	if in.Email != "" || in.Username != "" {
		find, name := a.cfg.Accounts.FindByEmail, in.Email
		if name == "" {
			find, name = a.cfg.Accounts.FindByUsername, in.Username
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
	page, err := a.cfg.Accounts.List(ctx, account.Filter{Query: in.Query, Status: account.Status(in.Status), Administrator: in.Administrator, Cursor: in.Cursor, Limit: in.Limit})
	if err != nil {
		return nil, inQuery(err)
	}
	for _, u := range page.Accounts {
		out.Body.Users = append(out.Body.Users, userOf(u))
	}
	out.Body.Next = page.Next
	return out, nil
}

func (a *API) createUser(ctx context.Context, who asker, in *createUserInput) (*struct{ Body Invitation }, error) {
	u, token, err := a.cfg.Users.CreateUser(ctx, who.actor(), auth.NewUser{Email: in.Body.Email, Username: in.Body.Username, Administrator: in.Body.Administrator, Mail: in.Body.Mail})
	if err != nil {
		return nil, err
	}
	return &struct{ Body Invitation }{Invitation{User: userOf(u), Link: a.passwordLink(token)}}, nil
}

func (a *API) passwordLink(token string) string {
	return a.cfg.BaseURL + "/set-password?token=" + token
}

func (a *API) getUser(ctx context.Context, _ asker, in *userPath) (*struct{ Body UserDetail }, error) {
	u, err := a.cfg.Accounts.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	list, err := a.cfg.UserSessions.List(ctx, in.ID)
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

func (a *API) deleteUser(ctx context.Context, who asker, in *userPath) (*empty, error) {
	return nil, a.cfg.Users.Delete(ctx, who.actor(), in.ID)
}

// change is an operation that changes an account and answers with what it is then.
func (a *API) change(f func(ctx context.Context, actor audit.Ref, id uuid.UUID) error) func(context.Context, asker, *userPath) (*userOutput, error) {
	return func(ctx context.Context, who asker, in *userPath) (*userOutput, error) {
		if err := f(ctx, who.actor(), in.ID); err != nil {
			return nil, err
		}
		u, err := a.cfg.Accounts.Get(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return &userOutput{userOf(u)}, nil
	}
}

func (a *API) resetLink(ctx context.Context, who asker, in *userPath) (*struct{ Body Invitation }, error) {
	token, err := a.cfg.Users.ResetLink(ctx, who.actor(), in.ID)
	if err != nil {
		return nil, err
	}
	u, err := a.cfg.Accounts.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body Invitation }{Invitation{User: userOf(u), Link: a.passwordLink(token)}}, nil
}

func (a *API) revokeSessions(ctx context.Context, who asker, in *userPath) (*struct{ Body Revoked }, error) {
	if _, err := a.cfg.Accounts.Get(ctx, in.ID); err != nil {
		return nil, err
	}
	n, err := a.cfg.UserSessions.RevokeAll(ctx, who.actor(), in.ID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body Revoked }{Revoked{Sessions: n}}, nil
}

// inQuery says of a fault that its field is a query parameter.
func inQuery(err error) error {
	f := fault.From(err)
	if f == nil || f.Kind != fault.Invalid || f.Field == "" {
		return err
	}
	return f.At("query." + f.Field)
}
