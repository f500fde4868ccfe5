package accrue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// The states of a seat.
const (
	seatReserved  = "reserved"  // for an attempt that may still fail
	seatHeld      = "held"      // by an open invitation
	seatAssigned  = "assigned"  // to a member
	seatSuspended = "suspended" // a member who may not act at present
)

// reservationTime is how long a seat is kept for an attempt of which nothing more is heard.
const reservationTime = 10 * time.Minute

// usage is how an organization's seats are taken.
type usage struct {
	Assigned  int64 `json:"assigned"`
	Suspended int64 `json:"suspended"`
	Held      int64 `json:"held"` // by open invitations
	Reserved  int64 `json:"reserved"`
}

// reservation is the answer to somebody who wants to join.
type reservation struct {
	ID      string // empty: nothing needs to be settled
	Until   time.Time
	Refused string // why not; empty: welcome
	Limit   int64
	Used    int64
	Explain entitlements
}

// request is somebody who wants to join.
type request struct {
	organization string
	holder       string // who gets the seat
	invitation   string // whose hold is taken over; empty: nobody's
	kind         string
	attempt      string
	protected    bool
	dryRun       bool
}

func userHolder(id string) string       { return "user:" + id }
func invitationHolder(id string) string { return "invitation:" + id }

// reserve counts and takes a seat in one transaction, so that the last one is taken once.
func (in *instance) reserve(ctx context.Context, r request) (out reservation, err error) {
	err = storage.Tx(ctx, in.store.db, func(tx *sql.Tx) error {
		out = reservation{}
		if err := in.store.lock(ctx, tx, r.organization); err != nil {
			return err
		}
		now := in.store.time()
		if in.store.dialect != pluginsdk.Postgres { // take the writer's place before counting
			if _, err := tx.ExecContext(ctx, `UPDATE accrue_organization SET read_at = read_at WHERE organization_id = $1`, r.organization); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM accrue_seat WHERE organization_id = $1 AND state = $2 AND expires_at <= $3`, r.organization, seatReserved, now); err != nil {
			return err
		}
		var state, attempt, id string
		var until sql.NullTime
		err := tx.QueryRowContext(ctx, `SELECT state, attempt_id, reservation_id, expires_at FROM accrue_seat WHERE organization_id = $1 AND holder = $2`,
			r.organization, r.holder).Scan(&state, &attempt, &id, &until)
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return err
		case state != seatReserved:
			return nil // has a seat already
		case attempt == r.attempt:
			out.ID, out.Until = id, until.Time.UTC() // the same question again
			return nil
		}
		mine := state == seatReserved // of an attempt before this one, which this one takes over
		out.Explain, err = in.entitlements(ctx, tx, account{organizationAccount, r.organization})
		if err != nil {
			return err
		}
		u, err := in.store.usage(ctx, tx, r.organization, in.settings.CountServices)
		if err != nil {
			return err
		}
		if mine {
			u.Reserved--
		}
		converts := r.invitation != ""
		if limit := out.Explain.Seats; limit != nil && !r.protected && (r.kind != "service_account" || in.settings.CountServices) {
			out.Limit, out.Used = *limit, in.settings.used(u, !converts)
			switch {
			case len(out.Explain.Subscriptions) > 0 && !out.Explain.Entitled:
				out.Refused = out.Explain.Reason
			case out.Used >= *limit:
				out.Refused = "seat_limit_reached"
			}
		}
		if out.Refused != "" || r.dryRun {
			return nil
		}
		out.ID, out.Until = uuid.NewString(), now.Add(reservationTime)
		_, err = tx.ExecContext(ctx, `INSERT INTO accrue_seat (organization_id, holder, state, kind, attempt_id, reservation_id, invitation, since, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (organization_id, holder) DO UPDATE
			SET attempt_id = excluded.attempt_id, reservation_id = excluded.reservation_id, invitation = excluded.invitation, expires_at = excluded.expires_at`,
			r.organization, r.holder, seatReserved, r.kind, r.attempt, out.ID, r.invitation, now, out.Until)
		return err
	})
	if err != nil {
		return out, fmt.Errorf("reserve a seat: %w", err)
	}
	return out, nil
}

// used counts by the settings. Who accepts an invitation is not kept out by invitations: theirs is one of them.
func (s settings) used(u usage, invitations bool) int64 {
	n := u.Assigned + u.Reserved
	if s.CountSuspended {
		n += u.Suspended
	}
	if s.CountInvitations && invitations {
		n += u.Held
	}
	return n
}

func (s *store) usage(ctx context.Context, q querier, organization string, services bool) (u usage, err error) {
	rows, err := q.QueryContext(ctx, `SELECT state, count(*) FROM accrue_seat WHERE organization_id = $1 AND ($2 OR kind <> 'service_account')
		AND (expires_at IS NULL OR expires_at > $3)
		AND NOT (state = 'held' AND holder IN (SELECT invitation FROM accrue_seat WHERE organization_id = $1 AND state = 'reserved')) GROUP BY state`,
		organization, services, s.time())
	if err != nil {
		return u, fmt.Errorf("count seats: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var state string
		var n int64
		if err := rows.Scan(&state, &n); err != nil {
			return u, fmt.Errorf("count seats: %w", err)
		}
		switch state {
		case seatAssigned:
			u.Assigned = n
		case seatSuspended:
			u.Suspended = n
		case seatHeld:
			u.Held = n
		case seatReserved:
			u.Reserved = n
		}
	}
	return u, rows.Err()
}

// settle ends a reservation. Settling again, or what is not there, does nothing.
func (s *store) settle(ctx context.Context, attempt, reservation string, committed bool) error {
	return storage.Tx(ctx, s.db, func(tx *sql.Tx) error {
		if !committed {
			_, err := tx.ExecContext(ctx, `DELETE FROM accrue_seat WHERE attempt_id = $1 AND reservation_id = $2 AND state = $3`, attempt, reservation, seatReserved)
			return err
		}
		return s.confirm(ctx, tx, attempt)
	})
}

// confirm makes the reservations of an attempt seats, and lets go of the invitations that they took over.
func (s *store) confirm(ctx context.Context, tx *sql.Tx, attempt string) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM accrue_seat WHERE state = 'held' AND (organization_id, holder) IN
		(SELECT organization_id, invitation FROM accrue_seat WHERE attempt_id = $1 AND state = $2)`, attempt, seatReserved); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE accrue_seat SET state = $2, expires_at = NULL, invitation = '' WHERE attempt_id = $1 AND state = $3`, attempt, seatAssigned, seatReserved)
	return err
}

// put writes down who has a seat, as Sigra's membership says.
func (s *store) put(ctx context.Context, tx *sql.Tx, organization, holder, state, kind string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO accrue_seat (organization_id, holder, state, kind, attempt_id, reservation_id, invitation, since)
		VALUES ($1, $2, $3, $4, '', '', '', $5) ON CONFLICT (organization_id, holder) DO UPDATE SET state = excluded.state, kind = excluded.kind, expires_at = NULL`,
		organization, holder, state, kind, s.time())
	return err
}

func (s *store) release(ctx context.Context, tx *sql.Tx, organization, holder string) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM accrue_seat WHERE organization_id = $1 AND holder = $2`, organization, holder)
	return err
}

// knows reports whether the members of an organization were read.
func (s *store) knows(ctx context.Context, organization string) (bool, error) {
	var at sql.NullTime
	err := s.db.QueryRowContext(ctx, `SELECT read_at FROM accrue_organization WHERE organization_id = $1`, organization).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return at.Valid, err
}

// learn takes over who is a member already when an organization is first asked about.
func (in *instance) learn(ctx context.Context, organization string) error {
	if known, err := in.store.knows(ctx, organization); known || err != nil {
		return err
	}
	at := in.store.time()
	var members []pluginsdk.Membership
	for m, err := range in.host.Identity().Memberships(ctx, pluginsdk.MembershipQuery{OrganizationID: organization}) {
		if err != nil {
			return fmt.Errorf("read members: %w", err)
		}
		members = append(members, m)
	}
	return storage.Tx(ctx, in.store.db, func(tx *sql.Tx) error {
		for _, m := range members {
			state := seatAssigned
			if m.Status == "suspended" {
				state = seatSuspended
			}
			if err := in.store.put(ctx, tx, organization, userHolder(m.UserID), state, m.Kind); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO accrue_organization (organization_id, read_at) VALUES ($1, $2)
			ON CONFLICT (organization_id) DO UPDATE SET read_at = excluded.read_at`, organization, at)
		return err
	})
}

