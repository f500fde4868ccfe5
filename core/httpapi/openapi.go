package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sigra-auth/sigra/core/endpoint"
)

// problemRef names the problem's schema in the document.
const problemRef = "#/components/schemas/Problem"

// document starts the OpenAPI document. Operations add themselves to it as they are mounted.
func (k *kit) document(version string) huma.Config {
	schemas := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	server := k.baseURL
	if server == "" {
		server = "/"
	}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Sigra", Version: version,
				Description: "Sign-up, sign-in, sessions, the audit log and administration of a Sigra server. Every error is a problem document (RFC 9457); " +
					"programs compare its `code`. No answer tells whether an account exists.",
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Servers: []*huma.Server{{URL: server}},
			Tags: []*huma.Tag{
				{Name: "sign-in", Description: "Sign up, confirm, sign in, sign out, and the session check."},
				{Name: "account", Description: "What signed-in users do to their own account."},
				{Name: "organizations", Description: "Organizations, their members and invitations, and the active organization of a session."},
				{Name: "events", Description: "Events the application emits for plugins."},
				{Name: "audit", Description: "The audit log."},
				{Name: "users", Description: "Administration of accounts."},
				{Name: "plugins", Description: "Administration of plugins."},
				{Name: "relay", Description: "Delivery of the audit log and of events to their sinks."},
				{Name: "mail", Description: "Outgoing mail."},
				{Name: "system", Description: "Keys, configuration and state of the server."},
				{Name: "development", Description: "Only where mail { dev = true } is set."},
			},
			Components: &huma.Components{
				Schemas:   schemas,
				Responses: map[string]*huma.Response{},
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"cookie":      {Type: "apiKey", In: "cookie", Name: k.cookie.Name(), Description: "The session cookie that POST /v1/login sets."},
					"bearer":      {Type: "http", Scheme: "bearer", Description: "A session token from POST /v1/login with \"token_delivery\": \"body\"."},
					"application": {Type: "http", Scheme: "bearer", Description: "An application's key: `sigra application create NAME` makes one."},
				},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{k.transform},
	}
}

// common is when the problems come that any operation may answer with.
var common = map[int]string{
	http.StatusBadRequest:            "The query or the body can't be read.",
	http.StatusUnauthorized:          "The sender is not known: no session, or one that has ended.",
	http.StatusForbidden:             "The sender is known and may not do this.",
	http.StatusRequestTimeout:        "The body took too long to arrive.",
	http.StatusRequestEntityTooLarge: "The body is too large.",
	http.StatusUnsupportedMediaType:  "The body is not application/json.",
	http.StatusUnprocessableEntity:   "The request does not fit what the operation takes. `errors` names each place.",
	http.StatusTooManyRequests:       "Too many requests. `Retry-After` says when to try again.",
	http.StatusInternalServerError:   "A failure on the server's side. `request_id` names it in the server's log.",
	http.StatusServiceUnavailable:    "Not possible just now. `Retry-After` says when to try again.",
}

