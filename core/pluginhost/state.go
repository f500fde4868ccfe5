package pluginhost

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sigra-auth/sigra/core/config"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// State is where a plugin is in its life; doc.go draws how they follow each other.
type State string

// The states.
const (
	Declared    State = "declared"
	Disabled    State = "disabled" // enabled = false: declared, never started
	Verified    State = "verified"
	Starting    State = "starting"
	Configured  State = "configured"
	Ready       State = "ready"
	Degraded    State = "degraded" // up, but it misses health checks or says it is unwell
	Draining    State = "draining"
	Stopped     State = "stopped"
	Failed      State = "failed"      // waiting to be started again, or for its block to be changed
	Quarantined State = "quarantined" // failed too often: not started again before a reload or a restart
)

var states = []State{Declared, Disabled, Verified, Starting, Configured, Ready, Degraded, Draining, Stopped, Failed, Quarantined}

// Status is one plugin as `sigra plugin list` shows it.
type Status struct {
	Name     string    `json:"name"`
	State    State     `json:"state"`
	Since    time.Time `json:"since"`
	Detail   string    `json:"detail,omitempty"` // why it is not ready
	Version  string    `json:"version,omitempty"`
	Bundled  bool      `json:"bundled"`
	Source   string    `json:"source,omitempty"`
	Unpinned bool      `json:"unpinned,omitempty"` // runs without a pinned hash
	Required bool      `json:"required,omitempty"`
	PID      int       `json:"pid,omitempty"`
	Restarts int       `json:"restarts"`
	Seams    []string  `json:"seams,omitempty"`
	Routes   []string  `json:"routes,omitempty"`
}

// RouteInfo is one path a plugin serves.
type RouteInfo struct {
	Path    string `json:"path"`
	Title   string `json:"title,omitempty"`
	Access  string `json:"access"` // public, signed_in, administrators, organization_administrators, programs
	Machine bool   `json:"machine,omitempty"`
}

// Setting is one line of a plugin's settings schema.
type Setting struct {
	Path        string `json:"path"` // "listener.port"
	Type        string `json:"type"` // "string", "block", …
	Required    bool   `json:"required,omitempty"`
	Secret      bool   `json:"secret,omitempty"`
	Default     string `json:"default,omitempty"`
	Description string `json:"description,omitempty"`
}

// Info is all that is known of a plugin.
type Info struct {
	Status
	Description string             `json:"description,omitempty"`
	SDK         string             `json:"sdk,omitempty"`
	Contract    string             `json:"contract,omitempty"`
	SHA256      string             `json:"sha256,omitempty"`    // of what runs, or of what is pinned
	PinnedBy    string             `json:"pinned_by,omitempty"` // "block" or "lock"
	Env         []string           `json:"env,omitempty"`
	Grants      []string           `json:"grants,omitempty"`
	Requires    []string           `json:"requires,omitempty"`
	Wants       []string           `json:"wants,omitempty"`
	Paths       []RouteInfo        `json:"paths,omitempty"`
	Questions   []string           `json:"questions,omitempty"`
	Events      []string           `json:"events,omitempty"`
	Claims      []string           `json:"claims,omitempty"`
	Commands    []Command          `json:"commands,omitempty"`
	Settings    []Setting          `json:"settings,omitempty"`
	Storage     bool               `json:"storage,omitempty"`
	LastCrash   string             `json:"last_crash,omitempty"`
	CrashedAt   time.Time          `json:"crashed_at,omitzero"`
	Failures    int                `json:"failures"` // in the last ten minutes
	NextStart   time.Time          `json:"next_start,omitzero"`
	Latencies   map[string]Latency `json:"latencies,omitempty"`
	Broken      []string           `json:"broken,omitempty"` // seams whose breaker is open
	Facts       map[string]string  `json:"facts,omitempty"`  // what the plugin says of itself
	Log         []string           `json:"log,omitempty"`    // its last lines
}

