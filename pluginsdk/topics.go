package pluginsdk

import (
	"context"
	"errors"
	"time"

	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
)

// Topics tells the plugin's processes on all nodes that something has changed. Grant: topics.use
type Topics struct{ h *Host }

// Change is one message of a topic.
type Change struct {
	Payload string
	// Reread says that something may have been missed: at the beginning, and after the connection was lost. Read the
	// state itself.
	Reread bool
}

// Notify tells everybody who watches a topic, this process too. The payload has at most 1 KiB.
func (t Topics) Notify(ctx context.Context, topic, payload string) error {
	_, err := call(ctx, t.h, TopicsUse, "notify", hostv1.NewTopicsClient, hostv1.TopicsClient.Notify,
		&hostv1.NotifyRequest{Topic: topic, Payload: payload})
	return err
}

// Watch calls f for each change, one at a time, until ctx ends; it connects again by itself. Without the grant it
// returns that at once.
func (t Topics) Watch(ctx context.Context, topic string, f func(ctx context.Context, c Change)) error {
	wait := watchAgain
	for {
		heard, err := t.watch(ctx, topic, f)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var missing *NotGrantedError
		if errors.As(err, &missing) || IsPermanent(err) {
			return err
		}
		if heard {
			wait = watchAgain
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		wait = min(2*wait, 30*time.Second)
	}
}

// watchAgain is how soon a lost watch is taken up again.
const watchAgain = 200 * time.Millisecond

func (t Topics) watch(ctx context.Context, topic string, f func(context.Context, Change)) (heard bool, err error) {
	conn := t.h.conn.Load()
	if conn == nil {
		return false, t.h.notGranted(TopicsUse)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := hostv1.NewTopicsClient(conn).Watch(ctx, &hostv1.WatchRequest{Topic: topic})
	if err != nil {
		return false, t.h.fromStatus("watch", TopicsUse, err)
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return heard, t.h.fromStatus("watch", TopicsUse, err)
		}
		heard = true
		f(ctx, Change{Payload: m.GetPayload(), Reread: m.GetReread()})
	}
}
