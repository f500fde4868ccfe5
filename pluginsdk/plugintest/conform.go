package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sigra-auth/sigra/pluginsdk"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/testing/protocmp"
)

// Options tell Conform what it can't find out by itself. The zero value suits plugins without settings that are required.
type Options struct {
	// Settings are ones that the plugin takes, a JSON object.
	Settings string
	// BadSettings are ones that it must refuse, beside those that its schema forbids.
	BadSettings []string
	// Effects counts what the plugin has made of audit rows, of events and of mail, so that the suite sees that
	// redelivery adds nothing: a SELECT count(*), say. Without it the suite relies on what Recorded says.
	Effects func(ctx context.Context, host *pluginsdk.Host) (int, error)
	// Host prepares the host that each case gets; nil: an empty one.
	Host func() *Fake
	// RequirePostgres fails the suite when the plugin has storage and SIGRA_TEST_POSTGRES is not set.
	RequirePostgres bool
	// PostgresURL stands in for SIGRA_TEST_POSTGRES.
	PostgresURL string
}

// stopWithin is what Sigra gives a plugin to stop.
const stopWithin = 1500 * time.Millisecond

// Conform runs the suite that every plugin must pass; fresh makes the plugin anew, as a restart does. A plugin with
// storage is run on each database at hand.
func Conform(t *testing.T, fresh func() pluginsdk.Plugin, o Options) {
	t.Helper()
	if fresh().Manifest().Storage == nil {
		conform(t, fresh, o, func(testing.TB) *pluginsdk.Location { return nil })
		return
	}
	t.Run("sqlite", func(t *testing.T) {
		conform(t, fresh, o, func(t testing.TB) *pluginsdk.Location { at := SQLiteAt(t); return &at })
	})
	url := o.PostgresURL
	if url == "" {
		url = os.Getenv(PostgresEnv)
	}
	switch {
	case url != "":
		t.Run("postgres", func(t *testing.T) {
			conform(t, fresh, o, func(t testing.TB) *pluginsdk.Location { at := PostgresOn(t, url); return &at })
		})
	case o.RequirePostgres:
		t.Errorf("plugintest: %s is not set, so the plugin was not run on Postgres; give it the URL of a server where schemas can be made", PostgresEnv)
	default:
		t.Logf("plugintest: %s is not set, so the plugin was run on SQLite only", PostgresEnv)
	}
}

// suite is one plugin on one database.
type suite struct {
	fresh func() pluginsdk.Plugin
	o     Options
	at    func(testing.TB) *pluginsdk.Location
}

func conform(t *testing.T, fresh func() pluginsdk.Plugin, o Options, at func(testing.TB) *pluginsdk.Location) {
	s := &suite{fresh, o, at}
	p := fresh()
	offers := func(d grpc.ServiceDesc) bool { return slices.Contains(p.Seams(), d.ServiceName) }
	audit, events, mail := offers(pluginv1.AuditSink_ServiceDesc), offers(pluginv1.EventSink_ServiceDesc), offers(pluginv1.Mailer_ServiceDesc)
	gate, routes, subject := offers(pluginv1.Gate_ServiceDesc), offers(pluginv1.Routes_ServiceDesc), offers(pluginv1.Subject_ServiceDesc)
	cases := []struct {
		name string
		run  func(*testing.T, *Running)
		when bool
	}{
		{"describe is stable", s.describe, true},
		{"configure again", s.configureAgain, true},
		{"configure while working", s.configureWorking, true},
		{"bad settings", s.badSettings, true},
		{"health", s.health, true},
		{"stop twice", s.stopTwice, true},
		{"failing host", s.failingHost, true},
		{"audit redelivery", s.auditRedelivery, audit},
		{"audit redelivery after restart", s.auditRestart, audit},
		{"audit concurrent", s.auditConcurrent, audit},
		{"audit cancelled", s.auditCancelled, audit},
		{"audit shutdown in mid-batch", s.auditShutdown, audit},
		{"audit crash in mid-batch", s.auditCrash, audit},
		{"event redelivery", s.eventRedelivery, events},
		{"mail repeated", s.mailRepeated, mail},
		{"gate repeats its answer", s.gateRepeats, gate},
		{"gate unknown question", s.gateUnknown, gate},
		{"erased twice", s.erasedTwice, subject},
		{"routes concurrent", s.routesConcurrent, routes},
		{"routes abandoned", s.routesAbandoned, routes},
	}
	for _, c := range cases {
		if !c.when {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			host := &Fake{}
			if o.Host != nil {
				host = o.Host()
			}
			// What the plugin starts bears this label, so that its goroutines are told from those of other tests.
			label := fmt.Sprintf("%s#%d", t.Name(), rand.Int64()) //nolint:gosec // a name
			pprof.Do(t.Context(), pprof.Labels("plugintest", label), func(context.Context) {
				r := Start(t, fresh(), Config{Settings: o.Settings, Host: host, Storage: at(t)})
				c.run(t, r)
				if err := r.Stop(stopWithin); err != nil {
					t.Errorf("stop: %v", err)
				}
			})
			noGoroutines(t, label)
		})
	}
}

// noGoroutines waits until nothing with the label runs any more.
func noGoroutines(t *testing.T, label string) {
	t.Helper()
	var left string
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if left = labelled(label); left == "" {
			return
		}
	}
	t.Errorf("after Stop these goroutines still run:\n%s", left)
}

