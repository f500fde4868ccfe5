package httpapi

import (
	"context"
	"net/http"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// OwnMetadata is what people keep with their own account.
type OwnMetadata interface {
	ChangeOwnMetadata(ctx context.Context, p principal.Principal, c metadata.Change) (metadata.Object, error)
}

type ownMetadataInput struct {
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag of the version that is to be changed. Without it, whichever there is." example:"\"3\""`
	RawBody []byte `contentType:"application/json"`
}

// accountMetadata is what whoever is signed in keeps with their account.
type accountMetadata struct {
	flows OwnMetadata
	limit func() int64
}

// Mount adds the operations.
func (d accountMetadata) Mount(k *kit) {
	off := d.flows == nil
	register(k, operation{
		method: http.MethodPut, path: "/v1/account/metadata", id: "replace-own-metadata", tag: "account", off: off, body: wholeMetadata(),
		limit: ratelimit.General, access: endpoint.SignedIn, maxBody: maxMetadataBody, bodyNow: d.limit, maxValues: maxMetadataValues,
		summary: "Replace the account's own metadata", description: "Of the scope user, the only one that people write themselves. GET /v1/account reads it.",
		ok: "The object as it is now.", problems: metadataProblems(),
	}, func(ctx context.Context, who asker, in *ownMetadataInput) (*metadataOutput, error) {
		return d.change(ctx, who, in.IfMatch, metadata.Change{Replace: in.RawBody})
	})
	register(k, operation{
		method: http.MethodPatch, path: "/v1/account/metadata", id: "merge-own-metadata", tag: "account", off: off, body: metadataPatch(),
		limit: ratelimit.General, access: endpoint.SignedIn, maxBody: maxMetadataBody, bodyNow: d.limit, maxValues: maxMetadataValues,
		mergePatch: true,
		summary:    "Change the account's own metadata", description: "By a merge patch (RFC 7396) to the scope user.", ok: "The object as it is now.", problems: metadataProblems(),
	}, func(ctx context.Context, who asker, in *ownMetadataInput) (*metadataOutput, error) {
		return d.change(ctx, who, in.IfMatch, metadata.Change{Merge: in.RawBody})
	})
}

func (d accountMetadata) change(ctx context.Context, who asker, ifMatch string, c metadata.Change) (*metadataOutput, error) {
	var err error
	if c.Version, err = version(ifMatch); err != nil {
		return nil, err
	}
	return metadataAnswer(d.flows.ChangeOwnMetadata(ctx, who.principal, c))
}
