package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

const (
	leaseName    = "mail.dispatcher"
	leaseTTL     = 2*sendTimeout + 10*time.Second
	poll         = time.Second      // how soon a node notices what another one queued
	sendTimeout  = 30 * time.Second // for one message
	stopGrace    = 5 * time.Second  // for messages being handed over when the process stops
	batch        = 32
	atOnce       = 4 // of Sigra's own
	behind       = 2 // of plugins'
	maxUncertain = 3
	keepSettled  = 7 * 24 * time.Hour // the row without its payload
	reportGrace  = time.Minute        // how long after its deadline the report on a message may come
	firstBackOff = 5 * time.Second
	maxBackOff   = 15 * time.Minute
)

// Run sends what is queued until ctx ends, then lets what is being handed over end (5 s at most) and returns. Any number of
// nodes may run it.
func (q *Queue) Run(ctx context.Context) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	purge := time.NewTicker(time.Hour)
	defer purge.Stop()
	// A message that a server takes its time with holds up as many others as one place is, and no more; one of a plugin's none of Sigra's.
	places, pluginPlaces := make(chan struct{}, atOnce), make(chan struct{}, behind)
	var sending sync.WaitGroup
	send := func(m dueMail) bool {
		taken := places
		if m.lane == own {
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
				return false
			}
		} else {
			taken = pluginPlaces
			select {
			case pluginPlaces <- struct{}{}:
			default:
				return false // looked for again when one of them is done
			}
		}
		sending.Go(func() {
			defer func() {
				<-taken
				if m.lane != own {
					q.nudge()
				}
			}()
			if err := q.attempt(ctx, m.id); err != nil {
				q.log.Warn("the outcome of a mail can't be noted; it counts as unknown", "id", m.id, "error", err)
			}
		})
		return true
	}
	for {
		n, err := q.start(ctx, send)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			q.log.Warn("mail queue can't be worked on, will try again", "error", err)
		}
		if n == batch && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-tick.C:
		case <-purge.C:
			if _, err := q.Purge(ctx); err != nil && ctx.Err() == nil {
				q.log.Warn("settled mail not purged, will try again", "error", err)
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	sending.Wait()
	if q.leases == nil {
		return nil
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return q.leases.Release(last, leaseName)
}

// Dispatch tries what is due now, one batch at most, and returns how many messages it tried; none when
// another node is at it.
func (q *Queue) Dispatch(ctx context.Context) (int, error) {
	q.running.Lock()
	defer q.running.Unlock()
	var g errgroup.Group
	g.SetLimit(atOnce)
	n, err := q.start(ctx, func(m dueMail) bool {
		g.Go(func() error { return q.attempt(ctx, m.id) })
		return true
	})
	return n, errors.Join(err, g.Wait())
}

// start has what is due sent, one batch at most, where no other node is at it. Something may be due and being sent already: whoever claims it sends it.
func (q *Queue) start(ctx context.Context, send func(m dueMail) bool) (n int, err error) {
	due, err := q.due(ctx)
	if err != nil || len(due) == 0 {
		return 0, err // an idle queue costs one read, no lease and no write
	}
	if q.leases != nil {
		held, _, err := q.leases.Acquire(ctx, leaseName, leaseTTL)
		if err != nil || !held {
			return 0, err
		}
	}
	for _, m := range due {
		if ctx.Err() != nil || !send(m) {
			break
		}
		n++
	}
	return n, nil
}

// The lanes. What a plugin sends never goes before Sigra's own: somebody waits for a code.
const (
	own     = 0
	plugins = 1
)

func laneOf(m Message) int {
	if m.Category == Other {
		return plugins
	}
	return own
}

// dueMail is a message to be tried.
type dueMail struct {
	id   uuid.UUID
	lane int
}

func (q *Queue) due(ctx context.Context) ([]dueMail, error) {
	// A message that a mailer owns is due when that mailer is no longer the one that sends, and when its report is overdue.
	rows, err := q.db.Query(ctx, `SELECT id, lane FROM mail_queue WHERE state IN ('queued', 'sending', 'accepted') AND (next_at <= $1 OR state = 'accepted' AND mailer <> $2)
		ORDER BY lane, next_at LIMIT $3`, q.now(), q.owner(), batch)
	if err != nil {
		return nil, fmt.Errorf("read mail queue: %w", err)
	}
	defer rows.Close()
	var out []dueMail
	for rows.Next() {
		var m dueMail
		if err := rows.Scan(&m.id, &m.lane); err != nil {
			return nil, fmt.Errorf("read mail queue: %w", err)
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

type claimed struct {
	id        uuid.UUID
	purpose   string
	payload   []byte
	attempts  int
	uncertain int
	duplicate bool
	decoy     bool
	deadline  time.Time
	owner     string // who had accepted it and did not report
}

// claim takes a due message, or reports false when somebody else has it. A message that was being sent by a process
// that never came back counts as uncertain.
func (q *Queue) claim(ctx context.Context, id uuid.UUID) (c claimed, ok bool, err error) {
	now := q.now()
	err = q.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		c, ok = claimed{id: id}, false
		err := tx.QueryRow(ctx, `UPDATE mail_queue SET attempts = attempts + 1, next_at = $3,
				possible_duplicate = possible_duplicate OR state <> 'queued',
				uncertain = uncertain + CASE WHEN state = 'sending' THEN 1 ELSE 0 END,
				state = 'sending'
			WHERE id = $1 AND state IN ('queued', 'sending', 'accepted') AND (next_at <= $2 OR state = 'accepted' AND mailer <> $4)
			RETURNING purpose, payload, attempts, uncertain, possible_duplicate, decoy, deadline, mailer`, id, now, now.Add(sendTimeout+2*stopGrace), q.owner()).
			Scan(&c.purpose, &c.payload, &c.attempts, &c.uncertain, &c.duplicate, &c.decoy, &c.deadline, &c.owner)
		if errors.Is(err, store.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		ok = true
		if owner := q.owner(); owner != c.owner { // whose report may come before it is noted as accepted
			_, err = tx.Exec(ctx, `UPDATE mail_queue SET mailer = $2 WHERE id = $1`, id, owner)
		}
		return err
	})
	if err != nil {
		return claimed{}, false, fmt.Errorf("claim mail: %w", err)
	}
	return c, ok, nil
}

func (q *Queue) attempt(ctx context.Context, id uuid.UUID) error {
	c, ok, err := q.claim(ctx, id)
	if err != nil || !ok {
		return err
	}
	// From here on the row says "sending": note the outcome even when the process is being stopped.
	note := context.WithoutCancel(ctx)
	switch {
	case c.decoy:
		return q.settle(note, c, "withheld", "")
	case c.uncertain >= maxUncertain:
		return q.settle(note, c, "uncertain", "the outcome of three attempts is unknown")
	case !q.now().Before(c.deadline) && c.owner != "":
		return q.settle(note, c, "uncertain", "the mailer never reported what became of it")
	case !q.now().Before(c.deadline):
		return q.settle(note, c, "expired", "the deadline passed")
	}
	plain, _, err := q.keys.Open(c.payload, Sealed.Purpose(id))
	var m Message
	if err == nil {
		err = json.Unmarshal(plain, &m)
	}
	if err != nil {
		q.log.Error("queued mail can't be read", "id", id, "purpose", c.purpose, "error", err)
		return q.settle(note, c, "failed", "the stored message can't be read")
	}
	m.PossibleDuplicate = c.duplicate
	mailer := q.Mailer()
	err = q.hand(ctx, mailer, c, m)
	if o, ok := mailer.(Owner); ok && err == nil && o.Owns() != "" {
		return q.accept(note, c, o.Owns())
	}
	return q.outcome(note, c, err)
}

// hand gives the message to the mailer, with a deadline, and with a little time left when the process is stopped.
func (q *Queue) hand(ctx context.Context, mailer Mailer, c claimed, m Message) error {
	send, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(sendTimeout, c.deadline.Sub(q.now())))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		t := time.NewTimer(stopGrace)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-send.Done():
		}
	})()
	return mailer.Send(send, m)
}

