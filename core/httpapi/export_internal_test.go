package httpapi

import (
	"context"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// Undeclared mounts operations that leave something open, by what the error must say.
var Undeclared = map[string]func() error{
	"no limit class":             func() error { return mountOne(func(op *operation) { op.limit = "" }) },
	"who may use it":             func() error { return mountOne(func(op *operation) { op.access = "" }) },
	"declares no limit to it":    func() error { return mountOne(func(op *operation) { op.maxBody = 0 }) },
	"recent authentication, and": func() error { return mountOne(func(op *operation) { op.access, op.recent = endpoint.SignedIn, true }) },
}

func mountOne(change func(*operation)) error {
	k := &kit{router: mux.NewRouter(), rules: endpoint.Table{}}
	k.huma = humamux.New(k.router, k.document("test"))
	op := operation{method: http.MethodPost, path: "/v1/x", id: "x", tag: "x", summary: "X", description: "X.", limit: ratelimit.General, access: endpoint.Anyone, maxBody: smallBody}
	change(&op)
	register(k, op, func(context.Context, asker, *flowInput) (*empty, error) { return nil, nil })
	return k.err()
}
