package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sigra-auth/sigra/core/fault"
)

// checkQuery refuses a query that could be read in two ways, or that no text column could hold.
func checkQuery(raw string, repeatable []string) *Problem {
	if raw == "" {
		return nil
	}
	q, err := url.ParseQuery(raw)
	if err != nil {
		return newProblem(http.StatusBadRequest, "malformed_query", "The query can't be read: it holds a broken escape or a semicolon.",
			ProblemDetail{Location: "query", Message: "broken escape or semicolon"})
	}
	for name, values := range q {
		at := "query." + clip(strings.ToValidUTF8(strings.ReplaceAll(name, "\x00", ""), ""))
		if len(values) > 1 && !slices.Contains(repeatable, name) {
			return newProblem(http.StatusBadRequest, "duplicate_parameter", "The parameter "+strconv.QuoteToGraphic(clip(name))+" is given more than once.",
				ProblemDetail{Location: at, Message: "given more than once"})
		}
		for _, v := range append(values, name) {
			if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				return newProblem(http.StatusBadRequest, "malformed_query", "The query holds what is no text.", ProblemDetail{Location: at, Message: "not text"})
			}
		}
	}
	return nil
}

// inQuery says of a fault that its field is a query parameter.
func inQuery(err error) error {
	f := fault.From(err)
	if f == nil || f.Kind != fault.Invalid || f.Field == "" {
		return err
	}
	return f.At("query." + f.Field)
}
