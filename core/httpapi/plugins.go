package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/sigra-auth/sigra/core/audit"
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
}

// PluginStatus is one plugin at a glance.
type PluginStatus struct {
	Name      string    `json:"name" doc:"The block's name." example:"threadline"`
	State     string    `json:"state" doc:"declared, verified, starting, configured, ready, degraded, draining, stopped, failed or quarantined." example:"ready"`
	Source    string    `json:"source" doc:"bundled, or the path of the binary." example:"bundled"`
	Version   string    `json:"version,omitempty" doc:"The plugin's own version."`
	Enabled   bool      `json:"enabled" doc:"Whether the block enables it."`
	Required  bool      `json:"required" doc:"Whether the server is not ready without it."`
	Unpinned  bool      `json:"unpinned" doc:"Its binary is not held to a checksum. Not for production."`
	PID       int       `json:"pid,omitempty" doc:"Its process."`
	Since     time.Time `json:"since,omitzero" doc:"When it entered this state."`
	Restarts  int       `json:"restarts" doc:"How often it has been started again after a failure."`
	Seams     []string  `json:"seams,omitempty" doc:"What it implements." example:"[\"AuditSink\",\"Routes\"]"`
	Paths     []string  `json:"paths,omitempty" doc:"Paths it serves." example:"[\"/threadline\"]"`
	LastError string    `json:"last_error,omitempty" doc:"Why it last failed."`
}

// PluginInfo is all there is to say of one plugin.
type PluginInfo struct {
	PluginStatus
	Description string          `json:"description,omitempty" doc:"What the plugin says of itself."`
	SDK         string          `json:"sdk,omitempty" doc:"The SDK it was built with."`
	Contract    string          `json:"contract,omitempty" doc:"The version of the plugin contract it speaks." example:"sigra.plugin.v1"`
	SHA256      string          `json:"sha256,omitempty" doc:"The checksum of the binary that runs, or of the one the configuration pins."`
	PinnedBy    string          `json:"pinned_by,omitempty" doc:"Where the checksum is: block (sha256 in the plugin's block) or lock (the lock file)."`
	Grants      []string        `json:"grants,omitempty" doc:"Host services and paths it may use."`
	Requires    []string        `json:"requires,omitempty" doc:"Host services it can't do without."`
	Wants       []string        `json:"wants,omitempty" doc:"Host services it would use."`
	Routes      []PluginRoute   `json:"routes,omitempty" doc:"The paths it serves, and for whom."`
	Events      []string        `json:"events,omitempty" doc:"Event patterns it takes."`
	Gates       []string        `json:"gates,omitempty" doc:"Questions it answers."`
	Claims      []string        `json:"claims,omitempty" doc:"Claims it adds, below its own name."`
	Env         []string        `json:"env,omitempty" doc:"Environment variables passed to it, by name."`
	Storage     bool            `json:"storage,omitempty" doc:"It has a database of its own."`
	Settings    json.RawMessage `json:"settings,omitempty" doc:"The schema of its config block."`
	LastCrash   string          `json:"last_crash,omitempty" doc:"How its process last ended against its will, with the last lines it wrote."`
	CrashedAt   time.Time       `json:"crashed_at,omitzero" doc:"When that was."`
	Failures    int             `json:"failures,omitempty" doc:"Failures of late: five within ten minutes and it is quarantined."`
	NextStart   time.Time       `json:"next_start,omitzero" doc:"When it will be started again."`
	Latencies   []PluginLatency `json:"latencies,omitempty" doc:"How long its answers took, by seam, since Sigra's start."`
	Broken      []string        `json:"broken,omitempty" doc:"Seams that are not called for the moment, since they failed several times in a row."`
	Facts       []PluginFact    `json:"facts,omitempty" doc:"Figures that the plugin gives of itself."`
	Log         []string        `json:"log,omitempty" doc:"The last lines it wrote to its standard error."`
}

// PluginRoute is one path that a plugin serves.
type PluginRoute struct {
	Path    string `json:"path" doc:"The path, with all below it." example:"/threadline"`
	Access  string `json:"access" enum:"public,signed_in,administrators" doc:"Who gets there at all."`
	Machine bool   `json:"machine,omitempty" doc:"It is for programs: no cross-origin check stands in front."`
	Title   string `json:"title,omitempty" doc:"What navigation calls it."`
}

// PluginLatency is how long a seam's answers took. The percentiles are upper bounds: the next power of two of a microsecond.
type PluginLatency struct {
	Seam  string  `json:"seam" doc:"The seam." example:"AuditSink"`
	Calls uint64  `json:"calls" doc:"How many calls were answered."`
	P50MS float64 `json:"p50_ms" doc:"Half of them took at most this many milliseconds."`
	P99MS float64 `json:"p99_ms" doc:"99 of 100 took at most this many milliseconds."`
}

