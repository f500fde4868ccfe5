package httpapi

import (
	"encoding/json"
	"net/http"
	"regexp"

	"github.com/gorilla/mux"
)

// edgeProblems are the codes that the API itself answers with, whatever the operation. Those of an operation come
// from the domain, each with a detail of its own.
var edgeProblems = map[string]string{
	"unauthenticated":        "No session, or one that has ended. Sign in.",
	"invalid_authorization":  "The Authorization header must be \"Bearer\" and one token.",
	"administrator_required": "Only an administrator may do this, or an operator over the control socket.",
	"user_required":          "Only a signed-in user may do this. An operator has no account.",
	"application_required":   "Only the application with its key, an administrator or an operator may do this.",
	"local_only":             "Only the machine that Sigra runs on may ask for this.",
	"step_up_required":       "Only after recent authentication: see POST /v1/step-up.",
	"not_available":          "The server runs without the part that the operation needs.",
	"no_such_path":           "There is nothing at the path.",
	"method_not_allowed":     "The path does not take this method. The Allow header names those it takes.",
	"malformed_query":        "The query can't be read.",
	"duplicate_parameter":    "A query parameter is given more than once.",
	"malformed_json":         "The body is not one JSON text in UTF-8. errors names line, column and offset.",
	"malformed_body":         "The body can't be read.",
	"trailing_data":          "Something follows the JSON value in the body.",
	"duplicate_member":       "A member is given twice in one object.",
	"too_deep":               "The body nests too deep.",
	"too_many_values":        "The body holds more values than the operation takes.",
	"number_out_of_range":    "A number in the body is too large.",
	"invalid_character":      "A text in the body holds the null character.",
	"body_required":          "The operation needs a body.",
	"body_too_large":         "The body is larger than the operation takes.",
	"body_timeout":           "The body took too long to arrive.",
	"body_incomplete":        "The body ended before it was complete.",
	"unsupported_media_type": "The body is not application/json in UTF-8, or it is encoded.",
	"validation_failed":      "A member or parameter is unknown, missing, or not what the operation takes. errors names each.",
	"too_many_streams":       "The server has as many open streams as it takes.",
	"internal":               "A failure on the server's side. request_id names it in the server's log.",
	"rate_limited":           "Too many requests. Retry-After says when to try again.",
	"database_unavailable":   "The database can't be reached or is too busy. Retry-After says when to try again.",
}

var codePattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// mountProblems makes a problem's type resolve to a word on it.
func (k *kit) mountProblems() {
	const path = "/problems/{code}"
	k.plain(path)
	k.router.Path(path).Methods(http.MethodGet).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code := mux.Vars(r)["code"]
		if !codePattern.MatchString(code) {
			notFound(w, r)
			return
		}
		about := edgeProblems[code]
		if about == "" {
			about = "Particular to an operation; the problem's detail says what went wrong."
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-cache")
		_ = json.NewEncoder(w).Encode(map[string]string{"type": "/problems/" + code, "title": titleOf(code), "code": code, "description": about}) // the client may be gone
	})
}
