package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/httpapi"
)

// Status tells how the server is.
func (c *Client) Status(ctx context.Context) (httpapi.Status, error) {
	return call[httpapi.Status](ctx, c.connection, http.MethodGet, "/v1/admin/status", nil, nil)
}

// Reload makes the server read its configuration anew. What is wrong with it is in the error, and nothing was changed.
func (c *Client) Reload(ctx context.Context) (httpapi.Reloaded, error) {
	return call[httpapi.Reloaded](ctx, c.connection, http.MethodPost, "/v1/admin/reload", nil, nil)
}

// Migrations lists the schema's steps.
func (c *Client) Migrations(ctx context.Context) ([]httpapi.MigrationInfo, error) {
	out, err := call[httpapi.MigrationList](ctx, c.connection, http.MethodGet, "/v1/admin/migrations", nil, nil)
	return out.Migrations, err
}

// Keys lists the data keys.
func (c *Client) Keys(ctx context.Context) (httpapi.KeyList, error) {
	return call[httpapi.KeyList](ctx, c.connection, http.MethodGet, "/v1/admin/keys", nil, nil)
}

// RotateKeys makes a new data key.
func (c *Client) RotateKeys(ctx context.Context) (httpapi.KeyInfo, error) {
	return call[httpapi.KeyInfo](ctx, c.connection, http.MethodPost, "/v1/admin/keys/rotate", nil, nil)
}

// RotateSigningKey has the next key sign tokens of sessions.
func (c *Client) RotateSigningKey(ctx context.Context) ([]httpapi.SigningKey, error) {
	return call[[]httpapi.SigningKey](ctx, c.connection, http.MethodPost, "/v1/admin/keys/signing/rotate", nil, nil)
}

// ApplicationKeys lists the keys of applications.
func (c *Client) ApplicationKeys(ctx context.Context) (httpapi.ApplicationKeyList, error) {
	return call[httpapi.ApplicationKeyList](ctx, c.connection, http.MethodGet, "/v1/admin/application-keys", nil, nil)
}

// CreateApplicationKey gives an application a key. A zero expires never comes.
func (c *Client) CreateApplicationKey(ctx context.Context, name string, expires time.Time) (httpapi.NewApplicationKey, error) {
	body := map[string]any{"name": name}
	if !expires.IsZero() {
		body["expires_at"] = expires
	}
	return call[httpapi.NewApplicationKey](ctx, c.connection, http.MethodPost, "/v1/admin/application-keys", nil, body)
}

// RotateApplicationKey gives an application another key; the old one ends after the overlap.
func (c *Client) RotateApplicationKey(ctx context.Context, id uuid.UUID, overlap time.Duration) (httpapi.NewApplicationKey, error) {
	return call[httpapi.NewApplicationKey](ctx, c.connection, http.MethodPost, "/v1/admin/application-keys/"+id.String()+"/rotate", nil, map[string]any{"overlap": int(overlap / time.Second)})
}

// RevokeApplicationKey ends a key.
func (c *Client) RevokeApplicationKey(ctx context.Context, id uuid.UUID) error {
	_, err := call[none](ctx, c.connection, http.MethodDelete, "/v1/admin/application-keys/"+id.String(), nil, nil)
	return err
}

// UserQuery says which accounts are wanted.
type UserQuery struct {
	Query, Status, Cursor string
	Administrator         bool
	Limit                 int // 0 means the server's default
}

// Users lists accounts, newest first.
func (c *Client) Users(ctx context.Context, q UserQuery) (httpapi.UserPage, error) {
	v := url.Values{}
	set(v, "query", q.Query)
	set(v, "status", q.Status)
	set(v, "cursor", q.Cursor)
	if q.Administrator {
		v.Set("administrator", "true")
	}
	if q.Limit != 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return call[httpapi.UserPage](ctx, c.connection, http.MethodGet, "/v1/admin/users", v, nil)
}

// FindUser finds an account by its id, its email address or its username.
func (c *Client) FindUser(ctx context.Context, name string) (httpapi.UserDetail, error) {
	if id, err := uuid.Parse(name); err == nil {
		return c.User(ctx, id)
	}
	by := "username"
	if strings.Contains(name, "@") {
		by = "email"
	}
	page, err := call[httpapi.UserPage](ctx, c.connection, http.MethodGet, "/v1/admin/users", url.Values{by: {name}}, nil)
	if err != nil {
		return httpapi.UserDetail{}, err
	}
	if len(page.Users) == 0 {
		return httpapi.UserDetail{}, &Error{httpapi.Problem{Status: http.StatusNotFound, Code: "account_not_found", Detail: fmt.Sprintf("There is no account %q.", name)}}
	}
	return c.User(ctx, page.Users[0].ID)
}

func userPath(id uuid.UUID, rest string) string { return "/v1/admin/users/" + id.String() + rest }

// User shows an account and its sessions.
func (c *Client) User(ctx context.Context, id uuid.UUID) (httpapi.UserDetail, error) {
	return call[httpapi.UserDetail](ctx, c.connection, http.MethodGet, userPath(id, ""), nil, nil)
}

