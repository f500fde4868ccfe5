package audit

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
)

// Export formats.
const (
	NDJSON = "ndjson" // one JSON object a line
	CSV    = "csv"    // RFC 4180, with a header line
)

// exportPage is how many rows are in memory at a time.
const exportPage = 500

var csvHeader = []string{
	"id", "occurred_at", "action", "category", "crud", "outcome", "reason", "actor_type", "actor_id", "actor_display",
	"impersonator_type", "impersonator_id", "targets", "organization_id", "session_id", "request_id", "correlation_id", "ip",
	"user_agent", "auth_method", "metadata",
}

// Export writes all rows that match, newest first, as they are found: memory does not grow with their number. Limit
// and Cursor of the filter are ignored. It returns how many rows it wrote; progress, if not nil, is told as it goes.
func (l *Log) Export(ctx context.Context, f Filter, out io.Writer, format string, progress func(rows int)) (int, error) {
	if format != NDJSON && format != CSV {
		return 0, fault.New(fault.Invalid, "format_invalid", "Rows are exported as ndjson or csv.").At("format")
	}
	buf := bufio.NewWriterSize(out, 32<<10)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	table := csv.NewWriter(buf)
	if format == CSV {
		if err := table.Write(csvHeader); err != nil {
			return 0, err
		}
	}
	var at cursor
	n := 0
	for {
		rows, err := l.page(ctx, f, at, exportPage)
		if err != nil {
			return n, err
		}
		for i := range rows {
			if format == CSV {
				err = table.Write(csvRecord(&rows[i]))
			} else {
				err = enc.Encode(&rows[i])
			}
			if err != nil {
				return n, err
			}
			n++
		}
		table.Flush()
		if err := table.Error(); err != nil {
			return n, err
		}
		if err := buf.Flush(); err != nil {
			return n, err
		}
		if progress != nil {
			progress(n)
		}
		if len(rows) < exportPage {
			return n, nil
		}
		last := rows[len(rows)-1]
		at = cursor{false, last.OccurredAt, last.ID}
	}
}

func csvRecord(r *Row) []string {
	var imp Ref
	if r.Impersonator != nil {
		imp = *r.Impersonator
	}
	rec := []string{
		r.ID.String(), r.OccurredAt.Format(time.RFC3339Nano), r.Action, r.Category, r.CRUD, string(r.Outcome), r.Reason,
		r.Actor.Type, r.Actor.ID, r.Actor.Display, imp.Type, imp.ID, jsonText(r.Targets, len(r.Targets)), idText(r.OrganizationID),
		idText(r.SessionID), r.RequestID, r.CorrelationID, r.IP, r.UserAgent, r.AuthMethod, jsonText(r.Metadata, len(r.Metadata)),
	}
	for i, s := range rec {
		rec[i] = formulaSafe(s)
	}
	return rec
}

// formulaSafe keeps a spreadsheet from taking text that somebody else chose for a formula. ASVS 5.0 1.2.10.
func formulaSafe(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\x00", rune(s[0])) {
		return "'" + s
	}
	return s
}

func idText(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

func jsonText(v any, n int) string {
	if n == 0 {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}
