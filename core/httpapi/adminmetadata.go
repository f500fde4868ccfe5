package httpapi

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/administration"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// UserMetadata is what administrators and the application keep with accounts; *administration.Service is one.
type UserMetadata interface {
	Metadata(ctx context.Context, userID uuid.UUID, scope metadata.Scope) (metadata.Object, error)
	ChangeMetadata(ctx context.Context, actor audit.Ref, userID uuid.UUID, c metadata.Change) (metadata.Object, error)
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

// adminMetadata is what administrators and the application keep with accounts.
type adminMetadata struct {
	flows UserMetadata
	limit func() int64
}

// Mount adds the operations.
func (d adminMetadata) Mount(k *kit) {
	off := d.flows == nil
	const path = "/v1/admin/users/{user_id}/metadata/{scope}"
	none404 := map[int]string{http.StatusNotFound: "There is no such account."}
	change := metadataProblems()
	change[http.StatusNotFound] = none404[http.StatusNotFound]
	register(k, operation{
		method: http.MethodGet, path: path, id: "get-metadata", tag: "users", off: off,
		limit: ratelimit.General, access: endpoint.Application,
		summary: "Show an account's metadata", description: "Of one scope. The application, with its key, has public and user.", ok: "The object.", problems: none404,
	}, func(ctx context.Context, who asker, in *scopePath) (*metadataOutput, error) {
		if err := who.mayTouch(in.Scope); err != nil {
			return nil, err
		}
		return metadataAnswer(d.flows.Metadata(ctx, in.ID, in.Scope))
	})
	register(k, operation{
		method: http.MethodPut, path: path, id: "replace-metadata", tag: "users", off: off, body: wholeMetadata(),
		limit: ratelimit.General, access: endpoint.Application, maxBody: maxMetadataBody, bodyNow: d.limit, maxValues: maxMetadataValues,
		summary: "Replace an account's metadata", description: "Of one scope. The application, with its key, has public and user.", ok: "The object as it is now.", problems: change,
	}, func(ctx context.Context, who asker, in *userMetadataInput) (*metadataOutput, error) {
		return d.change(ctx, who, in, metadata.Change{Replace: in.RawBody})
	})
	register(k, operation{
		method: http.MethodPatch, path: path, id: "merge-metadata", tag: "users", off: off, body: metadataPatch(), mergePatch: true,
		limit: ratelimit.General, access: endpoint.Application, maxBody: maxMetadataBody, bodyNow: d.limit, maxValues: maxMetadataValues,
		summary: "Change an account's metadata", description: "By a merge patch (RFC 7396) to one scope. The application, with its key, has public and user.",
		ok: "The object as it is now.", problems: change,
	}, func(ctx context.Context, who asker, in *userMetadataInput) (*metadataOutput, error) {
		return d.change(ctx, who, in, metadata.Change{Merge: in.RawBody})
	})
}

// mayTouch keeps the application's key out of what administrators keep to themselves.
func (who asker) mayTouch(scope metadata.Scope) error {
	if scope == metadata.Private && who.principal.Kind == principal.Application {
		return administration.ErrRequired
	}
	return nil
}

func (d adminMetadata) change(ctx context.Context, who asker, in *userMetadataInput, c metadata.Change) (*metadataOutput, error) {
	if err := who.mayTouch(in.Scope); err != nil {
		return nil, err
	}
	c.Scope = in.Scope
	var err error
	if c.Version, err = version(in.IfMatch); err != nil {
		return nil, err
	}
	return metadataAnswer(d.flows.ChangeMetadata(ctx, who.actor(), in.ID, c))
}