// describe turns an operation into huma's terms, complete for the document.
func (k *kit) describe(op operation) huma.Operation {
	h := huma.Operation{
		Method: op.method, Path: op.path, OperationID: op.id, Tags: []string{op.tag},
		Summary: op.summary, Description: op.description, DefaultStatus: op.status,
		MaxBodyBytes:    64 << 20, // the guard has the operation's own limit
		BodyReadTimeout: -1,       // the guard has read the body; a deadline of huma's would outlive it
		Security:        []map[string][]string{},
	}
	rules := op.rules()
	h.Extensions = map[string]any{
		"x-sigra-limit": rules.Limit, "x-sigra-access": rules.Access, "x-sigra-recent-authentication": rules.Recent, "x-sigra-max-body": rules.Body,
	}
	if op.body != nil {
		h.RequestBody, h.SkipValidateBody = op.body, true
	}
	problems := map[int]string{}
	want := []int{http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable}
	if op.hasRequestBody() {
		want = append(want, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	known := op.access != endpoint.Anyone && op.access != endpoint.ThisMachine
	if known {
		want = append(want, http.StatusUnauthorized)
		h.Security = []map[string][]string{{"cookie": {}}, {"bearer": {}}}
	}
	if op.access != endpoint.Anyone && op.access != endpoint.Authenticated {
		want = append(want, http.StatusForbidden)
	}
	switch op.access {
	case endpoint.Administrator:
		h.Description = strings.TrimSpace(h.Description + "\n\nFor administrators, and for operators over the control socket.")
	case endpoint.Application, endpoint.Authenticated:
		h.Security = append(h.Security, map[string][]string{"application": {}})
	}
	if op.recent {
		h.Description = strings.TrimSpace(h.Description + "\n\nNeeds recent authentication: without it, 403 with step_up_required. See POST /v1/step-up.")
	}
	for _, status := range want {
		problems[status] = common[status]
	}
	maps.Copy(problems, op.problems)
	if op.status == 0 {
		op.status = http.StatusOK
	}
	success := &huma.Response{Description: op.ok, Headers: map[string]*huma.Param{
		"Cache-Control": {Description: "Always no-store.", Schema: &huma.Schema{Type: "string", Enum: []any{"no-store"}}},
	}}
	for _, ct := range op.content {
		if success.Content == nil {
			success.Content = map[string]*huma.MediaType{}
		}
		success.Content[ct] = &huma.MediaType{Schema: &huma.Schema{Type: "string"}}
	}
	h.Responses = map[string]*huma.Response{strconv.Itoa(op.status): success}
	for status, when := range problems {
		h.Responses[strconv.Itoa(status)] = k.problemResponse(status, when)
	}
	return h
}

// documentOnly puts an operation that is served past huma into the document.
func (k *kit) documentOnly(op operation, output any) {
	h := k.describe(op)
	schemas := k.huma.OpenAPI().Components.Schemas
	body, _ := reflect.TypeOf(output).FieldByName("Body")
	status := strconv.Itoa(max(op.status, http.StatusOK))
	h.Responses[status].Content = map[string]*huma.MediaType{
		"application/json": {Schema: schemas.Schema(body.Type, true, body.Type.Name())},
	}
	k.huma.OpenAPI().AddOperation(&h)
}

// problemResponse is a problem in the document: a shared one where nothing particular is said.
func (k *kit) problemResponse(status int, when string) *huma.Response {
	r := &huma.Response{
		Description: when,
		Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: &huma.Schema{Ref: problemRef}}},
	}
	header := func(name, text, kind string) {
		if r.Headers == nil {
			r.Headers = map[string]*huma.Param{}
		}
		r.Headers[name] = &huma.Param{Description: text, Schema: &huma.Schema{Type: kind}}
	}
	switch status {
	case http.StatusTooManyRequests:
		header("Retry-After", "Seconds to wait.", "integer")
		header("RateLimit-Remaining", "Requests left in this window.", "integer")
		header("RateLimit-Reset", "Seconds until the window ends.", "integer")
	case http.StatusServiceUnavailable:
		header("Retry-After", "Seconds to wait.", "integer")
	case http.StatusUnauthorized:
		header("WWW-Authenticate", "Always Bearer.", "string")
	}
	if when != common[status] {
		return r
	}
	name := strings.ReplaceAll(http.StatusText(status), " ", "")
	k.huma.OpenAPI().Components.Responses[name] = r
	return &huma.Response{Ref: "#/components/responses/" + name}
}

// mountDocument serves the document. It is rendered when first asked for: that costs more than all the rest of the
// API's start.
func (k *kit) mountDocument() {
	doc := k.huma.OpenAPI()
	annotate(doc.Components.Schemas)
	serve := func(path, contentType string, render func() ([]byte, error)) {
		k.plain(path)
		once := sync.OnceValues(render)
		k.router.Path(path).Methods(http.MethodGet).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := once()
			if err != nil {
				k.writeError(w, r, fmt.Errorf("render the OpenAPI document: %w", err))
				return
			}
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Cache-Control", "no-cache")
			_, _ = w.Write(body) // the client may be gone
		})
	}
	serve("/openapi.json", "application/openapi+json", func() ([]byte, error) { return json.MarshalIndent(doc, "", "  ") })
	serve("/openapi.yaml", "application/openapi+yaml", doc.YAML)
}
