package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/store"
)

// Keys is the keyring as the API needs it.
type Keys interface {
	Keys() []keyring.Key
	Root() string // the root key's fingerprint
	// RotateKeys makes a new data key and lets everything be sealed with it anew, in the background.
	RotateKeys(ctx context.Context, actor audit.Ref) (keyring.Key, error)
}

// System is the running server as the API needs it.
type System interface {
	// Reload reads the configuration anew. One that is invalid changes nothing: Applied is false.
	Reload(ctx context.Context, actor audit.Ref) (Reloaded, error)
	Status(ctx context.Context) (Status, error)
	Migrations(ctx context.Context) ([]store.Migration, error)
}

// Reloaded is what a reload did.
type Reloaded struct {
	Applied     bool         `json:"applied" doc:"The configuration is in effect."`
	Changed     []string     `json:"changed" doc:"What is different now, in words."`
	Restart     []string     `json:"restart" doc:"Settings that are different in the file and need a restart."`
	Diagnostics []Diagnostic `json:"diagnostics" doc:"Warnings."`
}

// Status is the server at a glance.
type Status struct {
	Version   string    `json:"version" doc:"Sigra's version."`
	Node      string    `json:"node" doc:"This node's name."`
	PID       int       `json:"pid" doc:"The process."`
	StartedAt time.Time `json:"started_at" doc:"When it started."`
	Config    string    `json:"config,omitempty" doc:"The configuration file; empty when it runs on defaults."`
	BaseURL   string    `json:"base_url" doc:"Where it is reached."`
	Listen    []string  `json:"listen" doc:"Addresses it listens on."`
	Database  string    `json:"database" doc:"The database, without credentials."`
	Ready     bool      `json:"ready" doc:"Whether /readyz says so."`
	NotReady  []string  `json:"not_ready" doc:"What is not ready, and why."`
}

// KeyInfo is one data key.
type KeyInfo struct {
	ID        uuid.UUID `json:"id" format:"uuid" doc:"The key's id, part of everything sealed with it."`
	State     string    `json:"state" enum:"active,retired" doc:"Active keys seal; retired ones only open."`
	CreatedAt time.Time `json:"created_at" doc:"When it was made."`
}

// KeyList is the keyring.
type KeyList struct {
	Root string    `json:"root" doc:"The root key's fingerprint. The root key wraps the others and is never in the database."`
	Keys []KeyInfo `json:"keys" doc:"The data keys."`
}

// MigrationInfo is one step of the schema.
type MigrationInfo struct {
	Version   int64     `json:"version" doc:"Steps are applied in this order."`
	Name      string    `json:"name" doc:"What it does."`
	Applied   bool      `json:"applied" doc:"Whether the database has it."`
	AppliedAt time.Time `json:"applied_at,omitzero" doc:"Since when."`
}

// MigrationList is the schema's steps.
type MigrationList struct {
	Migrations []MigrationInfo `json:"migrations" doc:"In the order in which they apply."`
}

func keyInfo(k keyring.Key) KeyInfo { return KeyInfo{ID: k.ID, State: k.State, CreatedAt: k.CreatedAt} }

func (a *API) mountSystem() {
	register(a, operation{
		method: http.MethodGet, path: "/v1/admin/status", id: "get-status", tag: "system", off: a.cfg.System == nil, access: admin,
		summary: "Show the server's state", description: "Version, addresses, database and readiness of this node.", ok: "The state.",
	}, func(ctx context.Context, _ asker, _ *none) (*struct{ Body Status }, error) {
		s, err := a.cfg.System.Status(ctx)
		if err != nil {
			return nil, err
		}
		s.Listen, s.NotReady = append([]string{}, s.Listen...), append([]string{}, s.NotReady...)
		return &struct{ Body Status }{s}, nil
	})
	register(a, operation{
		method: http.MethodPost, path: "/v1/admin/reload", id: "reload", tag: "system", off: a.cfg.System == nil, access: admin,
		summary: "Read the configuration anew", description: "An invalid configuration changes nothing and is answered with 422, where errors names each mistake by file, line and column. No request is dropped.",
		ok: "The configuration is in effect.",
	}, a.reload)
	register(a, operation{
		method: http.MethodGet, path: "/v1/admin/migrations", id: "list-migrations", tag: "system", off: a.cfg.System == nil, access: admin,
		summary: "List the schema's steps", description: "Which ones the database has.", ok: "All steps.",
	}, func(ctx context.Context, _ asker, _ *none) (*struct{ Body MigrationList }, error) {
		list, err := a.cfg.System.Migrations(ctx)
		if err != nil {
			return nil, err
		}
		out := &struct{ Body MigrationList }{MigrationList{Migrations: []MigrationInfo{}}}
		for _, m := range list {
			out.Body.Migrations = append(out.Body.Migrations, MigrationInfo{Version: m.Version, Name: m.Name, Applied: m.Applied, AppliedAt: m.At})
		}
		return out, nil
	})
	register(a, operation{
		method: http.MethodGet, path: "/v1/admin/keys", id: "list-keys", tag: "system", off: a.cfg.Keys == nil, access: admin,
		summary: "List the data keys", description: "Ids and states only; no key ever leaves the server.", ok: "The keys.",
	}, func(_ context.Context, _ asker, _ *none) (*struct{ Body KeyList }, error) {
		out := &struct{ Body KeyList }{KeyList{Root: a.cfg.Keys.Root(), Keys: []KeyInfo{}}}
		for _, k := range a.cfg.Keys.Keys() {
			out.Body.Keys = append(out.Body.Keys, keyInfo(k))
		}
		return out, nil
	})
	register(a, operation{
		method: http.MethodPost, path: "/v1/admin/keys/rotate", id: "rotate-keys", tag: "system", off: a.cfg.Keys == nil, access: admin, status: http.StatusCreated,
		summary: "Make a new data key", description: "New secrets are sealed with it at once; those there are, in the background. Old keys stay for opening.", ok: "The new key.",
	}, func(ctx context.Context, who asker, _ *none) (*struct{ Body KeyInfo }, error) {
		k, err := a.cfg.Keys.RotateKeys(ctx, who.actor())
		if err != nil {
			return nil, err
		}
		return &struct{ Body KeyInfo }{keyInfo(k)}, nil
	})
}

func (a *API) reload(ctx context.Context, who asker, _ *none) (*struct{ Body Reloaded }, error) {
	res, err := a.cfg.System.Reload(ctx, who.actor())
	if err != nil {
		return nil, err
	}
	if !res.Applied {
		p := newProblem(http.StatusUnprocessableEntity, "invalid_configuration", "The configuration is invalid. Nothing was changed.")
		for _, d := range res.Diagnostics {
			at := d.File
			if d.Line > 0 {
				at = fmt.Sprintf("%s:%d:%d", d.File, d.Line, d.Column)
			}
			msg := d.Summary
			if d.Detail != "" {
				msg += ": " + d.Detail
			}
			p.Errors = append(p.Errors, ProblemDetail{Location: at, Message: msg, Line: d.Line, Column: d.Column})
		}
		return nil, p
	}
	res.Changed, res.Restart = append([]string{}, res.Changed...), append([]string{}, res.Restart...)
	res.Diagnostics = append([]Diagnostic{}, res.Diagnostics...)
	return &struct{ Body Reloaded }{res}, nil
}
