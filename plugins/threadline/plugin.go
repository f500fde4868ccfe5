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

// Timeline is the satellite at work, with one set of settings.
type Timeline struct {
	now      func() time.Time
	mux      *http.ServeMux
	host     *pluginsdk.Host
	store    *store
	log      hclog.Logger
	settings settings
	recorded *tally
}

// tally counts since the process started.
type tally struct{ inserted, duplicate, conflict, refused atomic.Int64 }

func (t *tally) counts() map[string]int64 {
	return map[string]int64{
		"inserted": t.inserted.Load(), "duplicate": t.duplicate.Load(), "conflict": t.conflict.Load(), "refused": t.refused.Load(),
	}
}

var (
	_ pluginsdk.AuditSink = (*Timeline)(nil)
	_ pluginsdk.Routes    = (*Timeline)(nil)

	_ pluginsdk.HealthReporter = (*Timeline)(nil)
)

// New is Threadline, as a plugin.
func New() pluginsdk.Plugin { return newAt(func() time.Time { return time.Now().UTC() }) }

func newAt(now func() time.Time) pluginsdk.Plugin {
	counts := &tally{} // since the process started, whatever the settings
	return pluginsdk.Define(pluginsdk.Manifest{
		Name:        "threadline",
		Version:     Version,
		Description: "Timelines of who did what, from the audit log",
		Requires:    []pluginsdk.Grant{pluginsdk.PagesRender},
		Wants:       []pluginsdk.Grant{pluginsdk.IdentityRead},
		Routes:      []pluginsdk.Route{{Path: "/threadline", Title: "Activity", Access: pluginsdk.SignedIn}},
		Storage:     storage.New(migrations),
	}, func(_ context.Context, host *pluginsdk.Host, s settings) (*Timeline, error) {
		if s.PageSize < 1 || s.PageSize > maxPage {
			return nil, pluginsdk.Diagnostic("page_size", "Page size out of range", "A page has 1 to 200 entries.")
		}
		p := &Timeline{
			now: now, host: host, log: host.Logger(), settings: s, recorded: counts,
			store: &store{db: host.Database(), dialect: host.Dialect(), now: now},
		}
		p.mux = p.routes()
		return p, nil
	})
}

// Record implements pluginsdk.AuditSink.
func (p *Timeline) Record(ctx context.Context, r pluginsdk.RecordRequest) (pluginsdk.RecordResponse, error) {
	res, err := p.store.record(ctx, r.Rows)
	if err != nil {
		return pluginsdk.RecordResponse{}, pluginsdk.Retryable(err)
	}
	p.recorded.inserted.Add(int64(res.Inserted))
	p.recorded.duplicate.Add(int64(res.Duplicate))
	p.recorded.conflict.Add(int64(res.Conflict))
	p.recorded.refused.Add(int64(len(res.Refused)))
	if res.Conflict > 0 {
		p.log.Warn("audit rows came again with other content; the first version stands", "rows", res.Conflict)
	}
	return res, nil
}

// ServeHTTP implements pluginsdk.Routes.
func (p *Timeline) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// Health implements pluginsdk.HealthReporter: the figures `sigra plugin info threadline` shows.
func (p *Timeline) Health(ctx context.Context) (map[string]string, error) {
	facts := map[string]string{}
	for name, n := range p.recorded.counts() {
		facts[name+"_since_start"] = strconv.FormatInt(n, 10)
	}
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	s, err := p.store.status(ctx)
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
