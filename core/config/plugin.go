package config

import (
	"net/netip"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/sigra-auth/sigra/core/secret"
)

// Plugin is one plugin block: the host's settings decoded, the plugin's own (Config) as they stand.
type Plugin struct {
	Name   string // the label
	Source string // path of an external binary; empty means bundled
	SHA256 string // 64 lower-case hex digits; empty for bundled and unpinned ones
	// Locked is where SHA256 stands when it is from the lock file ("sigra.lock.hcl:4:3"); empty when it is in the block.
	Locked string
	// Accepted is what the plugin may ask for, as the lock file has it; nil: it says nothing of that.
	Accepted []string
	// InsecureUnpinned lets an external binary run without SHA256.
	InsecureUnpinned bool
	// Reattach is a file that tells where the plugin runs by itself, under a debugger; empty: Sigra starts it.
	Reattach string
	Enabled  bool
	Required bool     // not ready without it
	Grants   []string // "identity.read", "routes.serve:/greeter"
	Env      []string // names of variables passed through
	// AllowedNetworks are private networks that its outbound calls may reach, where it makes them by the SDK's client.
	AllowedNetworks []netip.Prefix
	Gates           []PluginGate
	Events          PluginEvents
	Limits          PluginLimits
	User            string      // who the process runs as; empty: whoever Sigra runs as
	DatabaseURL     secret.Text // unset: storage beside Sigra's own

	// Config is the nested config block, or an empty body when there is none. Decode reads it.
	Config hcl.Body
	// Range is the block's header, ConfigRange that of the config block (or Range when there is none).
	Range, ConfigRange hcl.Range

	src    *source
	ranges map[string]hcl.Range
}

// External reports whether the plugin is a binary of its own.
func (p Plugin) External() bool { return p.Source != "" }

// The values of PluginGate.OnError.
const (
	OnErrorDeny  = "deny"
	OnErrorAllow = "allow"
)

// PluginGate is one question that the plugin is asked.
type PluginGate struct {
	Question string
	OnError  string        // what a failure of the plugin means
	Timeout  time.Duration // then it counts as failed; 0: as the plugin's manifest says, or half a second
	Range    hcl.Range
}

// The values of PluginEvents.From.
const (
	FromBeginning = "beginning"
	FromNow       = "now"
)

// PluginEvents widens or narrows which audit actions and events reach the plugin: exact names, or prefixes ending in ".*".
type PluginEvents struct {
	Include, Exclude []string
	// From is where a plugin that was never here before starts reading the log.
	From string
}

// PluginLimits bound what the plugin's process may use. Zero values set no bound.
type PluginLimits struct {
	Memory    int64 // bytes resident, of the process and its children
	OpenFiles int   // descriptors of each of its processes
}

// has reports whether a setting stands in the block.
func (p Plugin) has(setting string) bool { _, ok := p.ranges[setting]; return ok }

// At returns where a setting of the block stands ("grants", "source"), or the block's header when it isn't there.
func (p Plugin) At(setting string) hcl.Range {
	if r, ok := p.ranges[setting]; ok {
		return r
	}
	return p.Range
}
