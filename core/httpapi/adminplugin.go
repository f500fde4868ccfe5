package httpapi

import (
	"encoding/json"
	"time"
)

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
	Commands    []PluginCommand `json:"commands,omitempty" doc:"What it has for operators: sigra NAME COMMAND."`
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

// PluginCommand is one command that a plugin has for operators.
type PluginCommand struct {
	Name      string `json:"name" doc:"One or two words." example:"outbox list"`
	Summary   string `json:"summary,omitempty" doc:"What it does."`
	Arguments string `json:"arguments,omitempty" doc:"What follows the name."`
	Stdin     bool   `json:"stdin,omitempty" doc:"It reads standard input."`
	Offline   bool   `json:"offline,omitempty" doc:"It is run by the program itself, with the files of whoever runs it, and not by the server."`
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

// PluginCheck is what a check found.
type PluginCheck struct {
	OK          bool         `json:"ok" doc:"Nothing is wrong; the plugin would start."`
	Name        string       `json:"name" doc:"The plugin's name."`
	Version     string       `json:"version,omitempty" doc:"The version that was checked."`
	Diagnostics []Diagnostic `json:"diagnostics" doc:"What there is to say."`
}