// Deliverer is a Mailer that can say what the other system answered.
type Deliverer interface {
	// Deliver is Send, with the answer.
	Deliver(ctx context.Context, m Message) (answer string, err error)
}

// Try hands a message to the mailer at once, past the queue, and returns what it answered: for an administrator who wants to know whether
// mail works. The message is neither kept nor sent again.
func (q *Queue) Try(ctx context.Context, m Message) (answer string, err error) {
	if m.ID == uuid.Nil {
		if m.ID, err = uuid.NewV7(); err != nil {
			return "", err
		}
	}
	if m.From.Address == "" {
		m.From = q.from
	}
	if m.Deadline.IsZero() {
		m.Deadline = q.now().Add(sendTimeout)
	}
	if err := m.Check(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	mailer := q.Mailer()
	if d, ok := mailer.(Deliverer); ok {
		return d.Deliver(ctx, m)
	}
	return "", mailer.Send(ctx, m)
}

// outcome writes down how an attempt ended. The error text of a mailer may name the recipient, so it is cut to its code.
func (q *Queue) outcome(ctx context.Context, c claimed, err error) error {
	if err == nil {
		return q.settle(ctx, c, "sent", "")
	}
	f := fault.From(err)
	switch f.Kind {
	case fault.Invalid, fault.Denied, fault.NotFound, fault.TooLarge:
		q.log.Warn("mail refused for good", "id", c.id, "purpose", c.purpose, "code", f.Code)
		return q.settle(ctx, c, "failed", f.Code)
	case fault.Unavailable, fault.RateLimited:
		next := q.now().Add(max(backOff(c.attempts), f.RetryAfter))
		if !next.Before(c.deadline) {
			return q.settle(ctx, c, "expired", f.Code)
		}
		q.observe(c.purpose, "retry")
		return q.requeue(ctx, c, next, f.Code, false)
	}
	if c.uncertain+1 >= maxUncertain {
		q.log.Error("mail given up: nobody knows whether it went out", "id", c.id, "purpose", c.purpose)
		return q.settle(ctx, c, "uncertain", f.Code)
	}
	next := q.now().Add(backOff(c.attempts))
	if !next.Before(c.deadline) {
		return q.settle(ctx, c, "uncertain", f.Code)
	}
	q.log.Warn("mail may have gone out, will be sent again marked as a possible duplicate", "id", c.id, "purpose", c.purpose, "error", err)
	q.observe(c.purpose, "retry")
	return q.requeue(ctx, c, next, f.Code, true)
}

func (q *Queue) requeue(ctx context.Context, c claimed, next time.Time, why string, uncertain bool) error {
	err := q.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE mail_queue SET state = 'queued', next_at = $3, last_error = $4, mailer = '',
				possible_duplicate = possible_duplicate OR $5, uncertain = uncertain + CASE WHEN $5 THEN 1 ELSE 0 END
			WHERE id = $1 AND state = 'sending' AND attempts = $2`, c.id, c.attempts, next, why, uncertain)
		return err
	})
	if err != nil {
		return fmt.Errorf("requeue mail: %w", err)
	}
	return nil
}

// accept notes who owns a message from now on. It keeps what it says until that one has reported, or until it can't be sent any
// more and a report is overdue.
func (q *Queue) accept(ctx context.Context, c claimed, owner string) error {
	err := q.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE mail_queue SET state = 'accepted', mailer = $3, next_at = $4, last_error = '' WHERE id = $1 AND state = 'sending' AND attempts = $2`,
			c.id, c.attempts, owner, c.deadline.Add(reportGrace))
		return err
	})
	if err != nil {
		return fmt.Errorf("note accepted mail: %w", err)
	}
	q.observe(c.purpose, "accepted")
	return nil
}

