package httpapi

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// Bodies of operations. A JSON string may spell each of its bytes with six (RFC 8259 §7), so a password of 4096 characters and
// the members around it fit into the second.
const (
	smallBody     = 8 << 10  // tokens, codes, addresses
	passwordBody  = 40 << 10 // with a password, or a captcha's answer
	passkeyBody   = 32 << 10 // with what a passkey answers, certificates among it
	adminBody     = 64 << 10 // with a list of ids
	emptyBody     = 1 << 10  // of an operation that takes none: some clients send {} all the same
	strangersBody = 64 << 10 // more is read only from somebody who may use the operation
)

// maxValues bounds the names and values in a body, of an operation that does not say otherwise: none of those has fifty.
const maxValues = 200

// operation is what is said once of each operation: to the router, to the document, to the server and to the guard in front
// of it. Limit, access and, where there is a body, its limit have no default: without them an operation does not mount.
type operation struct {
	method, path string
	id           string // operationId
	tag          string
	summary      string
	description  string

	limit   ratelimit.Class
	access  endpoint.Access
	recent  bool  // only after recent authentication
	maxBody int64 // bytes

	off        bool              // the part of the server it needs is not there
	status     int               // of success
	ok         string            // what success means, for the document
	problems   map[int]string    // statuses particular to this operation, with when they come
	bodyNow    func() int64      // a limit below maxBody that may change while running; nil: maxBody it is
	maxValues  int               // names and values in the body; 0 means maxValues
	repeatable []string          // query parameters that may be given more than once
	mergePatch bool              // the body may also be application/merge-patch+json
	body       *huma.RequestBody // said by hand, where the input has RawBody
	takesBody  bool              // set by register
	content    []string          // media types of success when it is not JSON
}

// rules are the operation's for everybody outside of this package.
func (op operation) rules() endpoint.Rules {
	return endpoint.Rules{Limit: op.limit, Access: op.access, Recent: op.recent, Body: max(op.maxBody, emptyBody)}
}

// bodyLimit is how much of a body is read.
func (op operation) bodyLimit() int64 {
	if op.bodyNow != nil {
		return min(op.bodyNow(), op.maxBody)
	}
	return max(op.maxBody, emptyBody)
}

// values is how many values a body may have.
func (op operation) values() int {
	if op.maxValues > 0 {
		return op.maxValues
	}
	return maxValues
}

// hasRequestBody tells the methods whose requests have a body at all.
func (op operation) hasRequestBody() bool {
	return op.method != http.MethodGet && op.method != http.MethodDelete
}

// none is the input of an operation that takes nothing.
type none struct{}

// empty is the output of an operation that answers 204.
type empty struct{}
