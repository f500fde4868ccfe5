package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/metadata"
)

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

// maxMetadataBody is what a change may have at most, whatever is configured: twice the largest object there can be, for white space.
const maxMetadataBody = 520 << 10

// maxMetadataValues bounds the values in it. Each of them takes two bytes at least.
const maxMetadataValues = maxMetadataBody / 2

// mergePatch is the media type of a merge patch (RFC 7396 §4).
const mergePatch = "application/merge-patch+json"

// metadataBody is a body that is an object, or a change of one, for the document.
func metadataBody(description string, types ...string) *huma.RequestBody {
	b := &huma.RequestBody{Description: description, Required: true, Content: map[string]*huma.MediaType{}}
	for _, t := range types {
		b.Content[t] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}}
	}
	return b
}

// wholeMetadata and metadataPatch are the bodies that replace and that change an object.
func wholeMetadata() *huma.RequestBody {
	return metadataBody("The object as it is to be.", "application/json")
}

func metadataPatch() *huma.RequestBody {
	return metadataBody("What is to change: null takes a member away, an object is merged into, anything else replaces.", mergePatch, "application/json")
}

// metadataProblems are the statuses of a change.
func metadataProblems() map[int]string {
	return map[int]string{
		http.StatusPreconditionFailed: "The object is not in the version that If-Match names.", http.StatusRequestEntityTooLarge: "The object would be larger than metadata { max_size } allows.",
		http.StatusUnprocessableEntity: "The object would not fit its schema. `field` names the scope and, as a JSON Pointer, the place.",
	}
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
