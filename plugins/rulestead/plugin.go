package rulestead

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"

	"github.com/sigra-auth/sigra/plugins/rulestead/rule"
)

// Version is Rulestead's own.
const Version = "0.1.0"

//go:embed migrations
var migrations embed.FS

// instance is Rulestead.
type instance struct {
	host     *pluginsdk.Host
	store    *store
	settings settings
	snapshot *snapshots
	log      hclog.Logger
	mux      *http.ServeMux
}

// settings is the config block.
type settings struct {
	Approvals int `sigra:"approvals,optional,default=0" doc:"how many people besides its author have to approve a change before it is in force, 0 to 10"`
}

// snapshots is the newest snapshot of this process. It never goes back.
type snapshots struct {
	mu     sync.Mutex // of those who load
	now    atomic.Pointer[rule.Snapshot]
	seenAt atomic.Int64 // when the database last said that it is the newest, in Unix microseconds
}

var (
	_ pluginsdk.Gate           = (*instance)(nil)
	_ pluginsdk.Runner         = (*instance)(nil)
	_ pluginsdk.Routes         = (*instance)(nil)
	_ pluginsdk.Commands       = (*instance)(nil)
	_ pluginsdk.HealthReporter = (*instance)(nil)
)

// versionTopic is the topic on which the nodes tell each other of a newer version.
const versionTopic = "definitions"

// refresh is how often every node looks for a newer version by itself: whoever changed the database may have died before telling.
const refresh = 10 * time.Second

// New makes Rulestead.
func New() pluginsdk.Plugin {
	m := pluginsdk.Manifest{
		Name:        "rulestead",
		Version:     Version,
		Description: "Rules and flags at the auth boundary",
		Requires:    []pluginsdk.Grant{pluginsdk.AuditRecord, pluginsdk.PagesRender, pluginsdk.TopicsUse},
		Routes:      []pluginsdk.Route{{Path: "/rulestead", Title: "Rules", Section: pluginsdk.AdministrationSection, Access: pluginsdk.Administrators, MaxBody: 4 << 20}},
		Actions: []pluginsdk.Action{{
			Name: "rulestead.definitions.change", Description: "Rules or flags were changed.", CRUD: "u", Metadata: []string{"version", "previous_version", "comment"}, Webhooks: true, Timeline: true,
		}, {
			Name: "rulestead.change.propose", Description: "A change of rules or flags was proposed: it waits for approvals, or for its time.", CRUD: "c", Metadata: []string{"change", "comment"}, Webhooks: true, Timeline: true,
		}, {
			Name: "rulestead.change.approve", Description: "A change of rules or flags was approved, or somebody who may not tried to.", CRUD: "u", Metadata: []string{"change", "comment"}, Webhooks: true, Timeline: true,
		}, {
			Name: "rulestead.change.reject", Description: "A change of rules or flags was rejected, or withdrawn by who proposed it.", CRUD: "u", Metadata: []string{"change", "comment"}, Webhooks: true, Timeline: true,
		}},
		Commands: []pluginsdk.Command{
			{Name: "apply", Arguments: "[--comment TEXT] [--at TIME] < FILE", Stdin: true, Summary: "Make the definitions on standard input the newest version, or a change that waits for approvals or its time"},
			{Name: "plan", Arguments: "< FILE", Stdin: true, Summary: "Show what applying the definitions on standard input would change"},
			{Name: "kill", Arguments: "[--comment TEXT] FLAG", Summary: "Turn a flag off at once, without approval"},
			{Name: "changes", Arguments: "[CHANGE]", Summary: "List the changes that wait or were decided, or show what one would change"},
			{Name: "approve", Arguments: "CHANGE", Summary: "Approve a change that somebody else made"},
			{Name: "reject", Arguments: "CHANGE", Summary: "Reject a change, or withdraw your own"},
			{Name: "export", Arguments: "[--version N]", Summary: "Print the definitions"},
			{Name: "list", Summary: "List the flags"},
			{Name: "explain", Arguments: "FLAG [NAME=VALUE…]", Summary: "Show what a flag decides for the attributes given, and why"},
			{Name: "history", Arguments: "[VERSION]", Summary: "List who changed the definitions, and when, or show what a version changed"},
			{Name: "rollback", Arguments: "VERSION", Summary: "Apply an earlier version again"},
			{Name: "validate", Arguments: "[--mode native|unleash|flagd] FILE…", Summary: "Check definitions, without a running server", Offline: validate},
			{Name: "eval", Arguments: "[--mode native|unleash|flagd] --flags FILE [--context FILE] [FLAG…]", Summary: "Evaluate flags of a file, without a running server", Offline: eval},
			{Name: "diff", Arguments: "OLD NEW", Summary: "Show how two files of definitions differ, without a running server", Offline: diff},
			{Name: "import", Arguments: "--mode unleash|flagd --owner WHO --review-by DAY FILE", Summary: "Say definitions of another system in rules, without a running server", Offline: imports},
		},
		Storage: storage.New(migrations),
	}
	for _, q := range rule.Questions {
		m.Questions = append(m.Questions, pluginsdk.GateQuestion{Question: pluginsdk.Question(q)})
	}
	shared := &snapshots{}
	return pluginsdk.Define(m, func(ctx context.Context, host *pluginsdk.Host, s settings) (*instance, error) {
		if s.Approvals < 0 || s.Approvals > 10 {
			return nil, pluginsdk.Diagnostic("approvals", "Approvals out of range", "A change needs 0 to 10 approvals.")
		}
		in := &instance{host: host, settings: s, log: host.Logger(), snapshot: shared, store: &store{db: host.Database(), dialect: host.Dialect(), now: time.Now}}
		in.mux = in.routes()
		if err := in.load(ctx); err != nil {
			return nil, pluginsdk.Retryable(fmt.Errorf("read the definitions: %w", err))
		}
		return in, nil
	})
}

