package web

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/request"
)

// Signals says what browsers are to know of passkeys: whether nobody has one that was shown, and where else they are good; *passkey.Store does.
type Signals interface {
	UnknownCredential(err error) (passkey.Signals, bool)
	RelatedOrigins() (document []byte, ok bool) // other sites that may use the same passkeys
}

// scripts answers the scripts of the pages, in JSON.
type scripts struct {
	*renderer
	ReturnTo
	signal Signals // nil: browsers are not told of passkeys that nobody has
}

// passkeyScripts is what a page with a passkey runs.
var passkeyScripts = []string{"passkey.js"}

// answered is what assets/passkey.js sends: to begin a ceremony the fields alone, to end it all three.
type answered struct {
	Token      string            `json:"token"`
	Credential json.RawMessage   `json:"credential"`
	Fields     map[string]string `json:"fields"`
}

// factor is what was answered, for the flows.
func (a answered) factor() factor.Proof {
	return factor.Proof{Method: factor.Passkey, Ceremony: a.Token, Credential: a.Credential}
}

var errNotJSON = fault.New(fault.Invalid, "malformed_request", "The request can't be read.")

// readAnswer reads what the script sent, as much of it as the address takes.
func readAnswer(w http.ResponseWriter, r *http.Request, limit int64) (answered, error) {
	var a answered
	// Another site's form can't send this type, and its script not without asking (ASVS 5.0 3.5.2).
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return a, errNotJSON
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		return a, errBigForm
	}
	if err != nil {
		return a, errNotJSON.Because(err)
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return a, errNotJSON.Because(err)
	}
	return a, nil
}

// script answers the script.
func (p *scripts) script(w http.ResponseWriter, r *http.Request, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		p.log.Error("answer not written", "request_id", request.From(r.Context()).ID, "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// offer answers with a ceremony that was begun, or says why none was.
func (p *scripts) offer(w http.ResponseWriter, r *http.Request, c passkey.Ceremony, err error) {
	if err != nil {
		p.scriptFailed(w, r, err)
		return
	}
	p.script(w, r, http.StatusOK, struct {
		Token   string          `json:"token"`
		Options json.RawMessage `json:"options"`
	}{c.Token, c.Options})
}

// goOn has the script load the next page.
func (p *scripts) goOn(w http.ResponseWriter, r *http.Request, address string) {
	p.script(w, r, http.StatusOK, struct {
		Redirect string `json:"redirect"`
	}{address})
}

// scriptFailed tells the script what to say, and the browser that nobody has the passkey it showed, where that is so.
func (p *scripts) scriptFailed(w http.ResponseWriter, r *http.Request, err error) {
	f, l := fault.From(err), p.in(r)
	out := struct {
		Code    string           `json:"code"`
		Message string           `json:"message"`
		Signal  *passkey.Signals `json:"signal,omitempty"`
	}{Code: f.Code, Message: p.say(l, f)}
	switch {
	case f.Kind == fault.Internal:
		p.log.Error("request failed", "request_id", request.From(r.Context()).ID, "error", err)
		out.Message = l.Text("page.error.heading_internal") + ". " + l.Text("fault.internal")
	case f.RetryAfter > 0:
		retryAfter(w, f)
		out.Message += " " + inWords(l, f.RetryAfter)
	}
	if p.signal != nil {
		if s, ok := p.signal.UnknownCredential(err); ok {
			out.Signal = &s
		}
	}
	p.script(w, r, statusOf(f.Kind), out)
}

// ownScriptFailed is scriptFailed for whoever has to be signed in: where that is over, or has to be proved anew, the script leads
// there, and from there to back.
func (p *scripts) ownScriptFailed(w http.ResponseWriter, r *http.Request, err error, back string) {
	f, l := fault.From(err), p.in(r)
	var say, to string
	switch {
	case needsProof(err):
		say, to = l.Text("page.account.proof"), p.stepUpPath(back, "")
	case f.Kind == fault.Unauthenticated && f.Code == "unauthenticated":
		say, to = p.say(l, f), p.SignIn(back, 0, "", false)
	default:
		p.scriptFailed(w, r, err)
		return
	}
	p.script(w, r, statusOf(f.Kind), struct {
		Code     string `json:"code"`
		Message  string `json:"message"`
		Redirect string `json:"redirect"`
	}{f.Code, say, to})
}
