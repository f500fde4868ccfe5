package relyra

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// outcomeAge is for how long Sigra tells what became of a sign-in.
const outcomeAge = 24 * time.Hour

// follow asks Sigra what became of the sign-ins among the traces, and keeps what is settled. A trace whose end is not told in time keeps none.
func (p *Relyra) follow(ctx context.Context, traces []Trace) error {
	for i := range traces {
		t := &traces[i]
		if t.MintID == "" || t.Outcome != "" {
			continue
		}
		o, err := p.host.Sessions().Outcome(ctx, t.MintID)
		switch {
		case pluginsdk.IsPermanent(err):
			o = pluginsdk.Outcome{Status: "expired"} // it is older than a day
		case err != nil:
			return err
		case o.Status == "pending":
			continue
		}
		t.Outcome, t.OutcomeReason = o.Status, o.Reason
		if err := p.store.settleTrace(ctx, *t); err != nil {
			return err
		}
	}
	return nil
}

// followAll is follow for all that Sigra can still tell of.
func (p *Relyra) followAll(ctx context.Context) error {
	open, err := p.store.openTraces(ctx, p.now().Add(-outcomeAge))
	if err != nil {
		return err
	}
	return p.follow(ctx, open)
}

func (s *store) settleTrace(ctx context.Context, t Trace) error {
	if _, err := s.db.ExecContext(ctx, "UPDATE relyra_trace SET outcome = $2, outcome_reason = $3 WHERE id = $1", t.ID.String(), t.Outcome, t.OutcomeReason); err != nil {
		return fmt.Errorf("write outcome: %w", err)
	}
	return nil
}

// openTraces are those of sign-ins that Sigra took and has not told the end of, at most 500.
func (s *store) openTraces(ctx context.Context, since time.Time) ([]Trace, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT id, mint_id FROM relyra_trace WHERE occurred_at >= $1 AND mint_id <> '' AND outcome = '' ORDER BY id LIMIT 500", since.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("read traces: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Trace
	for rows.Next() {
		var t Trace
		var id string
		if err := rows.Scan(&id, &t.MintID); err != nil {
			return nil, fmt.Errorf("read traces: %w", err)
		}
		if t.ID, err = uuid.Parse(id); err != nil {
			return nil, fmt.Errorf("read traces: %w", err)
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

// testPage sends an administrator through a sign-in that changes nothing; what would have become of it is among the traces.
func (p *Relyra) testPage(w http.ResponseWriter, r *http.Request) error {
	c, err := p.named(r)
	if err != nil {
		return err
	}
	if c.Status != Enabled {
		return shown{http.StatusConflict, "not_enabled"}
	}
	s, err := p.serve(r.Context(), c)
	if err != nil {
		return err
	}
	return p.send(w, r, s, pluginsdk.MintTest, rootOf(r)+"/"+c.ID.String())
}
