package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/principal"
)

// OwnMetadata is what people keep with their own account; *auth.Service is one.
type OwnMetadata interface {
	Profile(ctx context.Context, p principal.Principal) (auth.Profile, error)
	ChangeOwnMetadata(ctx context.Context, p principal.Principal, c metadata.Change) (metadata.Object, error)
}

// UserMetadata is what administrators and the application keep with accounts; *auth.Service is one.
type UserMetadata interface {
	Metadata(ctx context.Context, userID uuid.UUID, scope metadata.Scope) (metadata.Object, error)
	ChangeMetadata(ctx context.Context, actor audit.Ref, userID uuid.UUID, c metadata.Change) (metadata.Object, error)
}

// Metadata is the object of one scope.
type Metadata struct {
	Scope     metadata.Scope  `json:"scope" enum:"public,private,user" doc:"Whose object it is."`
	Version   int64           `json:"version" doc:"Rises with every change; 0 as long as nothing was written. The ETag header has it, too."`
	Value     json.RawMessage `json:"value" doc:"The object."`
	UpdatedAt time.Time       `json:"updated_at,omitzero" doc:"The last change."`
}

func metadataOf(o metadata.Object) Metadata {
	return Metadata{Scope: o.Scope, Version: o.Version, Value: o.Value, UpdatedAt: o.UpdatedAt}
}

type metadataOutput struct {
	ETag string `header:"ETag" doc:"The version in quotes, for If-Match."`
	Body Metadata
}

