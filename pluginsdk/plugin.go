package pluginsdk

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk/lang"
)

// Plugin is what Serve serves: what it is, and how an instance of it is made. Make one with Define.
type Plugin struct {
	manifest  Manifest
	settings  any // pointer to a zero settings struct; nil for none
	instance  any // a zero value of the instance's type: what it implements are the seams
	configure func(ctx context.Context, host *Host, in Settings) (any, error)
	err       error
}

// Define makes a plugin. S is a struct whose sigra tags describe the config block (struct{} for none, see SettingsOf); I is
// the type that does the work, and what I implements of AuditSink, EventSink, Mailer, Gate, Routes, LoginMethods, Claims,
// Subject, Logout and Commands is what the plugin offers.
//
// configure makes an instance for one set of settings. It is called before anything else, and again when the settings
// change while the plugin runs: calls go to the new instance as soon as it is returned, those in flight end on the old one,
// which is then stopped (see Stopper). Nothing of this needs a lock in the plugin. Return an error made by Diagnostic (or
// several joined) to point at a setting; on any error the earlier instance stays in force. What must outlive a change of
// settings (a cache, a pool) belongs to whatever configure is a method of.
func Define[S, I any](m Manifest, configure func(ctx context.Context, host *Host, settings S) (I, error)) Plugin {
	var zero I
	p := Plugin{manifest: m, instance: zero}
	if p.instance == nil {
		p.err = fmt.Errorf("Define: the instance's type must not be an interface: nothing could be told from %T", (*I)(nil))
	}
	if t := reflect.TypeFor[S](); t.Kind() != reflect.Struct {
		p.err = fmt.Errorf("Define: settings are a struct, not %s", t)
	} else if t.NumField() > 0 {
		p.settings = new(S)
	}
	if configure == nil {
		p.err = fmt.Errorf("Define: no configure function")
	}
	hasSettings := p.settings != nil
	p.configure = func(ctx context.Context, host *Host, in Settings) (any, error) {
		var s S
		if hasSettings {
			if err := in.Decode(&s); err != nil {
				return nil, err
			}
		} else if err := in.none(); err != nil {
			return nil, err
		}
		made, err := configure(ctx, host, s)
		if err != nil {
			return nil, err
		}
		return made, nil
	}
	return p
}

// Manifest is what the plugin was defined with.
func (p Plugin) Manifest() Manifest { return p.manifest }

// Stopper is implemented by instances that have something to end: goroutines, connections. Stop is called once, when the
// settings have changed or the plugin stops, after the instance's last call has returned or was given up; host services and
// the database still work. ctx bounds it, and what is not done by then is cut off.
type Stopper interface {
	Stop(ctx context.Context) error
}

// Runner is implemented by instances that work beside serving. Run is called once calls may come, and its context ends
// when the instance is replaced or stopped. If it returns before that, with an error or a panic, it is called again after a
// while, and the plugin shows as degraded meanwhile. Every node runs it; for work that one node is to do see Host.Every.
type Runner interface {
	Run(ctx context.Context) error
}

// HealthReporter is implemented by instances that know whether they are well. An error makes the plugin show as degraded,
// facts are small figures for `sigra plugin info`. It must answer within two seconds.
type HealthReporter interface {
	Health(ctx context.Context) (facts map[string]string, err error)
}

// Manifest describes a plugin.
type Manifest struct {
	Name        string // [a-z][a-z0-9_]{0,62}: the name its audit actions, claims and cookies stand under
	Version     string // semantic version
	Description string // one line

	// Requires are the grants the plugin can't run without, Wants those it uses when it has them.
	Requires, Wants []Grant
	Routes          []Route
	// Events are the host-emitted events it takes: "billing.*".
	Events []string
	// Questions are what it is asked as a Gate.
	Questions []GateQuestion
	// AuditActions are actions or prefixes ("auth.*") it takes beside the catalogue's defaults.
	AuditActions []string
	// Actions are those it records itself.
	Actions []Action
	// Claims are the names of the claims it may add, below its own name.
	Claims []string
	// Commands are its verbs under `sigra <name> …`.
	Commands []Command
	// Texts are its message catalogues; nil for none. See the package pluginsdk/lang.
	Texts *lang.Catalogues
	// Storage asks for a database of its own; nil for none. See the package pluginsdk/storage.
	Storage Storage
}

// Action is an audit action that the plugin records.
type Action struct {
	Name        string   // below the plugin's name: "greeter.greeting.change"
	Description string   // one line, for the catalogue
	CRUD        string   // "c", "r", "u" or "d"
	Outcomes    []string // of "success", "failure", "error"; nil: success
	Metadata    []string // the keys its metadata may have
	Webhooks    bool     // endpoints may ask for it
	Timeline    bool     // shown on timelines by default
}

// Ref names somebody or something.
type Ref struct {
	Type    string `json:"type"`
	ID      string `json:"id,omitempty"`
	Role    string `json:"role,omitempty"`
	Display string `json:"display,omitempty"`
}

// Principal is who is asking, resolved by Sigra.
type Principal struct {
	Kind                      string // "user", "service_account", "application", "operator"
	UserID                    string // of a service account its own id
	OrganizationID            string // the active one
	Role                      string // there; opaque to Sigra
	OrganizationAdministrator bool   // there
	SessionID                 string
	SessionCreatedAt          time.Time
	SessionExpiresAt          time.Time
	ImpersonatorID            string // the administrator who acts in the user's name
	Email                     string
	Display                   string
	Administrator             bool // of Sigra itself
	AAL                       string
	AMR                       []string
	AuthTime                  time.Time
	Scopes                    []string // of a key or token; nil: whatever its holder may
}

// Ref is the principal as an audit row names it.
func (p *Principal) Ref() Ref {
	if p == nil {
		return Ref{Type: "anonymous"}
	}
	return Ref{Type: p.Kind, ID: p.UserID}
}

// RequestInfo is where a request came from.
type RequestInfo struct {
	RequestID   string
	IP          string
	UserAgent   string
	Language    string // BCP 47: what the answer is to be in
	Traceparent string // W3C Trace Context, when the request is traced
}