// PluginFact is one figure a plugin gives of itself.
type PluginFact struct {
	Name  string `json:"name" doc:"What it is." example:"queue"`
	Value string `json:"value" doc:"How much." example:"3"`
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

// PluginCheck is what a check found.
type PluginCheck struct {
	OK          bool         `json:"ok" doc:"Nothing is wrong; the plugin would start."`
	Name        string       `json:"name" doc:"The plugin's name."`
	Version     string       `json:"version,omitempty" doc:"The version that was checked."`
	Diagnostics []Diagnostic `json:"diagnostics" doc:"What there is to say."`
}

// PluginList is all plugins.
type PluginList struct {
	Plugins []PluginStatus `json:"plugins" doc:"In the order of their blocks."`
}

type pluginPath struct {
	Name string `path:"name" maxLength:"64" pattern:"^[a-z][a-z0-9_-]*$" doc:"The plugin's name." example:"threadline"`
}

func (a *API) mountPlugins() {
	off := a.cfg.Plugins == nil
	missing := map[int]string{http.StatusNotFound: "There is no such plugin."}
	register(a, operation{
		method: http.MethodGet, path: "/v1/admin/plugins", id: "list-plugins", tag: "plugins", off: off, access: admin,
		summary: "List plugins", description: "With their live state on this node.", ok: "All plugins.",
	}, func(ctx context.Context, _ asker, _ *none) (*struct{ Body PluginList }, error) {
		list, err := a.cfg.Plugins.List(ctx)
		if err != nil {
			return nil, err
		}
		return &struct{ Body PluginList }{PluginList{Plugins: append([]PluginStatus{}, list...)}}, nil
	})
	register(a, operation{
		method: http.MethodGet, path: "/v1/admin/plugins/{name}", id: "get-plugin", tag: "plugins", off: off, access: admin,
		summary: "Show a plugin", description: "What it offers, what it may use, and the last lines it logged.", ok: "The plugin.", problems: missing,
	}, func(ctx context.Context, _ asker, in *pluginPath) (*struct{ Body PluginInfo }, error) {
		info, err := a.cfg.Plugins.Info(ctx, in.Name)
		if err != nil {
			return nil, err
		}
		return &struct{ Body PluginInfo }{info}, nil
	})
	register(a, operation{
		method: http.MethodPost, path: "/v1/admin/plugins/{name}/check", id: "check-plugin", tag: "plugins", off: off, access: admin,
		summary: "Check a plugin", description: "Starts the plugin beside the running one with its block as the file has it now, and stops it again. Nothing changes.",
		ok: "What was found.", problems: missing,
	}, func(ctx context.Context, _ asker, in *pluginPath) (*struct{ Body PluginCheck }, error) {
		res, err := a.cfg.Plugins.Check(ctx, in.Name)
		if err != nil {
			return nil, err
		}
		res.Diagnostics = append([]Diagnostic{}, res.Diagnostics...)
		return &struct{ Body PluginCheck }{res}, nil
	})
	register(a, operation{
		method: http.MethodPost, path: "/v1/admin/plugins/{name}/restart", id: "restart-plugin", tag: "plugins", off: off, access: admin,
		summary: "Restart a plugin", description: "Also ends its quarantine.", ok: "The plugin as it is now.", problems: missing,
	}, func(ctx context.Context, who asker, in *pluginPath) (*struct{ Body PluginInfo }, error) {
		if err := a.cfg.Plugins.Restart(ctx, who.actor(), in.Name); err != nil {
			return nil, err
		}
		info, err := a.cfg.Plugins.Info(ctx, in.Name)
		if err != nil {
			return nil, err
		}
		return &struct{ Body PluginInfo }{info}, nil
	})
	register(a, operation{
		method: http.MethodDelete, path: "/v1/admin/plugins/{name}/data", id: "purge-plugin", tag: "plugins", off: off, access: admin, status: http.StatusNoContent,
		summary: "Delete everything stored for a plugin", description: "Its tables, its small state and its cursors. Only for a plugin whose block is gone or disabled. There is no way back.",
		ok: "Everything is deleted.", problems: map[int]string{http.StatusNotFound: "Nothing is stored for such a plugin.", http.StatusConflict: "The plugin is running."},
	}, func(ctx context.Context, who asker, in *pluginPath) (*empty, error) {
		return nil, a.cfg.Plugins.Purge(ctx, who.actor(), in.Name)
	})
}
