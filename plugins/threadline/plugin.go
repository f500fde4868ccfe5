package threadline

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// Version is Threadline's own.
const Version = "0.1.0"

//go:embed migrations
var migrations embed.FS

// healthTime is how long the database may take to say how the projection stands; Sigra waits two seconds for it all.
const healthTime = 1500 * time.Millisecond

// settings is the config block.
type settings struct {
	PageSize int `sigra:"page_size,optional,default=50" doc:"entries on one page of the timeline, 1 to 200"`
}

// Plugin is the satellite. Make one with New.
type Plugin struct {
	now      func() time.Time
	mux      *http.ServeMux
	state    atomic.Pointer[state] // nil until configured
	recorded tally
}

// state is what a configuration sets up.
type state struct {
	host     *pluginsdk.Host
	store    *store
	log      hclog.Logger
	settings settings
}

// tally counts since the process started.
type tally struct{ inserted, duplicate, conflict, refused atomic.Int64 }

func (t *tally) counts() map[string]int64 {
	return map[string]int64{
		"inserted": t.inserted.Load(), "duplicate": t.duplicate.Load(), "conflict": t.conflict.Load(), "refused": t.refused.Load(),
	}
}

var (
	_ pluginsdk.Plugin    = (*Plugin)(nil)
	_ pluginsdk.AuditSink = (*Plugin)(nil)
	_ pluginsdk.Routes    = (*Plugin)(nil)

	_ pluginsdk.HealthReporter = (*Plugin)(nil)
)

// New makes Threadline, not yet configured.
func New() *Plugin {
	p := &Plugin{now: func() time.Time { return time.Now().UTC() }}
	p.mux = p.routes()
	return p
}

// Manifest implements pluginsdk.Plugin.
func (p *Plugin) Manifest() pluginsdk.Manifest {
	return pluginsdk.Manifest{
		Name:        "threadline",
		Version:     Version,
		Description: "Timelines of who did what, from the audit log",
		Settings:    &settings{},
		Requires:    []pluginsdk.Service{pluginsdk.PagesService},
		Wants:       []pluginsdk.Service{pluginsdk.IdentityRead},
		Routes:      []pluginsdk.Route{{Path: "/threadline", Title: "Activity", Access: pluginsdk.SignedIn}},
		Storage:     storage.New(migrations),
	}
}

// Configure implements pluginsdk.Plugin.
func (p *Plugin) Configure(_ context.Context, host *pluginsdk.Host, in pluginsdk.Settings) error {
	var s settings
	if err := in.Decode(&s); err != nil {
		return err
	}
	if s.PageSize < 1 || s.PageSize > maxPage {
		return pluginsdk.Diagnostic("page_size", "Page size out of range", "A page has 1 to 200 entries.")
	}
	p.state.Store(&state{
		host: host, log: host.Logger(), settings: s,
		store: &store{db: host.Database(), dialect: host.Dialect(), now: p.now},
	})
	return nil
}

// Record implements pluginsdk.AuditSink.
func (p *Plugin) Record(ctx context.Context, rows []pluginsdk.AuditRow) (pluginsdk.Recorded, error) {
	st := p.state.Load()
	if st == nil {
		return pluginsdk.Recorded{}, pluginsdk.Retryable(errors.New("not configured yet"))
	}
	res, err := st.store.record(ctx, rows)
	if err != nil {
		return pluginsdk.Recorded{}, pluginsdk.Retryable(err)
	}
	p.recorded.inserted.Add(int64(res.Inserted))
	p.recorded.duplicate.Add(int64(res.Duplicate))
	p.recorded.conflict.Add(int64(res.Conflict))
	p.recorded.refused.Add(int64(len(res.Refused)))
	if res.Conflict > 0 {
		st.log.Warn("audit rows came again with other content; the first version stands", "rows", res.Conflict)
	}
	return res, nil
}

// ServeHTTP implements pluginsdk.Routes.
func (p *Plugin) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// Health implements pluginsdk.HealthReporter: the figures `sigra plugin info threadline` shows.
func (p *Plugin) Health(ctx context.Context) (map[string]string, error) {
	facts := map[string]string{}
	for name, n := range p.recorded.counts() {
		facts[name+"_since_start"] = strconv.FormatInt(n, 10)
	}
	st := p.state.Load()
	if st == nil {
		return facts, nil
	}
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	s, err := st.store.status(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		// Busy is not unwell: a process that is ended for being busy has its work before it still. A database that hangs
		// shows as rows that are not taken.
		facts["database"] = "busy"
		return facts, nil
	}
	if err != nil {
		return facts, fmt.Errorf("its database: %w", err)
	}
	facts["entries"], facts["conflicts"] = strconv.FormatInt(s.Entries, 10), strconv.FormatInt(s.Conflicts, 10)
	if s.LastIngested != nil {
		facts["last_ingested_at"] = s.LastIngested.Format(time.RFC3339)
	}
	return facts, nil
}
