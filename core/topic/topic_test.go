package topic_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store/storetest"
	"github.com/sigra-auth/sigra/core/topic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is one Sigra with a watcher.
type node struct {
	*topic.Store
	heard chan topic.Change
}

// newNode makes one that looks for notifications once look is closed; nil: from the beginning.
func newNode(t *testing.T, d storetest.Database, look chan struct{}) *node {
	t.Helper()
	s, err := topic.New(topic.Config{DB: storetest.Dial(t, d.URL), Poll: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	n := &node{Store: s, heard: make(chan topic.Change, 1000)}
	var wg sync.WaitGroup
	wg.Go(func() {
		if look != nil {
			<-look
		}
		_ = s.Run(ctx)
	})
	wg.Go(func() {
		err := s.Watch(ctx, "plugin/a", "rules", func(c topic.Change) error {
			n.heard <- c
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("watch ended: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		wg.Wait()
	})
	if c := n.next(t); !c.Reread {
		t.Errorf("at the beginning: %+v", c)
	}
	return n
}

func (n *node) next(t *testing.T) topic.Change {
	t.Helper()
	select {
	case c := <-n.heard:
		return c
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was heard")
		return topic.Change{}
	}
}

func TestTopic_allNodesHear(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, topic.Migrations) {
		t.Run(d.Name, func(t *testing.T) {
			one, two := newNode(t, d, nil), newNode(t, d, nil)
			for i := range 5 {
				from := []*node{one, two}[i%2]
				if err := from.Notify(t.Context(), "plugin/a", "rules", fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
				for name, n := range map[string]*node{"one": one, "two": two} {
					if c := n.next(t); c.Reread || c.Payload != fmt.Sprint(i) {
						t.Errorf("node %s heard %+v of %d", name, c, i)
					}
				}
			}
			// Another topic, and one of that name in another space, are nobody's here.
			for space, name := range map[string]string{"plugin/a": "keys", "plugin/b": "rules"} {
				if err := one.Notify(t.Context(), space, name, "other"); err != nil {
					t.Fatal(err)
				}
			}
			if err := one.Notify(t.Context(), "plugin/a", "rules", "last"); err != nil {
				t.Fatal(err)
			}
			if c := two.next(t); c.Payload != "last" {
				t.Errorf("heard %+v", c)
			}
		})
	}
}

// Whoever was away while several came, from several nodes at once, hears of all of them at once, and of nothing twice.
func TestTopic_afterAGapToReread(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, topic.Migrations) {
		t.Run(d.Name, func(t *testing.T) {
			look := make(chan struct{})
			slow, other := newNode(t, d, look), newNode(t, d, nil)
			var wg sync.WaitGroup
			for i := range 10 {
				wg.Go(func() {
					if err := []*node{slow, other}[i%2].Notify(t.Context(), "plugin/a", "rules", fmt.Sprint(i)); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			close(look)
			if c := slow.next(t); !c.Reread {
				t.Errorf("after a gap: %+v", c)
			}
			if err := other.Notify(t.Context(), "plugin/a", "rules", "after"); err != nil {
				t.Fatal(err)
			}
			if c := slow.next(t); c.Reread || c.Payload != "after" {
				t.Errorf("after the gap: %+v", c)
			}
		})
	}
}

func TestTopic_limits(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, topic.Migrations) {
		t.Run(d.Name, func(t *testing.T) {
			s, err := topic.New(topic.Config{DB: storetest.Dial(t, d.URL)})
			if err != nil {
				t.Fatal(err)
			}
			for _, err := range []error{
				s.Notify(t.Context(), "a", "", ""), s.Notify(t.Context(), "a", strings.Repeat("x", topic.MaxName+1), ""),
				s.Watch(t.Context(), "a", "", func(topic.Change) error { return nil }),
			} {
				if fault.KindOf(err) != fault.Invalid {
					t.Errorf("%v", err)
				}
			}
			if err := s.Notify(t.Context(), "a", "x", strings.Repeat("x", topic.MaxPayload+1)); fault.KindOf(err) != fault.TooLarge {
				t.Errorf("%v", err)
			}
			for i := range topic.MaxTopics {
				if err := s.Notify(t.Context(), "a", fmt.Sprint(i), ""); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Notify(t.Context(), "a", "one more", ""); fault.KindOf(err) != fault.Conflict {
				t.Errorf("%v", err)
			}
			if err := s.Notify(t.Context(), "a", "0", ""); err != nil {
				t.Errorf("one that is there: %v", err)
			}
			// An end of the watcher's own making ends the watch.
			enough := errors.New("enough")
			if err := s.Watch(t.Context(), "a", "0", func(topic.Change) error { return enough }); !errors.Is(err, enough) {
				t.Errorf("%v", err)
			}
		})
	}
}
