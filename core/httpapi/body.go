package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

const maxDepth = 32

// readBody reads a request's whole body and looks at nothing in it. A body that is not there is nil; one that says itself that
// it is too large is not begun. How long it may take to arrive is core/server's to bound.
func readBody(r *http.Request, limit int64) ([]byte, *Problem) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	var over *http.MaxBytesError
	var timeout net.Error
	switch {
	case int64(len(body)) > limit || errors.As(err, &over):
		if over != nil {
			limit = min(limit, over.Limit)
		}
		return nil, tooLarge(limit)
	case errors.As(err, &timeout) && timeout.Timeout():
		return nil, newProblem(http.StatusRequestTimeout, "body_timeout", "The body took too long to arrive.")
	case err != nil:
		return nil, newProblem(http.StatusBadRequest, "body_incomplete", "The body ended before it was complete.")
	}
	return body, nil
}

func tooLarge(limit int64) *Problem {
	return newProblem(http.StatusRequestEntityTooLarge, "body_too_large", fmt.Sprintf("The body is larger than the %d bytes this operation takes.", limit))
}

func checkContentType(h http.Header, patch bool) *Problem {
	refuse := func(detail string) *Problem {
		return newProblem(http.StatusUnsupportedMediaType, "unsupported_media_type", detail)
	}
	if e := h.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return refuse("An encoded body is not taken. Send it as it is, without Content-Encoding.")
	}
	if len(h.Values("Content-Type")) != 1 {
		return refuse("Send one Content-Type header: application/json.")
	}
	mt, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || mt != "application/json" && (!patch || mt != mergePatch) {
		return refuse("Send the body as application/json.")
	}
	if cs, ok := params["charset"]; ok && !strings.EqualFold(cs, "utf-8") {
		return refuse("JSON is UTF-8 (RFC 8259 §8.1). Send application/json without another charset.")
	}
	return nil
}

// checkJSON refuses what two parsers could read differently: duplicate members, broken encoding, text after the
// value, numbers beyond a float64; and what costs a reader without need: depth. The null character is refused
// because no text in either database can hold it. A body of more than so many values is refused, too: each one that does not
// fit would be a mistake to name.
func checkJSON(body []byte, values int) *Problem {
	refuse := func(code, message string, at int64) *Problem {
		line, col := place(body, at)
		return newProblem(http.StatusBadRequest, code,
			fmt.Sprintf("The body can't be read at line %d, column %d: %s.", line, col, message),
			ProblemDetail{Location: "body", Message: message, Line: line, Column: col, Offset: at})
	}
	if !utf8.Valid(body) {
		return refuse("malformed_json", "the text is not UTF-8", firstInvalid(body))
	}
	type level struct {
		members map[string]struct{} // nil for an array
		name    bool                // a member's name comes next
	}
	var stack []level
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	for done := false; !done; {
		start := dec.InputOffset()
		tok, err := dec.Token()
		if err != nil {
			message, at := syntax(body)
			return refuse("malformed_json", message, at)
		}
		if values--; values < 0 {
			return refuse("too_many_values", "there are more values than this operation takes", start)
		}
		top := len(stack) - 1
		at := start + int64(bytes.IndexFunc(body[start:], func(r rune) bool { return !strings.ContainsRune(" \t\r\n,:", r) }))
		switch v := tok.(type) {
		case json.Delim:
			switch v {
			case '{', '[':
				if len(stack) == maxDepth {
					return refuse("too_deep", fmt.Sprintf("values nest deeper than %d levels", maxDepth), at)
				}
				if top >= 0 {
					stack[top].name = stack[top].members != nil
				}
				l := level{}
				if v == '{' {
					l = level{members: map[string]struct{}{}, name: true}
				}
				stack = append(stack, l)
				continue
			default:
				stack = stack[:top]
				done = len(stack) == 0
				continue
			}
		case string:
			if strings.ContainsRune(v, 0) {
				return refuse("invalid_character", "the null character is not taken", at)
			}
			if strings.ContainsRune(v, utf8.RuneError) && !bytes.Contains(body[at:dec.InputOffset()], []byte("\uFFFD")) && !wholeEscapes(body[at:dec.InputOffset()]) {
				return refuse("malformed_json", "an escape names half of a surrogate pair", at)
			}
			if top >= 0 && stack[top].name {
				if _, twice := stack[top].members[v]; twice {
					return refuse("duplicate_member", "the member "+strconv.QuoteToGraphic(clip(v))+" is given twice", at)
				}
				stack[top].members[v] = struct{}{}
				stack[top].name = false
				continue
			}
		case json.Number:
			if f, err := v.Float64(); err != nil || math.IsInf(f, 0) {
				return refuse("number_out_of_range", "the number is too large", at)
			}
		}
		if top >= 0 {
			stack[top].name = stack[top].members != nil
		}
		done = len(stack) == 0
	}
	end := dec.InputOffset()
	if rest := bytes.TrimLeft(body[end:], " \t\r\n"); len(rest) > 0 {
		return refuse("trailing_data", "something follows the JSON value", int64(len(body)-len(rest)))
	}
	return nil
}

// wholeEscapes reports that a replacement character in the decoded string was asked for by its own escape.
func wholeEscapes(raw []byte) bool {
	return bytes.Contains(bytes.ToLower(raw), []byte(`\ufffd`)) && !bytes.Contains(bytes.ToLower(raw), []byte(`\ud`))
}

// syntax says what is wrong with a text and at which byte.
func syntax(body []byte) (message string, at int64) {
	var whole json.RawMessage
	var se *json.SyntaxError
	if !errors.As(json.Unmarshal(body, &whole), &se) {
		return "this is not JSON", 0
	}
	if se.Error() == "unexpected end of JSON input" {
		return "the text ends too early", int64(len(body))
	}
	return se.Error(), max(0, se.Offset-1)
}

func firstInvalid(b []byte) int64 {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return int64(i)
		}
		i += n
	}
	return 0
}

// place gives line and column, both from 1, of a byte offset.
func place(b []byte, at int64) (line, column int) {
	before := b[:max(0, min(at, int64(len(b))))]
	line = 1 + bytes.Count(before, []byte("\n"))
	return line, len(before) - bytes.LastIndexByte(before, '\n')
}

// clip shortens what a client sent before it is quoted back.
func clip(s string) string {
	if len(s) <= 64 {
		return s
	}
	return strings.ToValidUTF8(s[:64], "") + "…"
}