// record takes what Sigra's audit log says of memberships and invitations.
func (in *instance) record(ctx context.Context, rows []pluginsdk.AuditRow) error {
	return storage.Tx(ctx, in.store.db, func(tx *sql.Tx) error {
		for _, r := range rows {
			if r.OrganizationID == "" || r.Outcome != "success" {
				continue
			}
			if err := in.recordOne(ctx, tx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// late is how long after it occurred a row may still be committed.
const late = time.Minute

func (in *instance) recordOne(ctx context.Context, tx *sql.Tx, r pluginsdk.AuditRow) error {
	var read sql.NullTime
	err := tx.QueryRowContext(ctx, `SELECT read_at FROM accrue_organization WHERE organization_id = $1`, r.OrganizationID).Scan(&read)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return err
	case read.Valid && r.OccurredAt.Before(read.Time.Add(-late)):
		return nil // what was read from Sigra includes it
	}
	user, invitation := target(r, "user"), target(r, "invitation")
	kind, _ := r.Metadata["kind"].(string)
	if kind == "" {
		kind = "member"
	}
	switch r.Action {
	case "membership.create":
		if r.CorrelationID != "" {
			if err := in.store.confirm(ctx, tx, r.CorrelationID); err != nil {
				return err
			}
		}
		return in.store.put(ctx, tx, r.OrganizationID, userHolder(user), seatAssigned, kind)
	case "membership.update":
		switch status, _ := r.Metadata["status"].(string); status {
		case "suspended":
			return in.setState(ctx, tx, r.OrganizationID, userHolder(user), seatSuspended)
		case "active":
			return in.setState(ctx, tx, r.OrganizationID, userHolder(user), seatAssigned)
		}
	case "membership.delete":
		return in.store.release(ctx, tx, r.OrganizationID, userHolder(user))
	case "invitation.create":
		return in.store.put(ctx, tx, r.OrganizationID, invitationHolder(invitation), seatHeld, kind)
	case "invitation.accept", "invitation.revoke":
		return in.store.release(ctx, tx, r.OrganizationID, invitationHolder(invitation))
	case "organization.delete":
		for _, table := range []string{"accrue_seat", "accrue_organization"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE organization_id = $1`, r.OrganizationID); err != nil {
				return err
			}
		}
	}
	return nil
}

func (in *instance) setState(ctx context.Context, tx *sql.Tx, organization, holder, state string) error {
	_, err := tx.ExecContext(ctx, `UPDATE accrue_seat SET state = $3 WHERE organization_id = $1 AND holder = $2`, organization, holder, state)
	return err
}

func target(r pluginsdk.AuditRow, typ string) string {
	for _, t := range r.Targets {
		if t.Type == typ {
			return t.ID
		}
	}
	return ""
}

// seat is one row for people.
type seat struct {
	Holder string    `json:"holder"`
	State  string    `json:"state"`
	Kind   string    `json:"kind"`
	Since  time.Time `json:"since"`
}

// UserID is the member's; empty for an invitation.
func (s seat) UserID() string {
	id, ok := strings.CutPrefix(s.Holder, "user:")
	if !ok {
		return ""
	}
	return id
}

func (s *store) seats(ctx context.Context, organization, after string, limit int) (out []seat, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT holder, state, kind, since FROM accrue_seat
		WHERE organization_id = $1 AND holder > $2 AND (expires_at IS NULL OR expires_at > $3) ORDER BY holder LIMIT $4`, organization, after, s.time(), limit)
	if err != nil {
		return nil, fmt.Errorf("list seats: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var x seat
		if err := rows.Scan(&x.Holder, &x.State, &x.Kind, &x.Since); err != nil {
			return nil, fmt.Errorf("list seats: %w", err)
		}
		out = append(out, x)
	}
	return out, rows.Err()
}
