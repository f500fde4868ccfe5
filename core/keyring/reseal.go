package keyring

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

// Resealed says what a pass over the columns did.
type Resealed struct {
	Seen    int `json:"seen"`
	Changed int `json:"changed"`
	Failed  int `json:"failed"` // values that could not be opened; their ids are in the log
}

// resealBatch bounds how long a batch keeps SQLite's one writer, and rows locked on Postgres.
const resealBatch = 100

// Reseal seals again, with the active key, what retired keys have sealed. Each batch is a transaction of its own and
// what is fresh is passed over, so it may be stopped at any point and begun again.
func (r *Ring) Reseal(ctx context.Context, columns []part.SealedColumn) (Resealed, error) {
	var total Resealed
	for _, c := range columns {
		last := uuid.Nil
		for {
			if err := ctx.Err(); err != nil {
				return total, fmt.Errorf("reseal %s: %w", c.Name, err)
			}
			batch, err := r.readBatch(ctx, c, last)
			if err != nil {
				return total, fmt.Errorf("reseal %s: %w", c.Name, err)
			}
			if len(batch) == 0 {
				break
			}
			done, err := r.resealBatch(ctx, c, batch)
			if err != nil {
				return total, fmt.Errorf("reseal %s: %w", c.Name, err)
			}
			total.Seen += done.Seen
			total.Changed += done.Changed
			total.Failed += done.Failed
			last = batch[len(batch)-1].id
		}
	}
	return total, nil
}

type sealedRow struct {
	id     uuid.UUID
	sealed []byte
}

func (r *Ring) readBatch(ctx context.Context, c part.SealedColumn, after uuid.UUID) ([]sealedRow, error) {
	rows, err := r.db.Query(ctx, c.Select, after, resealBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []sealedRow
	for rows.Next() {
		var s sealedRow
		if err := rows.Scan(&s.id, &s.sealed); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

func (r *Ring) resealBatch(ctx context.Context, c part.SealedColumn, batch []sealedRow) (Resealed, error) {
	done := Resealed{Seen: len(batch)}
	type change struct {
		id       uuid.UUID
		old, new []byte
	}
	var changes []change
	for _, row := range batch {
		purpose := c.Purpose(row.id)
		plain, stale, err := r.Open(row.sealed, purpose)
		switch {
		case err != nil:
			done.Failed++
			r.log.Error("a sealed value can't be opened", "column", c.Name, "id", row.id, "error", err)
		case stale:
			changes = append(changes, change{row.id, row.sealed, r.Seal(plain, purpose)})
		}
	}
	if len(changes) == 0 {
		return done, nil
	}
	changed := 0
	err := r.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		changed = 0
		for _, ch := range changes {
			n, err := tx.Exec(ctx, c.Update, ch.id, ch.old, ch.new)
			if err != nil {
				return err
			}
			changed += int(n)
		}
		return nil
	})
	done.Changed = changed
	return done, err
}