// settle ends a message and erases what it said.
func (q *Queue) settle(ctx context.Context, c claimed, state, why string) error {
	err := q.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE mail_queue SET state = $3, payload = NULL, last_error = $4, settled_at = $5
			WHERE id = $1 AND state = 'sending' AND attempts = $2`, c.id, c.attempts, state, why, q.now())
		return err
	})
	if err != nil {
		return fmt.Errorf("settle mail: %w", err)
	}
	q.observe(c.purpose, state)
	return nil
}

// backOff doubles from 5 s to 15 min, with jitter so that a server that comes back is not met by everything at once.
func backOff(attempts int) time.Duration {
	d := firstBackOff << min(max(attempts-1, 0), 10)
	d = min(d, maxBackOff)
	return d/2 + rand.N(d/2+1)
}

// Purge deletes what was settled a week ago, and returns how many rows that was.
func (q *Queue) Purge(ctx context.Context) (n int64, err error) {
	err = q.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		n, err = tx.Exec(ctx, `DELETE FROM mail_queue WHERE settled_at IS NOT NULL AND settled_at < $1`, q.now().Add(-keepSettled))
		return err
	})
	return n, err
}

// Waiting counts the messages that have not been settled, and says since when the oldest of them waits (zero: none does). It reads
// nothing else, so that it may be asked often.
func (q *Queue) Waiting(ctx context.Context) (n int, oldest time.Time, err error) {
	var since *time.Time
	if err := q.db.QueryRow(ctx, `SELECT count(*), min(created_at) FROM mail_queue WHERE state IN ('queued', 'sending')`).Scan(&n, &since); err != nil {
		return 0, time.Time{}, fmt.Errorf("count waiting mail: %w", err)
	}
	if since != nil {
		oldest = *since
	}
	return n, oldest, nil
}

// Status is how the queue stands.
type Status struct {
	Queued, Sending, Accepted, Sent, Failed, Expired, Uncertain int
	Withheld                                                    int       // decoys
	Oldest                                                      time.Time // when the oldest message still waiting was queued; zero: none waits
}

// Status counts the queue, for metrics and the administrator.
func (q *Queue) Status(ctx context.Context) (Status, error) {
	rows, err := q.db.Query(ctx, `SELECT state, count(*), min(created_at) FROM mail_queue GROUP BY state`)
	if err != nil {
		return Status{}, fmt.Errorf("count mail: %w", err)
	}
	defer rows.Close()
	var st Status
	counts := map[string]*int{"queued": &st.Queued, "sending": &st.Sending, "accepted": &st.Accepted, "sent": &st.Sent, "failed": &st.Failed, "expired": &st.Expired, "uncertain": &st.Uncertain, "withheld": &st.Withheld}
	for rows.Next() {
		var state string
		var n int
		var oldest time.Time
		if err := rows.Scan(&state, &n, &oldest); err != nil {
			return Status{}, fmt.Errorf("count mail: %w", err)
		}
		if c := counts[state]; c != nil {
			*c = n
		}
		if (state == "queued" || state == "sending") && (st.Oldest.IsZero() || oldest.Before(st.Oldest)) {
			st.Oldest = oldest
		}
	}
	return st, rows.Err()
}
