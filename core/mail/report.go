package mail

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

// ReportEvent is what became of a message that a mailer had accepted.
type ReportEvent string

// The events.
const (
	Delivered  ReportEvent = "delivered"  // another system took it for good
	Bounced    ReportEvent = "bounced"    // it came back
	Complained ReportEvent = "complained" // its recipient calls it unwanted
	GaveUp     ReportEvent = "failed"     // the mailer has given up
)

// Report is what the owner of a message tells of it.
type Report struct {
	Mailer string    // as its Owns said
	ID     uuid.UUID // of the message
	Event  ReportEvent
	Reason string    // a code; empty: the event itself
	At     time.Time // when it happened; zero: now
}

// maxReason bounds the reason of a report, in bytes.
const maxReason = 120

// Report settles a message by what its owner tells, and reports whether there is such a message of that owner. A message that
// bounces after it was delivered counts as failed; one that failed stays so. A report may come before the message is noted as
// accepted.
func (q *Queue) Report(ctx context.Context, r Report) (known bool, err error) {
	state, why := "failed", r.Reason
	switch r.Event {
	case Delivered, Complained:
		state = "sent"
	case Bounced, GaveUp:
	default:
		return false, fmt.Errorf("mail report: unknown event %q", r.Event)
	}
	if why == "" && r.Event != Delivered {
		why = string(r.Event)
	}
	if len(why) > maxReason {
		why = why[:maxReason]
	}
	at := q.now()
	if !r.At.IsZero() && r.At.Before(at) {
		at = r.At.UTC().Truncate(time.Microsecond)
	}
	var purpose string
	var settled *time.Time
	err = q.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		known = false
		err := tx.QueryRow(ctx, `SELECT purpose, settled_at FROM mail_queue WHERE id = $1 AND mailer = $2 AND state IN ('sending', 'accepted', 'sent', 'failed', 'uncertain')`, r.ID, r.Mailer).
			Scan(&purpose, &settled)
		if errors.Is(err, store.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		known = true
		_, err = tx.Exec(ctx, `UPDATE mail_queue SET state = $3, payload = NULL, last_error = $4, settled_at = COALESCE(settled_at, $5)
			WHERE id = $1 AND mailer = $2 AND state IN ('sending', 'accepted', 'sent', 'uncertain')`, r.ID, r.Mailer, state, why, at)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("mail report: %w", err)
	}
	if known && settled == nil {
		q.observe(purpose, state)
	}
	return known, nil
}
