package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// Plugins is the plugin host as the API needs it. A name that no block and no stored data has is a fault of kind
// NotFound.
type Plugins interface {
	List(ctx context.Context) ([]PluginStatus, error)
	Info(ctx context.Context, name string) (PluginInfo, error)
	// Check starts the plugin beside the running one with the block as it is in the file now, asks it to describe and
	// configure itself, and stops it again. What is wrong is in the diagnostics.
	Check(ctx context.Context, name string) (PluginCheck, error)
	Restart(ctx context.Context, actor audit.Ref, name string) error
	// Purge deletes everything stored for a plugin whose block is gone or disabled; Conflict while it runs.
	Purge(ctx context.Context, actor audit.Ref, name string) error
	// Run runs one of the plugin's commands to its end, and records that it did. What the command writes comes through out as
	// it is written; an error of out ends the command.
	Run(ctx context.Context, actor audit.Ref, name string, c PluginCommandCall, out func(PluginCommandOutput) error) (PluginCommandEnd, error)
}

// PluginCommandCall is one run of a plugin's command.
type PluginCommandCall struct {
	Command   string   `json:"command" maxLength:"64" doc:"Its name." example:"outbox list"`
	Arguments []string `json:"arguments,omitempty" maxItems:"256" doc:"What follows the name."`
	JSON      bool     `json:"json,omitempty" doc:"JSON is wanted on standard output."`
	Stdin     []byte   `json:"stdin,omitempty" doc:"Its standard input, at most 8 MiB."`
}

// PluginCommandOutput is one line of the answer: a piece of output, or the end.
type PluginCommandOutput struct {
	Stdout []byte            `json:"stdout,omitempty" doc:"What it wrote to its standard output."`
	Stderr []byte            `json:"stderr,omitempty" doc:"What it wrote to its standard error."`
	End    *PluginCommandEnd `json:"end,omitempty" doc:"How it ended; nothing follows."`
}

// PluginCommandEnd is how a command ended.
type PluginCommandEnd struct {
	ExitCode int    `json:"exit_code" doc:"0: it did what it was asked to."`
	Error    string `json:"error,omitempty" doc:"What went wrong."`
}

// maxStdin is the longest standard input of a command.
const maxStdin = 8 << 20

// PluginList is all plugins.
type PluginList struct {
	Plugins []PluginStatus `json:"plugins" doc:"In the order of their blocks."`
}

type pluginPath struct {
	Name string `path:"name" maxLength:"64" pattern:"^[a-z][a-z0-9_-]*$" doc:"The plugin's name." example:"threadline"`
}

type pluginCommandInput struct {
	Name string `path:"name" maxLength:"64" pattern:"^[a-z][a-z0-9_-]*$" doc:"The plugin's name." example:"threadline"`
	Body PluginCommandCall
}

// adminPlugins is the administration of plugins.
type adminPlugins struct{ plugins Plugins }