func accessName(a pluginv1.Access) string {
	switch a {
	case pluginv1.Access_ACCESS_SIGNED_IN:
		return "signed_in"
	case pluginv1.Access_ACCESS_ADMINISTRATOR:
		return "administrators"
	case pluginv1.Access_ACCESS_ORGANIZATION_ADMINISTRATOR:
		return "organization_administrators"
	case pluginv1.Access_ACCESS_PROGRAMS:
		return "programs"
	}
	return "public"
}

func (p *plugin) status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.statusLocked()
}

func (p *plugin) statusLocked() Status {
	s := Status{
		Name: p.name, State: p.state, Since: p.since, Detail: p.detail, Bundled: !p.block.External(), Source: p.block.Source,
		Unpinned: p.block.External() && p.block.SHA256 == "", Required: p.block.Required, Restarts: p.restarts,
	}
	if in := p.current.Load(); in != nil {
		s.PID = in.proc.PID()
	}
	if m := p.manifest; m != nil {
		s.Version = m.GetVersion()
		for _, seam := range m.GetSeams() {
			s.Seams = append(s.Seams, seamLabel(seam))
		}
		for _, r := range m.GetRoutes() {
			s.Routes = append(s.Routes, r.GetPath())
		}
	}
	return s
}

// askedOf are the questions that the plugin is asked, with what its failing means, and those that it could be asked and is not.
func askedOf(p *plugin) []string {
	var out, names []string
	for _, g := range p.gates() {
		failing := "denied"
		if g.OnError == config.OnErrorAllow {
			failing = "allowed"
		}
		names = append(names, g.Question)
		out = append(out, fmt.Sprintf("%s (%s where it fails)", g.Question, failing))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.manifest == nil {
		return out
	}
	for _, q := range p.manifest.GetGateQuestions() {
		if name := q.GetName(); !slices.Contains(names, name) {
			failing := config.OnErrorDeny // and what the plugin itself would have a failure mean
			if q.GetAllowOnError() {
				failing = config.OnErrorAllow
			}
			out = append(out, fmt.Sprintf("%s (not asked: its block has no gate %q { on_error = %q })", name, name, failing))
		}
	}
	return out
}

func (p *plugin) info() Info {
	asked := askedOf(p)
	p.mu.Lock()
	defer p.mu.Unlock()
	out := Info{
		Status: p.statusLocked(), SHA256: p.block.SHA256, Grants: p.grants.list(), LastCrash: p.lastCrash, CrashedAt: p.crashedAt,
		Failures: len(p.failures), Facts: maps.Clone(p.facts), Latencies: map[string]Latency{}, Env: slices.Clone(p.block.Env),
	}
	switch {
	case p.block.SHA256 == "":
	case p.block.Locked != "":
		out.PinnedBy = "lock"
	default:
		out.PinnedBy = "block"
	}
	if p.state == Failed {
		out.NextStart = p.nextStart
	}
	if m := p.manifest; m != nil {
		out.Description, out.SDK, out.Storage = printable(m.GetDescription()), printable(m.GetSdkVersion()), m.GetStorage()
		out.Questions, out.Events, out.Claims = asked, m.GetEventPatterns(), m.GetClaims()
		out.Commands = m.commands()
		out.Requires, out.Wants = m.GetRequiredGrants(), m.GetWantedGrants()
		for _, r := range m.GetRoutes() {
			out.Paths = append(out.Paths, RouteInfo{Path: r.GetPath(), Title: printable(clip(orElse(m.text(r.GetTitle(), "en"), r.GetTitle()), 80)), Access: accessName(r.GetAccess()), Machine: r.GetCrossSite() == pluginv1.CrossSite_CROSS_SITE_MACHINE})
		}
		out.Settings = describeSchema(m.GetSettings(), "")
	}
	for _, name := range contractSeams {
		s := p.seams[name]
		if l := s.latency.read(); l.Calls > 0 {
			out.Latencies[s.name] = l
		}
		if s.breaker.isOpen() {
			out.Broken = append(out.Broken, s.name)
		}
	}
	if in := p.current.Load(); in != nil {
		out.Log, out.Contract = in.logs.Tail(), in.contract
		if sum := in.program.SHA256(); sum != "" {
			out.SHA256 = sum
		}
	}
	return out
}