// NewUser is an account to be made.
type NewUser struct {
	Email         string `json:"email"`
	Username      string `json:"username,omitempty"`
	Administrator bool   `json:"administrator,omitempty"`
	Mail          bool   `json:"mail,omitempty"` // also mail the link
}

// CreateUser makes an account and the one-time link to set its password.
func (c *Client) CreateUser(ctx context.Context, u NewUser) (httpapi.Invitation, error) {
	return call[httpapi.Invitation](ctx, c.connection, http.MethodPost, "/v1/admin/users", nil, u)
}

// DisableUser ends an account's sessions and refuses its sign-ins.
func (c *Client) DisableUser(ctx context.Context, id uuid.UUID) (httpapi.User, error) {
	return call[httpapi.User](ctx, c.connection, http.MethodPost, userPath(id, "/disable"), nil, nil)
}

// EnableUser undoes DisableUser.
func (c *Client) EnableUser(ctx context.Context, id uuid.UUID) (httpapi.User, error) {
	return call[httpapi.User](ctx, c.connection, http.MethodPost, userPath(id, "/enable"), nil, nil)
}

// ResetFactors removes an account's second factors.
func (c *Client) ResetFactors(ctx context.Context, id uuid.UUID) (httpapi.User, error) {
	return call[httpapi.User](ctx, c.connection, http.MethodPost, userPath(id, "/reset-factors"), nil, nil)
}

// UnlockUser lifts the pauses that failures brought on an account.
func (c *Client) UnlockUser(ctx context.Context, id uuid.UUID) (httpapi.User, error) {
	return call[httpapi.User](ctx, c.connection, http.MethodPost, userPath(id, "/unlock"), nil, nil)
}

// SetUsername gives an account a username; an empty one takes it away.
func (c *Client) SetUsername(ctx context.Context, id uuid.UUID, username string) (httpapi.User, error) {
	if username == "" {
		return call[httpapi.User](ctx, c.connection, http.MethodDelete, userPath(id, "/username"), nil, nil)
	}
	return call[httpapi.User](ctx, c.connection, http.MethodPut, userPath(id, "/username"), nil, map[string]string{"username": username})
}

// Metadata reads the object of a scope of an account.
func (c *Client) Metadata(ctx context.Context, id uuid.UUID, scope string) (httpapi.Metadata, error) {
	return call[httpapi.Metadata](ctx, c.connection, http.MethodGet, userPath(id, "/metadata/"+url.PathEscape(scope)), nil, nil)
}

// ReplaceMetadata replaces it as a whole, and MergeMetadata changes it by a merge patch (RFC 7396).
func (c *Client) ReplaceMetadata(ctx context.Context, id uuid.UUID, scope string, object json.RawMessage) (httpapi.Metadata, error) {
	return call[httpapi.Metadata](ctx, c.connection, http.MethodPut, userPath(id, "/metadata/"+url.PathEscape(scope)), nil, object)
}

// MergeMetadata is the other way.
func (c *Client) MergeMetadata(ctx context.Context, id uuid.UUID, scope string, patch json.RawMessage) (httpapi.Metadata, error) {
	return call[httpapi.Metadata](ctx, c.connection, http.MethodPatch, userPath(id, "/metadata/"+url.PathEscape(scope)), nil, patch)
}

// DeleteUser deletes an account. There is no way back.
func (c *Client) DeleteUser(ctx context.Context, id uuid.UUID) error {
	_, err := call[none](ctx, c.connection, http.MethodDelete, userPath(id, ""), nil, nil)
	return err
}

// ResetLink makes a one-time link to set an account's password.
func (c *Client) ResetLink(ctx context.Context, id uuid.UUID) (httpapi.Invitation, error) {
	return call[httpapi.Invitation](ctx, c.connection, http.MethodPost, userPath(id, "/reset-link"), nil, nil)
}

// ExportUser gives everything that is held of a person.
func (c *Client) ExportUser(ctx context.Context, id uuid.UUID) (httpapi.Export, error) {
	return call[httpapi.Export](ctx, c.connection, http.MethodGet, userPath(id, "/export"), nil, nil)
}

// RevokeSessions ends an account's sessions.
func (c *Client) RevokeSessions(ctx context.Context, id uuid.UUID) (httpapi.Revoked, error) {
	return call[httpapi.Revoked](ctx, c.connection, http.MethodDelete, userPath(id, "/sessions"), nil, nil)
}

// PublishEvents stores events, as an application would tell them.
func (c *Client) PublishEvents(ctx context.Context, events []httpapi.NewEvent) (httpapi.Published, error) {
	return call[httpapi.Published](ctx, c.connection, http.MethodPost, "/v1/events", nil, events)
}

// Events lists stored events from a position on.
func (c *Client) Events(ctx context.Context, after audit.Position, limit int) (httpapi.EventPage, error) {
	v := url.Values{"after": {after.String()}}
	if limit != 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	return call[httpapi.EventPage](ctx, c.connection, http.MethodGet, "/v1/admin/events", v, nil)
}