func labelled(label string) string {
	var b strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&b, 1)
	var out []string
	for stack := range strings.SplitSeq(b.String(), "\n\n") {
		if strings.Contains(stack, fmt.Sprintf("%q", label)) {
			out = append(out, stack)
		}
	}
	return strings.Join(out, "\n\n")
}

func (s *suite) describe(t *testing.T, r *Running) {
	again, err := r.describe()
	if err != nil {
		t.Fatal(err)
	}
	other := Launch(t, s.fresh(), Config{Storage: s.at(t)})
	for _, d := range []*pluginv1.DescribeResponse{again, other.desc} {
		if diff := cmp.Diff(r.desc, d, protocmp.Transform()); diff != "" {
			t.Errorf("Describe answers differently:\n%s", diff)
		}
	}
	if err := other.Stop(stopWithin); err != nil {
		t.Errorf("stop before configure: %v", err)
	}
}

func (s *suite) configureAgain(t *testing.T, r *Running) {
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if err := r.Configure(s.o.Settings); err != nil {
				t.Errorf("the same settings again: %v", err)
			}
		})
	}
	group.Wait()
}

// configureWorking: settings change under load, as `sigra reload` does. Run it with -race.
func (s *suite) configureWorking(t *testing.T, r *Running) {
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			for range 5 {
				if err := r.Configure(s.o.Settings); err != nil {
					t.Errorf("configure under load: %v", err)
				}
			}
		})
		group.Go(func() {
			for range 5 {
				s.alive(t, r)
				for _, path := range s.paths(r) {
					s.visit(t, r, http.MethodGet, path, Ada)
				}
			}
		})
	}
	group.Wait()
}

func (s *suite) badSettings(t *testing.T, r *Running) {
	bad := slices.Clone(s.o.BadSettings)
	if len(r.desc.GetSettings().GetAttributes()) > 0 {
		bad = append(bad, s.with("there_is_no_such_setting", true))
		for _, a := range r.desc.GetSettings().GetAttributes() {
			bad = append(bad, s.with(a.GetName(), map[string]any{"a": map[string]any{"wrong": []any{"type"}}}))
		}
	}
	for _, settings := range bad {
		full, err := withDefaults(r.desc.GetSettings(), settings)
		if err != nil {
			full = []byte(settings)
		}
		err = r.configure(full)
		if err == nil {
			t.Errorf("took %s", full)
		} else if pluginsdk.IsRetryable(err) {
			t.Errorf("%s: refused as if it could be better later: %v", full, err)
		}
		s.alive(t, r)
	}
	if err := r.Configure(s.o.Settings); err != nil {
		t.Errorf("good settings after bad ones: %v", err)
	}
	s.alive(t, r)
}

// with is the good settings with one of them changed.
func (s *suite) with(name string, value any) string {
	obj := map[string]any{}
	if s.o.Settings != "" {
		if err := json.Unmarshal([]byte(s.o.Settings), &obj); err != nil {
			return "{"
		}
	}
	obj[name] = value
	b, err := json.Marshal(obj)
	if err != nil {
		return "{"
	}
	return string(b)
}

// paths are those of the routes, with the settings that they name filled in.
func (s *suite) paths(r *Running) []string {
	full, _ := withDefaults(r.desc.GetSettings(), s.o.Settings)
	settings := map[string]any{}
	_ = json.Unmarshal(full, &settings)
	var out []string
	for _, route := range r.desc.GetRoutes() {
		path := route.GetPath()
		for name, value := range settings {
			if text, ok := value.(string); ok {
				path = strings.ReplaceAll(path, "{"+name+"}", text)
			}
		}
		out = append(out, path)
	}
	return out
}

// alive sees that the plugin still does its work.
func (s *suite) alive(t *testing.T, r *Running) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if slices.Contains(r.desc.GetSeams(), pluginv1.AuditSink_ServiceDesc.ServiceName) {
		if _, err := r.Record(ctx, RowsFrom(0, 1)...); err != nil {
			t.Errorf("a row is not taken any more: %v", err)
		}
	}
	if _, err := pluginv1.NewPluginClient(r.conn).Health(ctx, &pluginv1.HealthRequest{}); err != nil {
		t.Errorf("health is not answered any more: %v", err)
	}
}

func (s *suite) health(t *testing.T, r *Running) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := r.Health(ctx); err != nil {
		t.Errorf("not well after its start, or slow to say so: %v", err)
	}
}

func (s *suite) stopTwice(t *testing.T, r *Running) {
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), stopWithin)
		if err := r.srv.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		cancel()
	}
}

// failingHost: no service of the host answers, and all are slow about it; the plugin must go on living.
func (s *suite) failingHost(t *testing.T, r *Running) {
	for _, g := range pluginsdk.Grants() {
		r.Host.Fail(g, pluginsdk.Retryable(errors.New("the host is not well")))
	}
	r.Host.Delay(20 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if slices.Contains(r.desc.GetSeams(), pluginv1.AuditSink_ServiceDesc.ServiceName) {
		if _, err := r.Record(ctx, RowsFrom(0, 3)...); err != nil && !pluginsdk.IsRetryable(err) {
			t.Errorf("rows must be taken, or be brought again when the host is well: %v", err)
		}
	}
	for _, path := range s.paths(r) {
		if resp, err := r.Client(Ada).Get("http://sigra" + path); err != nil {
			t.Errorf("%s: %v", path, err)
		} else {
			_ = resp.Body.Close()
		}
	}
	for _, g := range pluginsdk.Grants() {
		r.Host.Fail(g, nil)
	}
	r.Host.Delay(0)
	s.alive(t, r)
}
