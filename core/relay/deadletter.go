package relay

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/commitlog"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

// MaxReplay is the most dead letters one Replay or Drop takes.
const MaxReplay = 500

// DeadLetter is a row that a sink refused for good. The row itself stays in its log.
type DeadLetter struct {
	Sink     string             `json:"sink"`
	ID       string             `json:"id"` // of the row
	Log      string             `json:"log"`
	Kind     string             `json:"kind"` // the row's action or the event's type
	Position commitlog.Position `json:"position"`
	Reason   string             `json:"reason"`
	Attempts int                `json:"attempts"`
	FailedAt time.Time          `json:"failed_at"`
}

const listDeadSQL = `SELECT sink, row_id, log, kind, era, tx, seq, reason, attempts, failed_at FROM relay_dead_letter
WHERE sink = $1 AND (era, tx, seq) > ($2, $3, $4) ORDER BY era, tx, seq LIMIT $5`

// DeadLetters lists a sink's dead letters after a position (zero: from the oldest), at most limit (0: 100) of them.
func (r *Relay) DeadLetters(ctx context.Context, sink string, after commitlog.Position, limit int) ([]DeadLetter, error) {
	if limit <= 0 || limit > MaxReplay {
		limit = 100
	}
	rows, err := r.cfg.DB.Query(ctx, listDeadSQL, sink, after.Era, after.Tx, after.Seq, limit)
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	defer rows.Close()
	var all []DeadLetter
	for rows.Next() {
		var d DeadLetter
		if err := rows.Scan(&d.Sink, &d.ID, &d.Log, &d.Kind, &d.Position.Era, &d.Position.Tx, &d.Position.Seq, &d.Reason, &d.Attempts, &d.FailedAt); err != nil {
			return nil, fmt.Errorf("list dead letters: %w", err)
		}
		d.FailedAt = d.FailedAt.UTC()
		all = append(all, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	return all, nil
}

// Replayed is what became of dead letters that were delivered again.
type Replayed struct {
	Replayed int       `json:"replayed"` // taken now, and no dead letters any more
	Missing  int       `json:"missing"`  // gone from the log by retention; they stay until dropped
	Failed   []Refusal `json:"failed,omitempty"`
}

// chosen gives the dead letters of a sink with these ids, or the oldest when no id is given.
func (r *Relay) chosen(ctx context.Context, sink string, ids []string) ([]string, error) {
	if len(ids) > MaxReplay {
		return nil, fault.Newf(fault.Invalid, "too_many_ids", "At most %d dead letters are taken at a time.", MaxReplay).At("ids")
	}
	if len(ids) == 0 {
		all, err := r.DeadLetters(ctx, sink, commitlog.Position{}, MaxReplay)
		for _, d := range all {
			ids = append(ids, d.ID)
		}
		return ids, err
	}
	var found []string
	for _, id := range ids {
		var one int
		err := r.cfg.DB.QueryRow(ctx, `SELECT 1 FROM relay_dead_letter WHERE sink = $1 AND row_id = $2`, sink, id).Scan(&one)
		switch {
		case err == store.ErrNoRows:
			return nil, fault.Newf(fault.NotFound, "dead_letter_not_found", "The sink %s has no dead letter %q.", sink, shorten(id, 200)).At("ids")
		case err != nil:
			return nil, fmt.Errorf("find dead letters: %w", err)
		}
		if !slices.Contains(found, id) {
			found = append(found, id)
		}
	}
	return found, nil
}

// Replay delivers dead letters to their sink once more: those named, or else the oldest 500. Those it takes are dead
// letters no longer; the others stay, with the new reason. actor is who asked. The sink must be attached on this node.
func (r *Relay) Replay(ctx context.Context, actor audit.Ref, sink string, ids ...string) (Replayed, error) {
	r.mu.Lock()
	s := r.sinks[sink]
	r.mu.Unlock()
	if s == nil {
		return Replayed{}, fault.Newf(fault.Conflict, "sink_not_attached", "The sink %s is not attached here, so nothing can be delivered to it.", sink)
	}
	ids, err := r.chosen(ctx, sink, ids)
	if err != nil || len(ids) == 0 {
		return Replayed{}, err
	}
	done, missing, failed, err := s.replay(ctx, ids)
	if err != nil {
		return Replayed{}, fault.Newf(fault.Unavailable, "sink_unavailable", "The sink %s did not take the rows: %s", sink, shorten(err.Error(), 300)).After(time.Second).Because(err)
	}
	out := Replayed{len(done), len(missing), failed}
	err = r.cfg.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, id := range done {
			if _, err := tx.Exec(ctx, dropDeadSQL, sink, id); err != nil {
				return err
			}
		}
		for _, f := range failed {
			if _, err := tx.Exec(ctx, `UPDATE relay_dead_letter SET reason = $3, attempts = attempts + 1, failed_at = $4 WHERE sink = $1 AND row_id = $2`,
				sink, f.ID, f.Reason, r.now()); err != nil {
				return err
			}
		}
		_, err := r.cfg.Audit.Record(ctx, tx, audit.Entry{
			Action: "admin.dead_letter.replay", Actor: actor, Targets: []audit.Ref{{Type: "sink", ID: sink}},
			Metadata: map[string]any{"sink": sink, "replayed": len(done), "failed": len(failed), "missing": len(missing)},
		})
		return err
	})
	if err != nil {
		return Replayed{}, fmt.Errorf("replay dead letters: %w", err)
	}
	return out, nil
}

