package part

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/sigra-auth/sigra/core/store"
)

// cleanEvery is how far apart two cleanings are on the average; nodes that started together drift apart.
const cleanEvery = 10 * time.Minute

// Set holds the open parts. Until Open has returned it is nobody else's; then it is safe for concurrent use.
type Set[C any] struct {
	log  hclog.Logger
	open []opened[C]
	// sealed are the columns of all parts, open or not.
	sealed []SealedColumn
}

type opened[C any] struct {
	name string
	Hooks[C]
}

// NewSet makes an empty Set; a nil log is silent. It is made before the parts, so that one of them can be given it.
func NewSet[C any](log hclog.Logger) *Set[C] {
	if log == nil {
		log = hclog.NewNullLogger()
	}
	return &Set[C]{log: log}
}

// Open opens parts in order. What was open when one of them fails is left for Close.
func Open[H, C any](ctx context.Context, s *Set[C], house H, parts []Part[H, C]) error {
	if err := check(parts); err != nil {
		return err
	}
	for _, p := range parts {
		s.sealed = append(s.sealed, p.Schema.Sealed...)
	}
	for _, p := range parts {
		var h Hooks[C]
		if p.Open != nil {
			var err error
			if h, err = p.Open(ctx, house); err != nil {
				return err
			}
		}
		s.open = append(s.open, opened[C]{p.Name, h})
		if len(p.Schema.Personal) > 0 && (h.Export == nil || h.Erase == nil) {
			return fmt.Errorf("part %q: it has the tables %q about people, so it needs an Export and an Erase", p.Name, p.Schema.Personal)
		}
	}
	return nil
}

// Sealed lists the sealed columns of all parts.
func (s *Set[C]) Sealed() []SealedColumn { return s.sealed }

// Run runs what works in the background, and the cleaning, until ctx ends. The first part that fails ends the others.
func (s *Set[C]) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range s.open {
		if p.Run == nil {
			continue
		}
		g.Go(func() error {
			if err := p.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			return nil
		})
	}
	g.Go(func() error {
		for {
			t := time.NewTimer(cleanEvery/2 + rand.N(cleanEvery))
			select {
			case <-ctx.Done():
				t.Stop()
				return nil
			case <-t.C:
				s.Clean(ctx)
			}
		}
	})
	return g.Wait()
}

// Clean has each part delete what is past its end. One that can't is tried again the next time and keeps none of the others from it.
func (s *Set[C]) Clean(ctx context.Context) {
	for _, p := range s.open {
		if p.Clean == nil {
			continue
		}
		if n, err := p.Clean(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("expired rows not deleted, will try again", "part", p.name, "error", err)
		} else if n > 0 {
			s.log.Debug("expired rows deleted", "part", p.name, "rows", n)
		}
	}
}

// Failure is what one part could not do.
type Failure struct {
	Part string
	Err  error
}

// Reload puts a configuration into effect in every part, and gives back those that kept what they had.
func (s *Set[C]) Reload(next C) []Failure {
	var out []Failure
	for _, p := range s.open {
		if p.Reload == nil {
			continue
		}
		if err := p.Reload(next); err != nil {
			out = append(out, Failure{p.name, err})
		}
	}
	return out
}

// Export gives what all parts hold about a person, by the parts' names.
func (s *Set[C]) Export(ctx context.Context, q store.Querier, who Subject) (map[string]any, error) {
	out := map[string]any{}
	for _, p := range s.open {
		if p.Export == nil {
			continue
		}
		v, err := p.Export(ctx, q, who)
		if err != nil {
			return nil, fmt.Errorf("export %s: %w", p.name, err)
		}
		if v != nil {
			out[p.name] = v
		}
	}
	return out, nil
}

// Erase has all parts forget a person, in the caller's transaction, and names them. The last to open is the first to forget: what
// refers to an account goes before the account.
func (s *Set[C]) Erase(ctx context.Context, tx *store.Tx, who Subject) ([]string, error) {
	names := []string{}
	for i := len(s.open) - 1; i >= 0; i-- {
		p := s.open[i]
		if p.Erase == nil {
			continue
		}
		if err := p.Erase(ctx, tx, who); err != nil {
			return nil, fmt.Errorf("erase %s: %w", p.name, err)
		}
		names = append(names, p.name)
	}
	return names, nil
}

// Close closes the parts, the last to open first.
func (s *Set[C]) Close() error {
	var errs []error
	for i := len(s.open) - 1; i >= 0; i-- {
		if p := s.open[i]; p.Close != nil {
			if err := p.Close(); err != nil {
				errs = append(errs, fmt.Errorf("close %s: %w", p.name, err))
			}
		}
	}
	s.open = nil
	return errors.Join(errs...)
}
