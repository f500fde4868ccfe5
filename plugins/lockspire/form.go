package lockspire

import (
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
)

var (
	errNotForm  = errors.New("the body must be application/x-www-form-urlencoded")
	errFormSize = errors.New("the body is too long")
)

// form reads the body of a request, and nothing of its query: RFC 6749 §2.3.1 keeps credentials out of addresses.
func form(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, errNotForm
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return nil, errFormSize
	}
	in, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errNotForm
	}
	return in, nil
}

// programForm is form for programs: no parameter twice, none without a value (RFC 6749 §3.2).
func programForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST, OPTIONS")
		return nil, &protocolError{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Why: "use POST"}
	}
	in, err := form(w, r)
	if err != nil {
		return nil, refuse("invalid_request", err.Error())
	}
	in = withoutEmpty(in)
	for name, values := range in {
		if len(values) > 1 && name != "resource" {
			return nil, refuse("invalid_request", "a parameter is given more than once")
		}
	}
	return in, nil
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func hexOf(b []byte) string { return hex.EncodeToString(b) }
