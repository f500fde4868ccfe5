package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// maxFile bounds what file("…") reads: secrets and certificates, not data.
const maxFile = 64 * kib

// callError is what a function of the file says when it fails; its text is written for the user and becomes the diagnostic.
type callError struct{ problem }

func (e *callError) Error() string { return e.is }

// EvalContext is the world that expressions see in a file lying in the folder dir: env("NAME"), env("NAME", "default") and
// file("path"). Nothing else, and no variables.
func EvalContext(dir string) *hcl.EvalContext {
	s := newSource(nil, "", nil)
	s.dir = dir
	return s.evalContext()
}

func (s *source) evalContext() *hcl.EvalContext {
	text := func(name string) function.Parameter { return function.Parameter{Name: name, Type: cty.String} }
	rest := text("default")
	return &hcl.EvalContext{Functions: map[string]function.Function{
		"env": function.New(&function.Spec{
			Params:   []function.Parameter{text("name")},
			VarParam: &rest,
			Type:     function.StaticReturnType(cty.String),
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				v, err := s.env(args)
				return cty.StringVal(v), err
			},
		}),
		"file": function.New(&function.Spec{
			Params: []function.Parameter{text("path")},
			Type:   function.StaticReturnType(cty.String),
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				v, err := s.file(args[0].AsString())
				return cty.StringVal(v), err
			},
		}),
	}}
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (s *source) env(args []cty.Value) (string, error) {
	name := args[0].AsString()
	if len(args) > 2 {
		return "", &callError{problem{is: "env takes a name and at most one default", want: `Write env("NAME") or env("NAME", "default").`}}
	}
	if !variableName.MatchString(name) {
		return "", &callError{problem{is: "this is no name of an environment variable", want: `A name has letters, digits and underscores, without a dollar sign: env("SIGRA_ROOT_KEY").`,
			try: s.variableLike(strings.Trim(name, "${} "))}}
	}
	if v, ok := s.lookup(name); ok {
		if !utf8.ValidString(v) {
			return "", &callError{problem{is: "the environment variable " + name + " is not valid UTF-8", want: "Encode binary values, as base64 for instance."}}
		}
		return v, nil
	}
	if len(args) == 2 {
		return args[1].AsString(), nil
	}
	return "", &callError{problem{
		is:   "the environment variable " + name + " is not set, or empty",
		want: fmt.Sprintf("Set it before Sigra starts, or give a default: env(%q, \"…\").", name),
		try:  s.variableLike(name),
	}}
}

// variableLike looks for a variable whose name is nearly name. Only names are ever shown.
func (s *source) variableLike(name string) string {
	var names []string
	for _, kv := range s.environ {
		if k, v, ok := strings.Cut(kv, "="); ok && v != "" && variableName.MatchString(k) {
			names = append(names, k)
		}
	}
	if like := Suggest(name, names); like != "" {
		return fmt.Sprintf("env(%q)", like)
	}
	return ""
}

func (s *source) file(name string) (string, error) {
	if name == "" || strings.ContainsRune(name, 0) {
		return "", &callError{problem{is: "file needs the path of a file"}}
	}
	path := s.path(name)
	fail := func(is, want string) (string, error) { return "", &callError{problem{is: is, want: want}} }
	b, err := readFile(path, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		hint := "There is no such file."
		if path != name {
			hint += " A relative path starts at the folder of the configuration file."
		}
		return fail("the file "+path+" can't be read", hint)
	case errors.Is(err, fs.ErrPermission):
		return fail("the file "+path+" can't be read", "Permission is denied to the user that runs Sigra.")
	case errors.Is(err, errNotRegular):
		return fail(path+" is not a regular file", "A folder or a device can't be read as a value.")
	case errors.Is(err, errTooLarge):
		return fail("the file "+path+" is larger than 64 KiB", "file(…) is for secrets and other short texts.")
	case err != nil:
		return fail("the file "+path+" can't be read", sentence(reason(err)))
	case !utf8.Valid(b):
		return fail("the file "+path+" is not valid UTF-8", "Encode binary values, as base64 for instance.")
	}
	// Editors and `echo` end a file with a newline that is no part of the secret. One is taken off, not all: the rest is content.
	b = bytes.TrimSuffix(b, []byte("\n"))
	return string(bytes.TrimSuffix(b, []byte("\r"))), nil
}

var (
	errNotRegular = errors.New("not a regular file")
	errTooLarge   = errors.New("too large")
)

// readFile reads a regular file of at most limit bytes. It does not hang on a pipe.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, errTooLarge
	}
	return b, nil
}

// reason is what the operating system said, without the path that the message names already.
func reason(err error) string {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// sentence makes a sentence of a clause.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	r, n := utf8.DecodeRuneInString(s)
	s = strings.ToUpper(string(r)) + s[n:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}