type ownMetadataInput struct {
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag of the version that is to be changed. Without it, whichever there is." example:"\"3\""`
	RawBody []byte `contentType:"application/json"`
}

type scopePath struct {
	ID    uuid.UUID      `path:"user_id" format:"uuid" doc:"The account's id."`
	Scope metadata.Scope `path:"scope" enum:"public,private,user" doc:"Whose object. The application has no business with private."`
}

type userMetadataInput struct {
	ID      uuid.UUID      `path:"user_id" format:"uuid" doc:"The account's id."`
	Scope   metadata.Scope `path:"scope" enum:"public,private,user" doc:"Whose object. The application has no business with private."`
	IfMatch string         `header:"If-Match" maxLength:"64" doc:"The ETag of the version that is to be changed. Without it, whichever there is." example:"\"3\""`
	RawBody []byte         `contentType:"application/json"`
}

// maxMetadataBody is what a change may have at most: twice the largest object there can be, for white space.
const maxMetadataBody = 520 << 10

// mergePatch is the media type of a merge patch (RFC 7396 §4).
const mergePatch = "application/merge-patch+json"

func (a *API) mountMetadata() {
	body := func(description string, types ...string) *huma.RequestBody {
		b := &huma.RequestBody{Description: description, Required: true, Content: map[string]*huma.MediaType{}}
		for _, t := range types {
			b.Content[t] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}}
		}
		return b
	}
	whole := body("The object as it is to be.", "application/json")
	patch := body("What is to change: null takes a member away, an object is merged into, anything else replaces.", mergePatch, "application/json")
	problems := map[int]string{
		http.StatusPreconditionFailed: "The object is not in the version that If-Match names.", http.StatusRequestEntityTooLarge: "The object would be larger than metadata { max_size } allows.",
		http.StatusUnprocessableEntity: "The object would not fit its schema. `field` names the scope and, as a JSON Pointer, the place.",
	}
	off := a.cfg.OwnMetadata == nil
	register(a, operation{
		method: http.MethodPut, path: "/v1/account/metadata", id: "replace-own-metadata", tag: "account", off: off, access: user, maxBody: maxMetadataBody, body: whole,
		summary: "Replace the account's own metadata", description: "Of the scope user, the only one that people write themselves. GET /v1/account reads it.",
		ok: "The object as it is now.", problems: problems,
	}, func(ctx context.Context, who asker, in *ownMetadataInput) (*metadataOutput, error) {
		return a.changeOwnMetadata(ctx, who, in.IfMatch, metadata.Change{Replace: in.RawBody})
	})
	register(a, operation{
		method: http.MethodPatch, path: "/v1/account/metadata", id: "merge-own-metadata", tag: "account", off: off, access: user, maxBody: maxMetadataBody, body: patch,
		mergePatch: true,
		summary:    "Change the account's own metadata", description: "By a merge patch (RFC 7396) to the scope user.", ok: "The object as it is now.", problems: problems,
	}, func(ctx context.Context, who asker, in *ownMetadataInput) (*metadataOutput, error) {
		return a.changeOwnMetadata(ctx, who, in.IfMatch, metadata.Change{Merge: in.RawBody})
	})

	off = a.cfg.UserMetadata == nil
	const path = "/v1/admin/users/{user_id}/metadata/{scope}"
	none404 := map[int]string{http.StatusNotFound: "There is no such account."}
	change := map[int]string{http.StatusNotFound: none404[http.StatusNotFound]}
	for status, when := range problems {
		change[status] = when
	}
	register(a, operation{
		method: http.MethodGet, path: path, id: "get-metadata", tag: "users", off: off, access: application,
		summary: "Show an account's metadata", description: "Of one scope. The application, with its key, has public and user.", ok: "The object.", problems: none404,
	}, func(ctx context.Context, who asker, in *scopePath) (*metadataOutput, error) {
		if err := who.mayTouch(in.Scope); err != nil {
			return nil, err
		}
		return metadataAnswer(a.cfg.UserMetadata.Metadata(ctx, in.ID, in.Scope))
	})
	register(a, operation{
		method: http.MethodPut, path: path, id: "replace-metadata", tag: "users", off: off, access: application, maxBody: maxMetadataBody, body: whole,
		summary: "Replace an account's metadata", description: "Of one scope. The application, with its key, has public and user.", ok: "The object as it is now.", problems: change,
	}, func(ctx context.Context, who asker, in *userMetadataInput) (*metadataOutput, error) {
		return a.changeMetadata(ctx, who, in, metadata.Change{Replace: in.RawBody})
	})
	register(a, operation{
		method: http.MethodPatch, path: path, id: "merge-metadata", tag: "users", off: off, access: application, maxBody: maxMetadataBody, body: patch, mergePatch: true,
		summary: "Change an account's metadata", description: "By a merge patch (RFC 7396) to one scope. The application, with its key, has public and user.",
		ok: "The object as it is now.", problems: change,
	}, func(ctx context.Context, who asker, in *userMetadataInput) (*metadataOutput, error) {
		return a.changeMetadata(ctx, who, in, metadata.Change{Merge: in.RawBody})
	})
}

// mayTouch keeps the application's key out of what administrators keep to themselves.
func (who asker) mayTouch(scope metadata.Scope) error {
	if scope == metadata.Private && who.application {
		return errNotAnAdmin
	}
	return nil
}

func (a *API) changeOwnMetadata(ctx context.Context, who asker, ifMatch string, c metadata.Change) (*metadataOutput, error) {
	var err error
	if c.Version, err = version(ifMatch); err != nil {
		return nil, err
	}
	return metadataAnswer(a.cfg.OwnMetadata.ChangeOwnMetadata(ctx, who.principal, c))
}

func (a *API) changeMetadata(ctx context.Context, who asker, in *userMetadataInput, c metadata.Change) (*metadataOutput, error) {
	if err := who.mayTouch(in.Scope); err != nil {
		return nil, err
	}
	c.Scope = in.Scope
	var err error
	if c.Version, err = version(in.IfMatch); err != nil {
		return nil, err
	}
	return metadataAnswer(a.cfg.UserMetadata.ChangeMetadata(ctx, who.actor(), in.ID, c))
}

func metadataAnswer(o metadata.Object, err error) (*metadataOutput, error) {
	if errors.Is(err, metadata.ErrVersion) {
		f := fault.From(err)
		return nil, newProblem(http.StatusPreconditionFailed, f.Code, f.Message, ProblemDetail{Location: "header.If-Match", Message: "not the present version"})
	}
	if err != nil {
		return nil, err
	}
	return &metadataOutput{ETag: etag(o.Version), Body: metadataOf(o)}, nil
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// version reads an If-Match header (RFC 9110 §13.1.1) with one of our ETags.
func version(ifMatch string) (*int64, error) {
	if ifMatch == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(strings.Trim(ifMatch, `"`), 10, 64)
	if err != nil || etag(n) != ifMatch {
		return nil, newProblem(http.StatusBadRequest, "malformed_header", "If-Match takes one ETag, as it was answered: a number in quotes.",
			ProblemDetail{Location: "header.If-Match", Message: "not one of our ETags"})
	}
	return &n, nil
}
