package pluginsdk

import (
	"context"
	"database/sql"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
)

// callTimeout bounds a call to the host whose context has no deadline of its own.
const callTimeout = 10 * time.Second

// Host is what Sigra offers the plugin. It is handed to the configure function of Define; all of it is safe for concurrent
// use. A service that was not granted answers with a *NotGrantedError.
type Host struct {
	*hostShared
	jobs jobs
}

// hostShared is the same for all instances of one process.
type hostShared struct {
	log      hclog.Logger
	manifest Manifest
	metrics  Metrics
	state    atomic.Pointer[hostState]
	conn     atomic.Pointer[grpc.ClientConn]
	instance atomic.Pointer[string]

	mu      sync.Mutex // guards storage
	db      *sql.DB
	dialect Dialect
}

// hostState is what Configure tells; it is replaced as a whole.
type hostState struct {
	baseURL  string
	version  string
	grants   []string
	language string
	networks []netip.Prefix
}

func newHost(log hclog.Logger, m Manifest) *Host {
	h := &Host{hostShared: &hostShared{log: log, manifest: m}}
	h.state.Store(&hostState{})
	empty := ""
	h.instance.Store(&empty)
	return h
}

// forInstance is the host as one instance gets it.
func (h *Host) forInstance() *Host { return &Host{hostShared: h.hostShared} }

// Logger writes to Sigra's log, under the plugin's name.
func (h *Host) Logger() hclog.Logger { return h.log }

// BaseURL is where people reach Sigra: "https://id.example.com", no trailing slash.
func (h *Host) BaseURL() string { return h.state.Load().baseURL }

// Version is Sigra's.
func (h *Host) Version() string { return h.state.Load().version }

// Instance is the label of the plugin's block: usually, and not necessarily, the plugin's name.
func (h *Host) Instance() string { return *h.instance.Load() }

// Language is the installation's, for those who understand none of the plugin's: a BCP 47 tag.
func (h *Host) Language() string { return h.state.Load().language }

// AllowedNetworks are private networks that the operator lets outbound calls reach. See the package pluginsdk/egress.
func (h *Host) AllowedNetworks() []netip.Prefix { return slices.Clone(h.state.Load().networks) }

// Granted reports whether a service may be called.
func (h *Host) Granted(g Grant) bool { return slices.Contains(h.state.Load().grants, string(g)) }

// Metrics are the plugin's own figures, in /metrics under sigra_plugin_<name>_.
func (h *Host) Metrics() *Metrics { return &h.metrics }

// Database is the plugin's own database, migrated; nil when the manifest asks for no Storage.
func (h *Host) Database() *sql.DB {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.db
}

// Dialect says which database that is; empty when there is none.
func (h *Host) Dialect() Dialect {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dialect
}

// Identity reads who exists. Grant: identity.read
func (h *Host) Identity() Identity { return Identity{h} }

// Members changes memberships. Grant: members.write
func (h *Host) Members() Members { return Members{h} }

// Sessions reads sessions (grant: sessions.read), makes and ends them (grant: sessions.write).
func (h *Host) Sessions() Sessions { return Sessions{h} }

// Audit records under the plugin's own name (grant: audit.record) and reads the log (grant: audit.read).
func (h *Host) Audit() Audit { return Audit{h} }

// Events publishes host-emitted events. Grant: events.publish
func (h *Host) Events() Events { return Events{h} }

// Mail sends through whichever mailer is configured (grant: mail.send), reports what became of a message (grant:
// mail.report) and knows every kind of mail (grant: mail.read).
func (h *Host) Mail() Mail { return Mail{h} }

// Notices tells administrators something. Grant: notices.send
func (h *Host) Notices() Notices { return Notices{h} }

// Seal encrypts with Sigra's keyring. Grant: seal.use
func (h *Host) Seal() Seal { return Seal{h} }

// Lease makes one runner across nodes. Grant: lease.hold
func (h *Host) Lease() Lease { return Lease{h} }

// KV is small state for plugins that need no tables. Grant: kv.use
func (h *Host) KV() KV { return KV{h} }

// Topics tells the plugin's processes on all nodes that something has changed. Grant: topics.use
func (h *Host) Topics() Topics { return Topics{h} }

// RateLimit counts across all nodes. Grant: ratelimit.take
func (h *Host) RateLimit() RateLimit { return RateLimit{h} }

// Claims gathers what other plugins say (grant: claims.read) and has the plugin's own asked anew (grant: claims.write).
func (h *Host) Claims() ClaimsService { return ClaimsService{h} }

// Gates puts questions to the gates that are configured. Grant: gates.ask
func (h *Host) Gates() Gates { return Gates{h} }

// Domains are what organizations have proven to own. Grants: domains.read, domains.write
func (h *Host) Domains() Domains { return Domains{h} }

// Links are addresses that work once. Grant: links.use
func (h *Host) Links() Links { return Links{h} }

// Directory provides accounts from a customer's directory. Grant: directory.write
func (h *Host) Directory() Directory { return Directory{h} }

// Pages gives pages the house's layout, and the way to sign in. Grant: pages.render
func (h *Host) Pages() Pages { return Pages{h} }

func (h *Host) notGranted(g Grant) *NotGrantedError {
	return &NotGrantedError{Grant: g, Plugin: h.Instance(), Grants: h.state.Load().grants}
}

// reach gives the connection and a context with a deadline. The grant is not judged here but by the host, which also
// writes down for its operator that the plugin asked for more than it has.
func (h *Host) reach(ctx context.Context, g Grant) (context.Context, context.CancelFunc, grpc.ClientConnInterface, error) {
	conn := h.conn.Load()
	if conn == nil {
		return nil, nil, nil, h.notGranted(g)
	}
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}, conn, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	return ctx, cancel, conn, nil
}

// call is the one way to a host service: grant, deadline, call, error.
func call[C, Req, Resp any](
	ctx context.Context, h *Host, g Grant, op string, client func(grpc.ClientConnInterface) C,
	method func(C, context.Context, Req, ...grpc.CallOption) (Resp, error), req Req,
) (Resp, error) {
	var none Resp
	ctx, cancel, conn, err := h.reach(ctx, g)
	if err != nil {
		return none, err
	}
	defer cancel()
	resp, err := method(client(conn), ctx, req)
	if err != nil {
		return none, h.fromStatus(op, g, err)
	}
	return resp, nil
}

// close ends the connection to the host and the database.
func (h *Host) close() error {
	if conn := h.conn.Load(); conn != nil {
		_ = conn.Close()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.db == nil {
		return nil
	}
	return h.db.Close()
}
