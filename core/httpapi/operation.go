package httpapi

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/request"
)

// operation is what is said once of each operation: to the router, to the document and to the guard in front of it.
type operation struct {
	method, path string
	id           string // operationId
	tag          string
	summary      string
	description  string
	access       access
	off          bool              // the part of the server it needs is not there
	status       int               // of success
	ok           string            // what success means, for the document
	problems     map[int]string    // statuses particular to this operation, with when they come
	maxBody      int64             // 0 means maxBody
	repeatable   []string          // query parameters that may be given more than once
	mergePatch   bool              // the body may also be application/merge-patch+json
	body         *huma.RequestBody // said by hand, where the input has RawBody
	needsBody    bool              // set by register
	content      []string          // media types of success when it is not JSON
}

// none is the input of an operation that takes nothing.
type none struct{}

// empty is the output of an operation that answers 204.
type empty struct{}

// register mounts an operation. The handler gets who is asking and an input that has been checked against the
// document; any error it returns becomes a problem.
func register[I, O any](a *API, op operation, handle func(ctx context.Context, who asker, in *I) (*O, error)) {
	in := reflect.TypeFor[I]()
	_, hasBody := in.FieldByName("Body")
	_, hasRaw := in.FieldByName("RawBody")
	op.needsBody = hasBody || hasRaw
	huma.Register(a.huma, a.describe(op), func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, askerFrom(ctx), in)
		if err != nil {
			return nil, a.fail(ctx, op.method, op.path, err)
		}
		return out, nil
	})
}

// guard runs in front of an operation: it resolves the sender, then makes query and body safe to parse.
func (a *API) guard(op operation) func(huma.Context, func(huma.Context)) {
	limit := op.maxBody
	if limit == 0 {
		limit = maxBody
	}
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humamux.Unwrap(ctx)
		w.Header().Set("Cache-Control", "no-store") // ASVS 5.0 14.3.2
		who, err := a.authorize(r, op.access)
		if err != nil {
			if fault.KindOf(err) == fault.Denied {
				// ASVS 5.0 16.3.2: failed attempts at authorization are recorded.
				a.note(r.Context(), audit.Entry{Action: "admin.denied", Reason: fault.From(err).Code, Actor: who.actor(), SessionID: who.principal.SessionID,
					Metadata: map[string]any{"operation": op.id}})
			}
			a.fail(r.Context(), op.method, op.path, err).write(w, r)
			return
		}
		if op.off {
			newProblem(http.StatusServiceUnavailable, "not_available", "This server runs without the part that this operation needs.").write(w, r)
			return
		}
		if p := checkQuery(r.URL.RawQuery, op.repeatable); p != nil {
			p.write(w, r)
			return
		}
		body, p := readBody(r, limit, op.mergePatch)
		if p != nil {
			p.write(w, r)
			return
		}
		if body == nil && op.needsBody {
			newProblem(http.StatusBadRequest, "body_required", "This operation needs a JSON body.").write(w, r)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		who.r, who.w = r, w
		next(huma.WithValue(ctx, askerKey{}, who))
	}
}

// note records an action that changes nothing by itself. It never stands in the way of the answer.
func (a *API) note(ctx context.Context, e audit.Entry) {
	if a.cfg.Note == nil {
		return
	}
	if err := a.cfg.Note(ctx, e); err != nil && ctx.Err() == nil {
		a.log.Error("action not recorded", "action", e.Action, "request_id", request.From(ctx).ID, "error", err)
	}
}

// checkQuery refuses a query that could be read in two ways, or that no text column could hold.
func checkQuery(raw string, repeatable []string) *Problem {
	if raw == "" {
		return nil
	}
	q, err := url.ParseQuery(raw)
	if err != nil {
		return newProblem(http.StatusBadRequest, "malformed_query", "The query can't be read: it holds a broken escape or a semicolon.",
			ProblemDetail{Location: "query", Message: "broken escape or semicolon"})
	}
	for name, values := range q {
		at := "query." + clip(strings.ToValidUTF8(strings.ReplaceAll(name, "\x00", ""), ""))
		if len(values) > 1 && !contains(repeatable, name) {
			return newProblem(http.StatusBadRequest, "duplicate_parameter", "The parameter "+strconv.QuoteToGraphic(clip(name))+" is given more than once.",
				ProblemDetail{Location: at, Message: "given more than once"})
		}
		for _, v := range append(values, name) {
			if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				return newProblem(http.StatusBadRequest, "malformed_query", "The query holds what is no text.", ProblemDetail{Location: at, Message: "not text"})
			}
		}
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
