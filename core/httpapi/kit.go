package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"
	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
)

// domain is a part of the API: operations that belong together, over the services they call.
type domain interface {
	Mount(k *kit)
}

// kit is what every domain mounts its operations with, and what stands in front of each.
type kit struct {
	baseURL        string
	callers        *principal.Chain
	cookie         cookie.SessionCookie
	recent         func(ctx context.Context, p principal.Principal) error
	administrators Administrators
	record         func(ctx context.Context, e audit.Entry) error
	now            func() time.Time
	log            hclog.Logger

	router *mux.Router
	huma   huma.API
	rules  endpoint.Table
	errs   []error // of declarations that can't be mounted
}

// asker is who a request comes from, resolved once per request and handed down by its context.
type asker struct {
	principal principal.Principal
	r         *http.Request
	w         http.ResponseWriter // for cookies; the answer itself goes through huma
	cookie    cookie.SessionCookie
}

// askerKey is the context key of an asker; it never leaves this package.
type askerKey struct{}

func askerFrom(ctx context.Context) asker {
	a, _ := ctx.Value(askerKey{}).(asker)
	return a
}

// actor is who a change is recorded as.
func (who asker) actor() audit.Ref {
	switch who.principal.Kind {
	case principal.Operator:
		return audit.Ref{Type: string(principal.Operator), ID: who.principal.Display}
	case principal.Application:
		return audit.Ref{Type: string(principal.Application), ID: who.principal.UserID.String()}
	}
	return audit.Ref{Type: string(who.principal.Kind), ID: who.principal.UserID.String()}
}

// register mounts an operation. The handler gets who is asking and an input that has been checked against the
// document; any error it returns becomes a problem. An operation whose declaration is incomplete is not mounted, and
// New fails.
func register[I, O any](k *kit, op operation, handle func(ctx context.Context, who asker, in *I) (*O, error)) {
	in := reflect.TypeFor[I]()
	_, hasBody := in.FieldByName("Body")
	_, hasRaw := in.FieldByName("RawBody")
	op.takesBody = hasBody || hasRaw
	if !k.declare(op) {
		return
	}
	h := k.describe(op)
	h.Middlewares = huma.Middlewares{k.guard(op)}
	huma.Register(k.huma, h, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, askerFrom(ctx), in)
		if err != nil {
			return nil, k.fail(ctx, op.method, op.path, err)
		}
		return out, nil
	})
}

// declare puts an operation's rules into the table that the server asks.
func (k *kit) declare(op operation) bool {
	err := k.rules.Add(op.method, op.path, op.rules())
	switch {
	case err != nil:
	case op.takesBody && op.maxBody == 0:
		err = fmt.Errorf("%s %s takes a body and declares no limit to it", op.method, op.path)
	case !op.takesBody && op.maxBody != 0:
		err = fmt.Errorf("%s %s takes no body and declares a limit to it", op.method, op.path)
	case op.recent && !administers(op.rules()) && k.recent == nil && !op.off:
		err = fmt.Errorf("%s %s asks for recent authentication, and Config.Recent is not there to judge it", op.method, op.path)
	}
	if err != nil {
		k.errs = append(k.errs, err)
	}
	return err == nil
}

// err is everything that could not be mounted.
func (k *kit) err() error {
	if len(k.errs) == 0 {
		return nil
	}
	return fmt.Errorf("httpapi: %w", errors.Join(k.errs...))
}

// guard runs in front of an operation. It reads the whole body first and finds out who is asking after that: a client can
// take a minute over its body, and whoever was signed in when it began need not be when it ends. Nothing waits between
// here and the domain method, which checks once more in its transaction.
func (k *kit) guard(op operation) func(huma.Context, func(huma.Context)) {
	rules := op.rules()
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humamux.Unwrap(ctx)
		w.Header().Set("Cache-Control", "no-store") // ASVS 5.0 14.3.2
		limit := op.bodyLimit()
		if limit > strangersBody && rules.Access != endpoint.Anyone {
			// So much is not kept in memory for somebody who may not do this anyway.
			if who, err := k.authorize(r, rules); err != nil {
				k.refuse(w, r, op, who, err)
				return
			}
		}
		body, p := readBody(r, limit)
		if p != nil {
			p.write(w, r)
			return
		}
		who, err := k.authorize(r, rules)
		if err != nil {
			k.refuse(w, r, op, who, err)
			return
		}
		if op.off {
			newProblem(http.StatusServiceUnavailable, "not_available", "This server runs without the part that this operation needs.").write(w, r)
			return
		}
		if p := checkRequest(r, op, body); p != nil {
			p.write(w, r)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		who.r, who.w, who.cookie = r, w, k.cookie
		next(huma.WithContext(ctx, context.WithValue(k.guarded(ctx.Context(), rules, who.principal), askerKey{}, who)))
	}
}

// guarded is the context of an operation's work: an administrator's is asked again in each transaction whether it may still be done.
func (k *kit) guarded(ctx context.Context, rules endpoint.Rules, p principal.Principal) context.Context {
	if p.Kind != principal.User || !administers(rules) {
		return ctx
	}
	return k.administrators.Guard(ctx, p, rules.Recent)
}

// checkRequest refuses what an operation does not take, before anything is made of it.
func checkRequest(r *http.Request, op operation, body []byte) *Problem {
	if p := checkQuery(r.URL.RawQuery, op.repeatable); p != nil {
		return p
	}
	if len(body) == 0 {
		if op.takesBody {
			return newProblem(http.StatusBadRequest, "body_required", "This operation needs a JSON body.")
		}
		return nil
	}
	if p := checkContentType(r.Header, op.mergePatch); p != nil {
		return p
	}
	return checkJSON(body, op.values())
}

// refuse answers somebody who may not do this. ASVS 5.0 16.3.2: failed attempts at authorization are recorded.
func (k *kit) refuse(w http.ResponseWriter, r *http.Request, op operation, who asker, err error) {
	if fault.KindOf(err) == fault.Denied && who.principal.Kind != "" && op.access != endpoint.SignedIn {
		k.note(r.Context(), audit.Entry{Action: "admin.denied", Reason: fault.From(err).Code, Actor: who.actor(), SessionID: who.principal.SessionID,
			Metadata: map[string]any{"operation": op.id}})
	}
	k.fail(r.Context(), op.method, op.path, err).write(w, r)
}

// note records an action that changes nothing by itself. It never stands in the way of the answer.
func (k *kit) note(ctx context.Context, e audit.Entry) {
	if k.record == nil {
		return
	}
	if err := k.record(ctx, e); err != nil && ctx.Err() == nil {
		k.log.Error("action not recorded", "action", e.Action, "request_id", request.From(ctx).ID, "error", err)
	}
}
