package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/httpapi"
)

// AuditQuery says which audit rows are wanted. All conditions must hold.
type AuditQuery struct {
	Action                                   string // "auth.login.success", or "auth.*"
	Category, Outcome                        string
	ActorType, ActorID, TargetType, TargetID string
	OrganizationID, SessionID                string
	RequestID, CorrelationID, IP             string
	From, To                                 time.Time
	Cursor                                   string // of Audit alone
	Limit                                    int    // of Audit alone; 0 means the server's default
}

func (q AuditQuery) values() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{
		"action": q.Action, "category": q.Category, "outcome": q.Outcome, "actor_type": q.ActorType, "actor_id": q.ActorID,
		"target_type": q.TargetType, "target_id": q.TargetID, "organization_id": q.OrganizationID, "session_id": q.SessionID,
		"request_id": q.RequestID, "correlation_id": q.CorrelationID, "ip": q.IP,
	} {
		set(v, name, value)
	}
	setTime(v, "from", q.From)
	setTime(v, "to", q.To)
	return v
}

// auditLog asks for audit rows.
type auditLog struct{ *connection }

// Audit gives a page of audit rows, newest first.
func (c *auditLog) Audit(ctx context.Context, q AuditQuery) (httpapi.AuditPage, error) {
	v := q.values()
	set(v, "cursor", q.Cursor)
	if q.Limit != 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return call[httpapi.AuditPage](ctx, c.connection, http.MethodGet, "/v1/audit", v, nil)
}

// ExportAudit writes all rows that match as they come; format is "ndjson" or "csv". An error means that what was
// written is not all.
func (c *auditLog) ExportAudit(ctx context.Context, q AuditQuery, format string, out io.Writer) error {
	v := q.values()
	v.Set("format", format)
	res, err := c.send(ctx, http.MethodGet, "/v1/audit/export", v, nil, nil)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	w := &outWriter{w: out}
	if _, err := io.Copy(w, res.Body); err != nil {
		if w.err != nil {
			return fmt.Errorf("write the export: %w", w.err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("the export broke off and is not complete: %w", err)
	}
	return nil
}

// outWriter remembers which side of a copy failed.
type outWriter struct {
	w   io.Writer
	err error
}

func (o *outWriter) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil {
		o.err = err
	}
	return n, err
}

// maxLine bounds a line of a stream. A row has at most 8 KB of metadata and 32 targets.
const maxLine = 1 << 20

// errStop says that the receiver of rows gave the error.
type errStop struct{ err error }

func (e errStop) Error() string { return e.err.Error() }

// TailAudit calls f with each audit row that is committed from now on, or after a position when one is given, until
// ctx ends or f fails. When the connection breaks it connects again and goes on where it was, without gap or
// duplicate, for as long as the server comes back within a minute.
func (c *auditLog) TailAudit(ctx context.Context, action string, after *audit.Position, f func(httpapi.AuditRow) error) error {
	var last string
	if after != nil {
		last = after.String()
	}
	var broken time.Time
	for pause := 200 * time.Millisecond; ; {
		before := last
		err := c.tailOnce(ctx, action, &last, f)
		var stop errStop
		var refused *Error
		switch {
		case errors.As(err, &stop):
			return stop.err
		case ctx.Err() != nil:
			return ctx.Err()
		case last == "", errors.As(err, &refused) && refused.Status < 500:
			return err // never connected, or not welcome
		}
		if last != before {
			broken, pause = time.Time{}, 200*time.Millisecond
		}
		if broken.IsZero() {
			broken = time.Now()
		}
		if time.Since(broken) > time.Minute {
			return fmt.Errorf("the stream broke off and could not be taken up again: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
			pause = min(2*pause, 2*time.Second)
		}
	}
}

func (c *auditLog) tailOnce(ctx context.Context, action string, last *string, f func(httpapi.AuditRow) error) error {
	v := url.Values{}
	set(v, "action", action)
	h := http.Header{"Accept": {"text/event-stream"}}
	if *last != "" {
		h.Set("Last-Event-ID", *last)
	}
	res, err := c.send(ctx, http.MethodGet, "/v1/audit/stream", v, nil, h)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxLine)
	var id string
	var data []byte
	for lines.Scan() {
		name, value, _ := bytes.Cut(lines.Bytes(), []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case len(lines.Bytes()) == 0: // the end of a message
			if data != nil {
				var row httpapi.AuditRow
				if err := json.Unmarshal(data, &row); err != nil {
					return errStop{fmt.Errorf("a row of the stream can't be read; is the server of another version? %w", err)}
				}
				if err := f(row); err != nil {
					return errStop{err}
				}
			}
			if id != "" {
				*last = id
			}
			id, data = "", nil
		case string(name) == "id":
			id = string(value)
		case string(name) == "data":
			data = append(data, value...)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}