// load makes the newest version the snapshot.
func (in *instance) load(ctx context.Context) error {
	s := in.snapshot
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := in.store.latest(ctx)
	if err != nil {
		return err
	}
	if now := s.now.Load(); now != nil && now.Version >= n {
		s.seenAt.Store(in.store.now().UnixMicro())
		return nil
	}
	var d rule.Definitions
	if n > 0 {
		v, err := in.store.get(ctx, n)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(v.Definitions, &d); err != nil {
			return fmt.Errorf("version %d: %w", n, err)
		}
	}
	compiled, err := rule.Compile(n, d)
	if err != nil {
		return fmt.Errorf("version %d: %w", n, err)
	}
	s.now.Store(compiled)
	s.seenAt.Store(in.store.now().UnixMicro())
	return nil
}

var errNoSnapshot = errors.New("no definitions were read yet")

func (in *instance) current() (*rule.Snapshot, error) {
	if s := in.snapshot.now.Load(); s != nil {
		return s, nil
	}
	return nil, errNoSnapshot
}

// Run implements pluginsdk.Runner: it follows what other nodes apply.
func (in *instance) Run(ctx context.Context) error {
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	told := make(chan struct{}, 1)
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() {
		err := in.host.Topics().Watch(ctx, versionTopic, func(context.Context, pluginsdk.Change) {
			select {
			case told <- struct{}{}:
			default: // one look is due already
			}
		})
		if err != nil && ctx.Err() == nil {
			in.log.Warn("changes on other nodes are not heard of, and looked for instead", "error", err)
		}
	})
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-told:
		}
		err := in.load(ctx)
		if err == nil {
			err = in.applyDue(ctx)
		}
		if err != nil && ctx.Err() == nil && !failing {
			in.log.Error("the definitions can't be read; the last ones go on deciding", "error", err)
		}
		failing = err != nil
	}
}

// ServeHTTP implements pluginsdk.Routes.
func (in *instance) ServeHTTP(w http.ResponseWriter, r *http.Request) { in.mux.ServeHTTP(w, r) }

// Health implements pluginsdk.HealthReporter. A snapshot that the database has not confirmed for a minute is said to be old.
func (in *instance) Health(context.Context) (map[string]string, error) {
	s, err := in.current()
	if err != nil {
		return nil, err
	}
	facts := map[string]string{"version": strconv.FormatInt(s.Version, 10), "flags": strconv.Itoa(len(s.Keys()))}
	age := in.store.now().Sub(time.UnixMicro(in.snapshot.seenAt.Load()))
	facts["snapshot_age_seconds"] = strconv.Itoa(int(age.Seconds()))
	if age > time.Minute {
		return facts, fmt.Errorf("the database has not answered for %s; decisions are made by version %d", age.Round(time.Second), s.Version)
	}
	return facts, nil
}
