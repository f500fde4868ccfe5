package pluginhost

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/topic"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// Claims are what plugins add for one principal and audience.
type Claims struct {
	Values map[string]map[string]any // by the plugin's own name
	Stale  []string                  // plugins that failed: their claims are left out
	// Revisions are of what the claims were made from, by the plugin's own name, where it gives one.
	Revisions map[string]string
	MaxAge    time.Duration // how long the values may be used; zero: this once
}

// ClaimsQuery says whose claims, and what for.
type ClaimsQuery struct {
	Who      principal.Principal
	Audience string   // "session_jwt", "forward_auth", "token"
	ClientID string   // of a token
	Scopes   []string // of a token
	Except   string   // a plugin that is not asked: the one that asks
}

// Claims asks every plugin that adds claims, all at once, unless it said a while ago what still holds.
func (h *Host) Claims(ctx context.Context, q ClaimsQuery) Claims {
	var asked []*plugin
	for _, p := range h.all() {
		if p.name != q.Except && p.offers(pluginv1.Claims_ServiceDesc.ServiceName) {
			asked = append(asked, p)
		}
	}
	out := Claims{Values: map[string]map[string]any{}, Revisions: map[string]string{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	first := true
	for _, p := range asked {
		wg.Go(func() {
			got, err := h.claims.get(ctx, p.name, q, func() (claimed, error) { return askClaims(ctx, p, q) })
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				out.Stale = append(out.Stale, p.name)
				p.log.Warn("claims left out", "error", err)
				return
			}
			out.Values[got.name] = got.values
			if got.revision != "" {
				out.Revisions[got.name] = got.revision
			}
			if age := got.left(h.now()); first || age < out.MaxAge {
				out.MaxAge, first = age, false
			}
		})
	}
	wg.Wait()
	slices.Sort(out.Stale)
	return out
}

// claimed is what one plugin said.
type claimed struct {
	name     string // the plugin's own
	values   map[string]any
	revision string
	until    time.Time // it may be used again until then
}

// left is how long it may be used still.
func (c claimed) left(now time.Time) time.Duration { return max(c.until.Sub(now), 0) }

// askClaims asks one plugin.
func askClaims(ctx context.Context, p *plugin, q ClaimsQuery) (out claimed, err error) {
	err = p.call(ctx, pluginv1.Claims_ServiceDesc.ServiceName, claimTimeout, func(ctx context.Context, in *instance) error {
		asked := p.host.now()
		resp, err := pluginv1.NewClaimsClient(in.conn).Claims(ctx, &pluginv1.ClaimsRequest{
			Principal: p.host.principalTo(&q.Who), Audience: q.Audience, ClientId: q.ClientID, Scopes: q.Scopes, Request: requestTo(request.From(ctx)),
		})
		if err != nil {
			return err
		}
		out = claimed{
			name: in.manifest.GetName(), revision: printable(clip(resp.GetRevision(), 64)), values: map[string]any{},
			until: asked.Add(min(max(resp.GetMaxAge().AsDuration(), 0), maxClaimAge)),
		}
		for k, v := range resp.GetClaims().AsMap() {
			if slices.Contains(in.manifest.GetClaims(), k) { // what it said it may add, and nothing else
				out.values[k] = v
				continue
			}
			p.host.metrics.answers.WithLabelValues(p.name, "claim").Inc()
		}
		return nil
	})
	return out, err
}

const (
	maxClaimAge = time.Hour // that an answer is used again
	maxClaims   = 10_000    // answers that are kept of one plugin
)

// The topic on which all nodes hear whose claims are to be asked anew; its payload is "plugin", a space and a user's id, or nothing for all.
const (
	claimSpace = "sigra"
	claimTopic = "claims"
)

// claimCache keeps what plugins said, as long as they allow. What is invalidated while the answer is on its way is not kept.
type claimCache struct {
	mu      sync.Mutex
	now     func() time.Time
	plugins map[string]*keptClaims // by the label of the block
}

type keptClaims struct {
	turn int64 // grows with each invalidation
	all  map[string]keptClaim
}

type keptClaim struct {
	claimed
	user uuid.UUID
}

// keep begins to hear what other nodes invalidate.
func (c *claimCache) keep(h *Host) {
	c.now, c.plugins = h.now, map[string]*keptClaims{}
	if h.cfg.Topics == nil {
		return
	}
	h.wg.Go(func() {
		for h.ctx.Err() == nil {
			err := h.cfg.Topics.Watch(h.ctx, claimSpace, claimTopic, func(t topic.Change) error {
				if t.Reread {
					c.clear()
					return nil
				}
				plugin, user, _ := strings.Cut(t.Payload, " ")
				id, _ := uuid.Parse(user)
				c.drop(plugin, id)
				return nil
			})
			if h.ctx.Err() != nil {
				return
			}
			h.log.Warn("invalidated claims not heard of, will try again", "error", err)
			select {
			case <-h.ctx.Done():
			case <-time.After(time.Second):
			}
		}
	})
}

// claimKey is all that an answer may depend on: who, as what, and for whom.
func claimKey(q ClaimsQuery, language string) string {
	p := q.Who
	return fmt.Sprintf("%s %s %s %s %q %v %v %s %q %q %q %d %q %q %q %q %q", p.Kind, p.UserID, p.SessionID, p.OrganizationID, p.Role, p.Owner, p.Administrator, p.ImpersonatorID,
		p.AAL+" "+strings.Join(p.AMR, " "), p.Email, p.Display, p.AuthTime.UnixMicro(), p.Scopes, q.Audience, q.ClientID, q.Scopes, language)
}

// get gives what is kept, or asks.
func (c *claimCache) get(ctx context.Context, plugin string, q ClaimsQuery, ask func() (claimed, error)) (claimed, error) {
	key := claimKey(q, request.From(ctx).Language)
	c.mu.Lock()
	p := c.of(plugin)
	turn := p.turn
	if have, ok := p.all[key]; ok && c.now().Before(have.until) {
		c.mu.Unlock()
		return have.claimed, nil
	}
	c.mu.Unlock()
	got, err := ask()
	if err != nil || !c.now().Before(got.until) {
		return got, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p = c.of(plugin); p.turn != turn {
		return got, nil
	}
	if len(p.all) >= maxClaims {
		now := c.now()
		maps.DeleteFunc(p.all, func(_ string, k keptClaim) bool { return !now.Before(k.until) })
		if len(p.all) >= maxClaims {
			clear(p.all)
		}
	}
	p.all[key] = keptClaim{got, q.Who.UserID}
	return got, nil
}

// of is what is kept of a plugin; c.mu is held.
func (c *claimCache) of(plugin string) *keptClaims {
	p := c.plugins[plugin]
	if p == nil {
		p = &keptClaims{all: map[string]keptClaim{}}
		c.plugins[plugin] = p
	}
	return p
}

// drop forgets what a plugin said of a user, or of everybody.
func (c *claimCache) drop(plugin string, user uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.of(plugin)
	p.turn++
	maps.DeleteFunc(p.all, func(_ string, k keptClaim) bool { return user == uuid.Nil || k.user == user })
}

// clear forgets everything.
func (c *claimCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.plugins {
		p.turn++
		clear(p.all)
	}
}

// ---- the host service ----------------------------------------------------------------------------------------

type claimsService struct {
	hostv1.UnimplementedClaimsServer
	*hostServices
}

// Collect asks the other plugins what they say of a session, or of an account that is live.
func (s claimsService) Collect(ctx context.Context, r *hostv1.CollectClaimsRequest) (*hostv1.CollectClaimsResponse, error) {
	q := ClaimsQuery{Audience: orElse(printable(clip(r.GetAudience(), 64)), "token"), ClientID: clip(r.GetClientId(), 255), Scopes: r.GetScopes(), Except: s.name()}
	switch w := r.GetWho().(type) {
	case *hostv1.CollectClaimsRequest_SessionId:
		p, err := s.find(ctx, w.SessionId)
		if err != nil {
			return nil, err
		}
		if p == nil {
			return nil, fault.New(fault.NotFound, "session_not_found", "There is no such session.").At("session_id")
		}
		q.Who = *p
	case *hostv1.CollectClaimsRequest_UserId:
		id, err := idFrom(w.UserId, "user_id")
		if err != nil {
			return nil, err
		}
		if s.h.cfg.Accounts == nil {
			return nil, missing("accounts")
		}
		found, err := s.h.cfg.Accounts.GetMany(ctx, []uuid.UUID{id})
		if err != nil {
			return nil, err
		}
		if len(found) != 1 || !found[0].Status.Live() {
			return nil, fault.New(fault.NotFound, "account_not_found", "There is no such account.").At("user_id")
		}
		a := found[0]
		q.Who = principal.Principal{Kind: principal.User, UserID: a.ID, Email: a.Email, Display: a.Name(), Administrator: a.Administrator}
	default:
		return nil, fault.New(fault.Invalid, "invalid_query", "Whose claims?").At("who")
	}
	got := s.h.Claims(ctx, q)
	all := map[string]any{}
	for name, values := range got.Values {
		if len(values) > 0 {
			all[name] = values
		}
	}
	out := &hostv1.CollectClaimsResponse{Stale: got.Stale, Revisions: got.Revisions}
	if got.MaxAge > 0 {
		out.MaxAge = durationpb.New(got.MaxAge)
	}
	var err error
	out.Claims, err = structTo(all)
	return out, err
}

// Invalidate forgets what this plugin said, on all nodes; here at once.
func (s claimsService) Invalidate(ctx context.Context, r *hostv1.InvalidateClaimsRequest) (*hostv1.InvalidateClaimsResponse, error) {
	id, err := idFrom(r.GetUserId(), "user_id")
	if err != nil {
		return nil, err
	}
	if s.h.cfg.Topics == nil {
		return nil, missing("topics")
	}
	s.h.claims.drop(s.name(), id)
	return &hostv1.InvalidateClaimsResponse{}, s.h.cfg.Topics.Notify(ctx, claimSpace, claimTopic, strings.TrimSpace(s.name()+" "+idText(id)))
}
