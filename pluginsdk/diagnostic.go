package pluginsdk

import (
	"strings"
)

// DiagnosticError points at a setting. The host shows it with the file, line and column the user wrote it on.
type DiagnosticError struct {
	Path    []string // in the config block: "listener", "0", "port"; empty: the block as a whole
	Summary string   // a sentence: what is wrong
	Detail  string   // what would be right; may be empty
}

// Error implements error.
func (e *DiagnosticError) Error() string {
	var b strings.Builder
	if len(e.Path) > 0 {
		b.WriteString(strings.Join(e.Path, "."))
		b.WriteString(": ")
	}
	b.WriteString(e.Summary)
	if e.Detail != "" {
		b.WriteString(" ")
		b.WriteString(e.Detail)
	}
	return b.String()
}

// Diagnostic says that the setting at path ("greeting", "listener.0.port", "tenant.acme.url") is wrong. Return it from
// Configure; several can be joined with errors.Join.
func Diagnostic(path, summary, detail string) error {
	if path == "" {
		return DiagnosticAt(nil, summary, detail)
	}
	return DiagnosticAt(strings.Split(path, "."), summary, detail)
}

// DiagnosticAt is Diagnostic for paths with labels that contain dots.
func DiagnosticAt(path []string, summary, detail string) error {
	return &DiagnosticError{Path: path, Summary: summary, Detail: detail}
}

// diagnostics finds every DiagnosticError in a tree of errors; whole is false when something else is in it too.
func diagnostics(err error) (found []*DiagnosticError, whole bool) {
	switch e := err.(type) { //nolint:errorlint // the tree is walked here by hand
	case nil:
		return nil, true
	case *DiagnosticError:
		return []*DiagnosticError{e}, true
	case interface{ Unwrap() []error }:
		whole = true
		for _, sub := range e.Unwrap() {
			d, w := diagnostics(sub)
			found = append(found, d...)
			whole = whole && w
		}
		return found, whole
	case interface{ Unwrap() error }:
		return diagnostics(e.Unwrap())
	}
	return nil, false
}