// RelayCursors tells how far each sink is.
func (c *Client) RelayCursors(ctx context.Context) ([]httpapi.RelayCursor, error) {
	out, err := call[httpapi.RelayCursors](ctx, c.connection, http.MethodGet, "/v1/admin/relay", nil, nil)
	return out.Cursors, err
}

func sinkPath(sink, rest string) string { return "/v1/admin/relay/" + url.PathEscape(sink) + rest }

// DeadLetters lists a sink's dead letters from a position on.
func (c *Client) DeadLetters(ctx context.Context, sink string, after audit.Position, limit int) (httpapi.DeadLetterPage, error) {
	v := url.Values{"after": {after.String()}}
	if limit != 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	return call[httpapi.DeadLetterPage](ctx, c.connection, http.MethodGet, sinkPath(sink, "/dead-letters"), v, nil)
}

// ReplayDeadLetters delivers dead letters again: those named, or the oldest 500 when none is.
func (c *Client) ReplayDeadLetters(ctx context.Context, sink string, ids ...string) (httpapi.Replayed, error) {
	return call[httpapi.Replayed](ctx, c.connection, http.MethodPost, sinkPath(sink, "/dead-letters/replay"), nil, choice(ids))
}

// DropDeadLetters throws dead letters away: those named, or the oldest 500 when none is. There is no way back.
func (c *Client) DropDeadLetters(ctx context.Context, sink string, ids ...string) (httpapi.Dropped, error) {
	return call[httpapi.Dropped](ctx, c.connection, http.MethodPost, sinkPath(sink, "/dead-letters/drop"), nil, choice(ids))
}

func choice(ids []string) any {
	if len(ids) == 0 {
		return map[string]bool{"all": true}
	}
	return map[string][]string{"ids": ids}
}

// MailQueue tells how outgoing mail stands.
func (c *Client) MailQueue(ctx context.Context) (httpapi.MailQueue, error) {
	return call[httpapi.MailQueue](ctx, c.connection, http.MethodGet, "/v1/admin/mail", nil, nil)
}

// TestMail sends a test message at once. A mail server that refuses it is no error.
func (c *Client) TestMail(ctx context.Context, to string) (httpapi.MailTest, error) {
	return call[httpapi.MailTest](ctx, c.connection, http.MethodPost, "/v1/admin/mail/test", nil, map[string]string{"to": to})
}

// Plugins lists the plugins.
func (c *Client) Plugins(ctx context.Context) ([]httpapi.PluginStatus, error) {
	out, err := call[httpapi.PluginList](ctx, c.connection, http.MethodGet, "/v1/admin/plugins", nil, nil)
	return out.Plugins, err
}

func pluginPath(name, rest string) string { return "/v1/admin/plugins/" + url.PathEscape(name) + rest }

// Plugin shows one plugin.
func (c *Client) Plugin(ctx context.Context, name string) (httpapi.PluginInfo, error) {
	return call[httpapi.PluginInfo](ctx, c.connection, http.MethodGet, pluginPath(name, ""), nil, nil)
}

// CheckPlugin tries a plugin beside the running one.
func (c *Client) CheckPlugin(ctx context.Context, name string) (httpapi.PluginCheck, error) {
	return call[httpapi.PluginCheck](ctx, c.connection, http.MethodPost, pluginPath(name, "/check"), nil, nil)
}

// RestartPlugin starts a plugin anew.
func (c *Client) RestartPlugin(ctx context.Context, name string) (httpapi.PluginInfo, error) {
	return call[httpapi.PluginInfo](ctx, c.connection, http.MethodPost, pluginPath(name, "/restart"), nil, nil)
}

// RunPlugin runs one of a plugin's commands, and writes what it writes as it comes.
func (c *Client) RunPlugin(ctx context.Context, name string, in httpapi.PluginCommandCall, stdout, stderr io.Writer) (httpapi.PluginCommandEnd, error) {
	res, err := c.send(ctx, http.MethodPost, pluginPath(name, "/commands"), nil, in, nil)
	if err != nil {
		return httpapi.PluginCommandEnd{}, err
	}
	defer func() { _ = res.Body.Close() }()
	for lines := json.NewDecoder(res.Body); ; {
		var o httpapi.PluginCommandOutput
		if err := lines.Decode(&o); err != nil {
			return httpapi.PluginCommandEnd{}, fmt.Errorf("the command broke off: %w", err)
		}
		if o.End != nil {
			return *o.End, nil
		}
		if _, err := stdout.Write(o.Stdout); err != nil {
			return httpapi.PluginCommandEnd{}, err
		}
		if _, err := stderr.Write(o.Stderr); err != nil {
			return httpapi.PluginCommandEnd{}, err
		}
	}
}

// PurgePlugin deletes everything stored for a plugin that is gone. There is no way back.
func (c *Client) PurgePlugin(ctx context.Context, name string) error {
	_, err := call[none](ctx, c.connection, http.MethodDelete, pluginPath(name, "/data"), nil, nil)
	return err
}

func set(v url.Values, name, value string) {
	if value != "" {
		v.Set(name, value)
	}
}

func setTime(v url.Values, name string, t time.Time) {
	if !t.IsZero() {
		v.Set(name, t.UTC().Format(time.RFC3339Nano))
	}
}
