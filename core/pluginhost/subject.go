package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/sigra-auth/sigra/core/erasure"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// Erasures are what plugins have yet to remove of deleted people; core/erasure keeps them.
type Erasures interface {
	// Due takes up what is due, for this node alone.
	Due(ctx context.Context) ([]erasure.Task, error)
	// Done ends a task; asked says that the plugin removed something.
	Done(ctx context.Context, t erasure.Task, asked bool) error
	// Nudged says that there is something new.
	Nudged() <-chan struct{}
	// Forget drops the tasks of a plugin whose data are gone.
	Forget(ctx context.Context, plugin string) error
}

const (
	eraseEvery    = 10 * time.Second
	eraseTimeout  = time.Minute
	exportTimeout = time.Minute
	maxExport     = 64 << 20 // bytes of what one plugin holds of one person
)

// Subjects has plugins export and remove what they hold of people.
type Subjects struct{ h *Host }

// Subjects is what asks the plugins for what they hold of people.
func (h *Host) Subjects() Subjects { return Subjects{h} }

// RunErasures has plugins remove what they hold of deleted people, until ctx ends. Any number of nodes may run it.
func (s Subjects) RunErasures(ctx context.Context) error {
	if s.h.cfg.Erasures == nil {
		return nil
	}
	tick := time.NewTicker(eraseEvery)
	defer tick.Stop()
	for {
		if err := s.Erase(ctx); err != nil && ctx.Err() == nil {
			s.h.log.Warn("erasures not taken up, will try again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.h.cfg.Erasures.Nudged():
		case <-tick.C:
		}
	}
}

// Erase does once what RunErasures does again and again.
func (s Subjects) Erase(ctx context.Context) error {
	due, err := s.h.cfg.Erasures.Due(ctx)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	byPlugin := map[string][]erasure.Task{}
	for _, t := range due {
		byPlugin[t.Plugin] = append(byPlugin[t.Plugin], t)
	}
	for _, tasks := range byPlugin { // one that is slow holds up no other
		wg.Go(func() {
			for _, t := range tasks {
				s.erase(ctx, t)
			}
		})
	}
	wg.Wait()
	return nil
}

func (s Subjects) erase(ctx context.Context, t erasure.Task) {
	p := s.h.lookup(t.Plugin)
	if p == nil {
		return // it may come back; `sigra plugin purge` ends the waiting
	}
	p.mu.Lock()
	known, enabled := p.manifest != nil, p.block.Enabled
	p.mu.Unlock()
	if !known || !enabled {
		return
	}
	asked := p.offers(pluginv1.Subject_ServiceDesc.ServiceName)
	if asked {
		err := p.call(ctx, pluginv1.Subject_ServiceDesc.ServiceName, eraseTimeout, func(ctx context.Context, in *instance) error {
			_, err := pluginv1.NewSubjectClient(in.conn).Erase(ctx, &pluginv1.EraseRequest{UserId: t.UserID.String(), Email: t.Email})
			return err
		})
		if err != nil {
			p.log.Warn("what the plugin holds of a deleted account is not removed yet, will try again", "user_id", t.UserID, "tries", t.Tries+1, "since", t.Created, "error", err)
			return
		}
	}
	if err := s.h.cfg.Erasures.Done(ctx, t, asked); err != nil && ctx.Err() == nil {
		p.log.Warn("erasure not noted, the plugin will be asked again", "user_id", t.UserID, "error", err)
	}
}

// Export gives what plugins hold of a person, by the names of their blocks; missing names those that should have answered and did not.
func (s Subjects) Export(ctx context.Context, userID uuid.UUID, email string) (data map[string]json.RawMessage, missing []string) {
	data = map[string]json.RawMessage{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, p := range s.h.all() {
		if b := p.getBlock(); !b.Enabled || !p.offers(pluginv1.Subject_ServiceDesc.ServiceName) && p.known() {
			continue
		}
		wg.Go(func() {
			held, err := export(ctx, p, userID, email)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				p.log.Warn("what the plugin holds of a person is not exported", "user_id", userID, "error", err)
				missing = append(missing, p.name)
			case len(held) > 0 && string(held) != "null":
				data[p.name] = held
			}
		})
	}
	wg.Wait()
	return data, missing
}

// known reports whether the plugin has ever said what it is.
func (p *plugin) known() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.manifest != nil
}

func export(ctx context.Context, p *plugin, userID uuid.UUID, email string) (json.RawMessage, error) {
	s := p.seams[pluginv1.Subject_ServiceDesc.ServiceName]
	var held []byte
	err := p.call(ctx, pluginv1.Subject_ServiceDesc.ServiceName, exportTimeout, func(ctx context.Context, in *instance) error {
		held = nil
		stream, err := pluginv1.NewSubjectClient(in.conn).Export(ctx, &pluginv1.ExportRequest{UserId: userID.String(), Email: email})
		if err != nil {
			return err
		}
		for {
			r, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if len(held)+len(r.GetJson()) > maxExport {
				return p.fail(s, codes.Internal, "it holds more of one person than can be exported")
			}
			held = append(held, r.GetJson()...)
		}
		if len(held) > 0 && !json.Valid(held) {
			return p.fail(s, codes.Internal, "what it exports is no JSON")
		}
		return nil
	})
	return held, err
}