const dropDeadSQL = `DELETE FROM relay_dead_letter WHERE sink = $1 AND row_id = $2`

// Drop throws dead letters away: those named, or else the oldest 500. It returns how many.
func (r *Relay) Drop(ctx context.Context, actor audit.Ref, sink string, ids ...string) (int, error) {
	ids, err := r.chosen(ctx, sink, ids)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	n := 0
	err = r.cfg.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		n = 0
		for _, id := range ids {
			gone, err := tx.Exec(ctx, dropDeadSQL, sink, id)
			if err != nil {
				return err
			}
			n += int(gone)
		}
		_, err := r.cfg.Audit.Record(ctx, tx, audit.Entry{
			Action: "admin.dead_letter.drop", Actor: actor, Targets: []audit.Ref{{Type: "sink", ID: sink}},
			Metadata: map[string]any{"sink": sink, "dropped": n},
		})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("drop dead letters: %w", err)
	}
	return n, nil
}

// replay delivers single rows of the log, out of order, beside what the runner does.
func (s *sink[T]) replay(ctx context.Context, ids []string) (done, missing []string, failed []Refusal, err error) {
	var batch []T
	for _, id := range ids {
		row, err := s.src.get(ctx, id)
		switch {
		case err == nil:
			batch = append(batch, row)
		case fault.KindOf(err) == fault.NotFound:
			missing = append(missing, id)
		default:
			return nil, nil, nil, err
		}
	}
	for len(batch) > 0 {
		n, bytes := 0, 0
		for n < len(batch) && (n == 0 || bytes+s.src.size(&batch[n]) <= s.r.cfg.BatchBytes) {
			bytes += s.src.size(&batch[n])
			n++
		}
		if err := s.again(ctx, batch[:n], &done, &failed); err != nil {
			return nil, nil, nil, err
		}
		batch = batch[n:]
	}
	return done, missing, failed, nil
}

// again delivers rows, one by one when together they are refused for good.
func (s *sink[T]) again(ctx context.Context, batch []T, done *[]string, failed *[]Refusal) error {
	began := time.Now()
	res, err := s.deliver(ctx, batch, nil)
	s.r.metrics.delivered(s.name, time.Since(began), err)
	switch {
	case err == nil:
	case !isPermanent(err):
		return err
	case len(batch) == 1:
		res = Result{Refused: []Refusal{{s.src.id(&batch[0]), err.Error()}}}
	default:
		for i := range batch {
			if err := s.again(ctx, batch[i:i+1], done, failed); err != nil {
				return err
			}
		}
		return nil
	}
	dead, counts, _ := judge(s.src, batch, res)
	s.r.metrics.rows(s.name, counts, len(dead))
	refused := map[string]bool{}
	for _, d := range dead {
		refused[d.id] = true
		*failed = append(*failed, Refusal{d.id, d.reason})
	}
	for i := range batch {
		if id := s.src.id(&batch[i]); !refused[id] {
			*done = append(*done, id)
		}
	}
	return nil
}