// Mount adds the operations.
func (d adminPlugins) Mount(k *kit) {
	off := d.plugins == nil
	missing := map[int]string{http.StatusNotFound: "There is no such plugin."}
	register(k, operation{
		method: http.MethodGet, path: "/v1/admin/plugins", id: "list-plugins", tag: "plugins", off: off,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "List plugins", description: "With their live state on this node.", ok: "All plugins.",
	}, func(ctx context.Context, _ asker, _ *none) (*struct{ Body PluginList }, error) {
		list, err := d.plugins.List(ctx)
		if err != nil {
			return nil, err
		}
		return &struct{ Body PluginList }{PluginList{Plugins: append([]PluginStatus{}, list...)}}, nil
	})
	register(k, operation{
		method: http.MethodGet, path: "/v1/admin/plugins/{name}", id: "get-plugin", tag: "plugins", off: off,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "Show a plugin", description: "What it offers, what it may use, and the last lines it logged.", ok: "The plugin.", problems: missing,
	}, func(ctx context.Context, _ asker, in *pluginPath) (*struct{ Body PluginInfo }, error) {
		info, err := d.plugins.Info(ctx, in.Name)
		if err != nil {
			return nil, err
		}
		return &struct{ Body PluginInfo }{info}, nil
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/admin/plugins/{name}/check", id: "check-plugin", tag: "plugins", off: off,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "Check a plugin", description: "Starts the plugin beside the running one with its block as the file has it now, and stops it again. Nothing changes.",
		ok: "What was found.", problems: missing,
	}, func(ctx context.Context, _ asker, in *pluginPath) (*struct{ Body PluginCheck }, error) {
		res, err := d.plugins.Check(ctx, in.Name)
		if err != nil {
			return nil, err
		}
		res.Diagnostics = append([]Diagnostic{}, res.Diagnostics...)
		return &struct{ Body PluginCheck }{res}, nil
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/admin/plugins/{name}/restart", id: "restart-plugin", tag: "plugins", off: off,
		limit: ratelimit.General, access: endpoint.Administrator, recent: true,
		summary: "Restart a plugin", description: "Also ends its quarantine.", ok: "The plugin as it is now.", problems: missing,
	}, func(ctx context.Context, who asker, in *pluginPath) (*struct{ Body PluginInfo }, error) {
		if err := d.plugins.Restart(ctx, who.actor(), in.Name); err != nil {
			return nil, err
		}
		info, err := d.plugins.Info(ctx, in.Name)
		if err != nil {
			return nil, err
		}
		return &struct{ Body PluginInfo }{info}, nil
	})
	register(k, operation{
		method: http.MethodDelete, path: "/v1/admin/plugins/{name}/data", id: "purge-plugin", tag: "plugins", off: off, status: http.StatusNoContent,
		limit: ratelimit.General, access: endpoint.Administrator, recent: true,
		summary: "Delete everything stored for a plugin", description: "Its tables, its small state and its cursors. Only for a plugin whose block is gone or disabled. There is no way back.",
		ok: "Everything is deleted.", problems: map[int]string{http.StatusNotFound: "Nothing is stored for such a plugin.", http.StatusConflict: "The plugin is running."},
	}, func(ctx context.Context, who asker, in *pluginPath) (*empty, error) {
		return nil, d.plugins.Purge(ctx, who.actor(), in.Name)
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/admin/plugins/{name}/commands", id: "run-plugin-command", tag: "plugins", off: off,
		limit: ratelimit.General, access: endpoint.Administrator, recent: true, maxBody: maxStdin/3*4 + 64<<10,
		summary:     "Run a plugin's command",
		description: "The answer is a line of JSON for each piece that the command writes, as it writes it, and a last one that says how it ended. An answer without that line was cut off.",
		ok:          "The command ran; whether it did what it was asked to is in the last line.", content: []string{"application/x-ndjson"},
		problems: map[int]string{http.StatusNotFound: "There is no such plugin or command.", http.StatusConflict: "The command is run by the program itself, and not by the server."},
	}, func(ctx context.Context, who asker, in *pluginCommandInput) (*streamOutput, error) {
		if len(in.Body.Stdin) > maxStdin {
			return nil, fault.Newf(fault.TooLarge, "stdin_too_large", "The standard input of a command has at most %d bytes.", maxStdin).At("body.stdin")
		}
		return &streamOutput{Body: func(hc huma.Context) {
			r, w := humamux.Unwrap(hc)
			d.run(k, r, w, who, in.Name, in.Body)
		}}, nil
	})
}

func (d adminPlugins) run(k *kit, r *http.Request, w http.ResponseWriter, who asker, name string, c PluginCommandCall) {
	rc := http.NewResponseController(w)
	started := false
	lines := json.NewEncoder(w)
	write := func(o PluginCommandOutput) error {
		if !started {
			started = true
			w.Header().Set("Content-Type", "application/x-ndjson")
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.WriteHeader(http.StatusOK)
		}
		_ = rc.SetWriteDeadline(time.Now().Add(streamStall)) // a ResponseWriter without deadlines is a test's
		return errors.Join(lines.Encode(o), rc.Flush())
	}
	end, err := d.plugins.Run(r.Context(), who.actor(), name, c, write)
	switch {
	case err == nil:
		err = write(PluginCommandOutput{End: &end})
	case !started:
		k.fail(r.Context(), http.MethodPost, "/v1/admin/plugins/{name}/commands", err).write(w, r)
		return
	}
	if err != nil {
		k.log.Warn("a plugin's command was cut off", "plugin", name, "command", c.Command, "error", err)
		panic(http.ErrAbortHandler)
	}
}
