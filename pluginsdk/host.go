package pluginsdk

import (
	"context"
	"database/sql"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
)

// callTimeout bounds a call to the host whose context has no deadline of its own.
const callTimeout = 10 * time.Second

// Host is what Sigra offers the plugin. It is handed to Configure and stays the same for the life of the process; all
// of it is safe for concurrent use. A service that was not granted answers with a *NotGrantedError.
type Host struct {
	log      hclog.Logger
	state    atomic.Pointer[hostState]
	conn     atomic.Pointer[grpc.ClientConn]
	instance atomic.Pointer[string]

	mu      sync.Mutex // guards storage
	db      *sql.DB
	dialect Dialect
}

// hostState is what Configure tells; it is replaced as a whole.
type hostState struct {
	baseURL string
	version string
	granted []Service
	grants  []string
}

func newHost(log hclog.Logger) *Host {
	h := &Host{log: log}
	h.state.Store(&hostState{})
	empty := ""
	h.instance.Store(&empty)
	return h
}

// Logger writes to Sigra's log, under the plugin's name.
func (h *Host) Logger() hclog.Logger { return h.log }

// BaseURL is where people reach Sigra: "https://id.example.com", no trailing slash.
func (h *Host) BaseURL() string { return h.state.Load().baseURL }

// Version is Sigra's.
func (h *Host) Version() string { return h.state.Load().version }

// Instance is the label of the plugin's block: usually, and not necessarily, the plugin's name.
func (h *Host) Instance() string { return *h.instance.Load() }

// Granted reports whether a service may be called.
func (h *Host) Granted(s Service) bool { return slices.Contains(h.state.Load().granted, s) }

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

// Sessions makes and ends sessions. Grant: sessions.write
func (h *Host) Sessions() Sessions { return Sessions{h} }

// Audit records under the plugin's own name (grant: audit.record) and reads the log (grant: audit.read).
func (h *Host) Audit() Audit { return Audit{h} }

// Events publishes host-emitted events. Grant: events.publish
func (h *Host) Events() Events { return Events{h} }

// Mail sends through whichever mailer is configured. Grant: mail.send
func (h *Host) Mail() Mail { return Mail{h} }

// Seal encrypts with Sigra's keyring. Grant: seal
func (h *Host) Seal() Seal { return Seal{h} }

// Lease makes one runner across nodes. Grant: lease
func (h *Host) Lease() Lease { return Lease{h} }

// KV is small state for plugins that need no tables. Grant: kv
func (h *Host) KV() KV { return KV{h} }

// Pages gives pages the house's layout, and the way to sign in. Grant: pages
func (h *Host) Pages() Pages { return Pages{h} }

func (h *Host) notGranted(s Service) *NotGrantedError {
	return &NotGrantedError{Service: s, Plugin: h.Instance(), Grants: h.state.Load().grants}
}

// reach gives the connection and a context with a deadline. The grant is not judged here but by the host, which also
// writes down for its operator that the plugin asked for more than it has.
func (h *Host) reach(ctx context.Context, s Service) (context.Context, context.CancelFunc, grpc.ClientConnInterface, error) {
	conn := h.conn.Load()
	if conn == nil {
		return nil, nil, nil, h.notGranted(s)
	}
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}, conn, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	return ctx, cancel, conn, nil
}

// call is the one way to a host service: grant, deadline, call, error.
func call[C, Req, Resp any](
	ctx context.Context, h *Host, s Service, op string, client func(grpc.ClientConnInterface) C,
	method func(C, context.Context, Req, ...grpc.CallOption) (Resp, error), req Req,
) (Resp, error) {
	var none Resp
	ctx, cancel, conn, err := h.reach(ctx, s)
	if err != nil {
		return none, err
	}
	defer cancel()
	resp, err := method(client(conn), ctx, req)
	if err != nil {
		return none, h.fromStatus(op, s, err)
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
