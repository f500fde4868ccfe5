package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The bounds of an object.
const (
	MaxDepth    = 32
	maxNumber   = 64  // bytes of a number
	maxExponent = 308 // of a float64; a number is worked out exactly when a schema compares it, which beyond costs without end
	maxPointer  = 256 // bytes of a pointer that is quoted
)

// Error says what is wrong with an object, and where.
type Error struct {
	Pointer string // RFC 6901; empty: the object itself
	Message string // "is not a string"
}

func (e *Error) Error() string {
	if e.Pointer == "" {
		return "the object " + e.Message
	}
	return e.Pointer + " " + e.Message
}

// ParseObject reads one JSON object that every parser reads alike: UTF-8, no member twice, no deeper than MaxDepth. Numbers
// stay as they are written (json.Number). The error is an *Error.
func ParseObject(b []byte) (map[string]any, error) {
	if !utf8.Valid(b) {
		return nil, &Error{Message: "is not UTF-8"}
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	v, err := read(dec, nil)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, &Error{Message: "is followed by something"}
	}
	o, ok := v.(map[string]any)
	if !ok {
		return nil, &Error{Message: "is not a JSON object"}
	}
	return o, nil
}

func read(dec *json.Decoder, at []string) (any, error) {
	wrong := func(message string) error { return &Error{Pointer: Pointer(at), Message: message} }
	tok, err := dec.Token()
	if err != nil {
		return nil, wrong("is not JSON")
	}
	switch v := tok.(type) {
	case json.Number:
		if !sensible(v) {
			return nil, wrong("is a number too long, too large or too small")
		}
		return v, nil
	case string:
		if strings.ContainsRune(v, 0) {
			return nil, wrong("has the null character in it")
		}
		return v, nil
	case json.Delim:
		if len(at) >= MaxDepth {
			return nil, wrong(fmt.Sprintf("nests deeper than %d levels", MaxDepth))
		}
		if v == '[' {
			return readArray(dec, at)
		}
		return readObject(dec, at)
	}
	return tok, nil // a boolean, or null
}

func readArray(dec *json.Decoder, at []string) (any, error) {
	out := []any{}
	for dec.More() {
		v, err := read(dec, append(slices.Clone(at), strconv.Itoa(len(out))))
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, closed(dec, at)
}

func readObject(dec *json.Decoder, at []string) (any, error) {
	out := map[string]any{}
	for dec.More() {
		tok, err := dec.Token()
		name, ok := tok.(string)
		if err != nil || !ok {
			return nil, &Error{Pointer: Pointer(at), Message: "is not JSON"}
		}
		in := append(slices.Clone(at), name)
		if _, twice := out[name]; twice {
			return nil, &Error{Pointer: Pointer(in), Message: "is given twice"}
		}
		if strings.ContainsRune(name, 0) {
			return nil, &Error{Pointer: Pointer(at), Message: "has a member with the null character in its name"}
		}
		if out[name], err = read(dec, in); err != nil {
			return nil, err
		}
	}
	return out, closed(dec, at)
}

func closed(dec *json.Decoder, at []string) error {
	if _, err := dec.Token(); err != nil {
		return &Error{Pointer: Pointer(at), Message: "is not JSON"}
	}
	return nil
}

func sensible(n json.Number) bool {
	if len(n) > maxNumber {
		return false
	}
	_, exponent, ok := strings.Cut(strings.ToLower(n.String()), "e")
	if !ok {
		return true
	}
	e, err := strconv.Atoi(exponent)
	return err == nil && e <= maxExponent && e >= -maxExponent
}

// Pointer names a place in an object (RFC 6901).
func Pointer(path []string) string {
	var b strings.Builder
	for _, p := range path {
		b.WriteByte('/')
		b.WriteString(escape.Replace(p))
		if b.Len() > maxPointer {
			return strings.ToValidUTF8(b.String()[:maxPointer], "") + "…"
		}
	}
	return b.String()
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")

// Merge applies a merge patch (RFC 7396): a null takes a member away, an object is merged into, anything else replaces. Neither
// argument is changed.
func Merge(target, patch map[string]any) map[string]any {
	out := make(map[string]any, len(target)+len(patch))
	for name, v := range target {
		out[name] = v
	}
	for name, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(out, name)
		case map[string]any:
			into, _ := out[name].(map[string]any)
			out[name] = Merge(into, v)
		default:
			out[name] = v
		}
	}
	return out
}

// Marshal writes an object in the one form it is kept in: compact, members sorted, nothing escaped that need not be.
func Marshal(o map[string]any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(o); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
