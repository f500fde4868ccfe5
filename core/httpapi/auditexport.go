package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

type exportInput struct {
	AuditFilter
	Format string `query:"format" enum:"ndjson,csv" default:"ndjson" doc:"One JSON object a line, or RFC 4180 with a header line."`
}

// auditExport streams the audit log as a file.
type auditExport struct {
	kit *kit
	log AuditLog
}

// Mount adds the operations.
func (d auditExport) Mount(k *kit) {
	off := d.log == nil
	register(k, operation{
		method: http.MethodGet, path: "/v1/audit/export", id: "export-audit", tag: "audit", off: off,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "Export the audit log", description: "Every row that matches, newest first, streamed as it is found. An export that can't be completed is cut off: the connection ends without the last chunk.",
		ok: "The rows.", content: []string{"application/x-ndjson", "text/csv"},
	}, d.export)
}

func (d auditExport) export(ctx context.Context, who asker, in *exportInput) (*streamOutput, error) {
	// Recorded before the first row leaves, so that an export that is cut off is in the log too.
	d.kit.note(ctx, audit.Entry{Action: "admin.audit.export", Actor: who.actor(), SessionID: who.principal.SessionID,
		Metadata: map[string]any{"format": in.Format, "filter": clip(who.r.URL.RawQuery)}})
	return &streamOutput{Body: func(hc huma.Context) {
		r, w := humamux.Unwrap(hc)
		out := &exportWriter{w: w, rc: http.NewResponseController(w), name: "sigra-audit-" + d.kit.now().Format("20060102T150405Z") + "." + in.Format, contentType: "application/x-ndjson"}
		if in.Format == audit.CSV {
			out.contentType = "text/csv; charset=utf-8; header=present"
		}
		_, err := d.log.Export(r.Context(), in.filter(), out, in.Format, nil)
		switch {
		case err == nil:
			out.start()
		case !out.started:
			d.kit.fail(r.Context(), http.MethodGet, "/v1/audit/export", inQuery(err)).write(w, r)
		default:
			if r.Context().Err() == nil && out.err == nil {
				d.kit.log.Error("audit export cut off", "error", err)
			}
			// Half an export must not look like a whole one.
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

// exportWriter sends the head of the answer with the first rows, so that what fails before them is still a problem.
type exportWriter struct {
	w                 http.ResponseWriter
	rc                *http.ResponseController
	name, contentType string
	started           bool
	err               error // of the client's side
}

func (e *exportWriter) start() {
	if e.started {
		return
	}
	e.started = true
	h := e.w.Header()
	h.Set("Content-Type", e.contentType)
	h.Set("Content-Disposition", `attachment; filename="`+e.name+`"`)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	e.w.WriteHeader(http.StatusOK)
}

func (e *exportWriter) Write(p []byte) (int, error) {
	e.start()
	_ = e.rc.SetWriteDeadline(time.Now().Add(streamStall)) // a ResponseWriter without deadlines is a test's
	n, err := e.w.Write(p)
	if err != nil {
		e.err = err
	}
	return n, err
}
