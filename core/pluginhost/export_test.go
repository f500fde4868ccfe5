package pluginhost

import (
	"context"
	"net/http"
	"time"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/pluginsdk/contract"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// Hasten shortens the host's waits, before its first Apply.
func (h *Host) Hasten(health, backoff, idle time.Duration) {
	h.timing.health, h.timing.backoff = health, backoff
	if idle > 0 {
		h.timing.head, h.timing.idle = idle, idle
	}
}

// SetContracts makes the host speak other versions of the contract.
func (h *Host) SetContracts(versions ...string) { h.contracts = versions }

// Inside calls f with a call to the plugin in flight, for benchmarks of the bare connection.
func (h *Host) Inside(name string, f func(ctx context.Context, health func() error) error) error {
	p := h.lookup(name)
	in, err := p.acquire()
	if err != nil {
		return err
	}
	defer in.release()
	return f(context.Background(), func() error { return p.health(in) })
}

var (
	GrantOf      = grantOf
	OwnCookies   = ownCookies
	Policies     = policies
	StrictPolicy = strictPolicy
	CleanPath    = cleanPath
	CheckPath    = contract.CheckPath
	IsIdentity   = isIdentity
)

// KV is the plugins' small state, by itself.
type KV struct{ s *kvStore }

func NewKV(db *store.DB) *KV {
	return &KV{&kvStore{db: db, now: func() time.Time { return time.Now().UTC() }}}
}

func (k *KV) Put(ctx context.Context, plugin, key string, value []byte, ifVersion int64, ttl time.Duration) (bool, int64, error) {
	return k.s.put(ctx, plugin, key, value, ifVersion, ttl)
}

func (k *KV) Get(ctx context.Context, plugin, key string) ([]byte, int64, bool, error) {
	e, err := k.s.get(ctx, plugin, key)
	if err != nil || e == nil {
		return nil, 0, false, err
	}
	return e.value, e.version, true, nil
}

func (k *KV) Keys(ctx context.Context, plugin, prefix, after string, limit int) ([]string, error) {
	es, err := k.s.list(ctx, plugin, prefix, after, limit)
	var out []string
	for _, e := range es {
		out = append(out, e.key)
	}
	return out, err
}

func (h *Host) Storage(ctx context.Context, b config.Plugin) (*pluginv1.Storage, error) {
	return h.storages.of(ctx, b)
}

var (
	SchemaName = schemaName
	RoleName   = roleName
)

// Use and Unuse begin and end this node's work with a plugin; Excluding is in the middle of a purge.
func (h *Host) Use(ctx context.Context, name string) error   { return h.uses.begin(ctx, name) }
func (h *Host) Unuse(ctx context.Context, name string) error { return h.uses.end(ctx, name) }
func (h *Host) Excluding(ctx context.Context, name string, f func()) error {
	done, err := h.uses.exclude(ctx, name)
	if err == nil {
		f()
		done()
	}
	return err
}

// EndTransactions looks once at what plugins hold open, and says how many connections were ended.
func (h *Host) EndTransactions(ctx context.Context, most, idle time.Duration) (int, error) {
	ended, err := h.storages.endTransactions(ctx, h.uses.held(), most, idle)
	return len(ended), err
}

func AllowedCookie(line, plugin string) bool {
	_, ok := allowedCookie(line, plugin)
	return ok
}

// AnswerHead is what is left of a head of a plugin's answer to a browser that has some cookies.
func AnswerHead(plugin string, cookies []string, in ...*pluginv1.Header) (http.Header, []string, error) {
	out, err := answerHead{plugin, cookies}.read(in)
	return out.headers, out.refused, err
}

// Settle holds a manifest against its block, as a start does.
func Settle(b config.Plugin, r *pluginv1.DescribeResponse) config.Diagnostics {
	m, _, err := checkManifest(r)
	if err != nil {
		return config.Diagnostics{errorAt(b, b.Range, "Plugin did not start", err.Error())}
	}
	_, diags := settleGrants(b, m)
	return diags
}

// RightsOf is everything that a manifest asks for.
func RightsOf(r *pluginv1.DescribeResponse) []string { return (&manifest{r}).rights() }

// Shares is what lets questions of plugins in.
func Shares() func(ctx context.Context, plugin, method string, question any) (func(any), error) {
	s := newShares()
	return func(ctx context.Context, plugin, method string, question any) (func(any), error) {
		return s.of(plugin).enter(ctx, method, question)
	}
}
