package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/store"
)

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

// Diagnostic is one thing to say about the configuration.
type Diagnostic struct {
	Severity string `json:"severity" enum:"error,warning" doc:"An error stops the change; a warning does not."`
	Summary  string `json:"summary" doc:"What is wrong."`
	Detail   string `json:"detail,omitempty" doc:"What was expected, and a suggestion."`
	File     string `json:"file,omitempty" doc:"The file."`
	Line     int    `json:"line,omitempty" doc:"The line, from 1."`
	Column   int    `json:"column,omitempty" doc:"The column, from 1."`
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

// adminSystem is the running server.
type adminSystem struct{ system System }

// Mount adds the operations.
func (d adminSystem) Mount(k *kit) {
	off := d.system == nil
	register(k, operation{
		method: http.MethodGet, path: "/v1/admin/status", id: "get-status", tag: "system", off: off,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "Show the server's state", description: "Version, addresses, database and readiness of this node.", ok: "The state.",
	}, func(ctx context.Context, _ asker, _ *none) (*struct{ Body Status }, error) {
		s, err := d.system.Status(ctx)
		if err != nil {
			return nil, err
		}
		s.Listen, s.NotReady = append([]string{}, s.Listen...), append([]string{}, s.NotReady...)
		return &struct{ Body Status }{s}, nil
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/admin/reload", id: "reload", tag: "system", off: off,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "Read the configuration anew", description: "An invalid configuration changes nothing and is answered with 422, where errors names each mistake by file, line and column. No request is dropped.",
		ok: "The configuration is in effect.",
	}, d.reload)
	register(k, operation{
		method: http.MethodGet, path: "/v1/admin/migrations", id: "list-migrations", tag: "system", off: off,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "List the schema's steps", description: "Which ones the database has.", ok: "All steps.",
	}, func(ctx context.Context, _ asker, _ *none) (*struct{ Body MigrationList }, error) {
		list, err := d.system.Migrations(ctx)
		if err != nil {
			return nil, err
		}
		out := &struct{ Body MigrationList }{MigrationList{Migrations: []MigrationInfo{}}}
		for _, m := range list {
			out.Body.Migrations = append(out.Body.Migrations, MigrationInfo{Version: m.Version, Name: m.Name, Applied: m.Applied, AppliedAt: m.At})
		}
		return out, nil
	})
}

func (d adminSystem) reload(ctx context.Context, who asker, _ *none) (*struct{ Body Reloaded }, error) {
	res, err := d.system.Reload(ctx, who.actor())
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
