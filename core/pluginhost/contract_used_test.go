package pluginhost_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// What is in the contract works: every method of the host's services is served and every seam is called; the host reads every field that
// plugins send and fills every field that they get. A message that goes both ways is one that the host reads or fills. The package is
// type-checked, so that a field counts only where it is the contract's own that is meant.
func TestContract_everyFieldHasAnEffect(t *testing.T) {
	t.Parallel()
	used := usesOfTheContract(t)
	sent, got := map[protoreflect.FullName]bool{}, map[protoreflect.FullName]bool{} // by plugins
	var walk func(m protoreflect.MessageDescriptor, fields map[protoreflect.FullName]bool)
	walk = func(m protoreflect.MessageDescriptor, fields map[protoreflect.FullName]bool) {
		if !strings.HasPrefix(string(m.FullName()), "sigra.") {
			return
		}
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			if !fields[f.FullName()] {
				fields[f.FullName()] = true
				if f.Message() != nil && !f.IsMap() {
					walk(f.Message(), fields)
				}
			}
		}
	}
	for _, file := range contractFiles {
		for i := range file.Services().Len() {
			s := file.Services().Get(i)
			for j := range s.Methods().Len() {
				m := s.Methods().Get(j)
				if !used.calls[string(s.Name())+"."+string(m.Name())] {
					t.Errorf("%s is neither served nor called", m.FullName())
				}
				in, out := m.Input(), m.Output()
				if file == pluginv1.File_sigra_plugin_v1_plugin_proto {
					in, out = out, in // the host asks
				}
				walk(in, sent)
				walk(out, got)
			}
		}
	}
	for name := range sent {
		if !used.reads[name] && !(got[name] && used.sets[name]) {
			t.Errorf("the host never reads %s", name)
		}
	}
	for name := range got {
		if !used.sets[name] && !sent[name] {
			t.Errorf("the host never fills %s", name)
		}
	}
}

var contractFiles = []protoreflect.FileDescriptor{pluginv1.File_sigra_plugin_v1_plugin_proto, hostv1.File_sigra_host_v1_host_proto}

// contractUse is which fields of the contract the host's code reads and fills, by full name, and which methods it serves or calls, as
// Service.Method.
type contractUse struct {
	reads, sets map[protoreflect.FullName]bool
	calls       map[string]bool
}

func usesOfTheContract(t *testing.T) contractUse {
	t.Helper()
	fset := token.NewFileSet()
	pkgs := listPackages(t)
	var files []*ast.File
	for _, name := range pkgs.files {
		f, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	info := &types.Info{Selections: map[*ast.SelectorExpr]*types.Selection{}, Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		if pkgs.export[path] == "" {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(pkgs.export[path])
	})}
	if _, err := conf.Check("github.com/sigra-auth/sigra/core/pluginhost", fset, files, info); err != nil {
		t.Fatal(err)
	}
	u := contractUse{map[protoreflect.FullName]bool{}, map[protoreflect.FullName]bool{}, map[string]bool{}}
	for _, f := range files {
		written := map[ast.Expr]bool{} // what stands on the left of an assignment
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, l := range n.Lhs {
					written[l] = true
				}
			case *ast.CompositeLit:
				tv := info.Types[n]
				for _, e := range n.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok {
						if id, ok := kv.Key.(*ast.Ident); ok {
							u.field(u.sets, tv.Type, id.Name)
						}
					}
				}
			case *ast.SelectorExpr:
				sel := info.Selections[n]
				if sel == nil {
					return true
				}
				name, getter := strings.CutPrefix(sel.Obj().Name(), "Get")
				switch {
				case sel.Kind() == types.FieldVal && written[n]:
					u.field(u.sets, sel.Recv(), sel.Obj().Name())
				case sel.Kind() == types.FieldVal:
					u.field(u.reads, sel.Recv(), sel.Obj().Name())
				case getter:
					u.field(u.reads, receiverOf(sel), name)
				default:
					if service, ok := strings.CutSuffix(typeName(receiverOf(sel)), "Client"); ok {
						u.calls[service+"."+sel.Obj().Name()] = true
					}
				}
			case *ast.TypeSwitchStmt: // each case of a oneof is a field
				for _, c := range n.Body.List {
					for _, e := range c.(*ast.CaseClause).List {
						u.field(u.reads, info.Types[e].Type, "")
					}
				}
			case *ast.BasicLit: // a call by its name
				if m := calledByName.FindStringSubmatch(n.Value); m != nil {
					u.calls[m[1]+"."+m[2]] = true
				}
			case *ast.FuncDecl:
				// A method that takes one of the contract's requests is that service's, by the embedded Unimplemented…Server.
				if fn, ok := info.Defs[n.Name].(*types.Func); ok && n.Recv != nil {
					recv := fn.Signature().Recv().Type()
					if s, ok := recv.Underlying().(*types.Struct); ok {
						for i := range s.NumFields() {
							if service, ok := strings.CutPrefix(strings.TrimSuffix(s.Field(i).Name(), "Server"), "Unimplemented"); ok {
								u.calls[service+"."+n.Name.Name] = true
							}
						}
					}
				}
			}
			return true
		})
	}
	return u
}

var calledByName = regexp.MustCompile(`\.([A-Z][A-Za-z]+)/([A-Z][A-Za-z]+)"$`)

// receiverOf is the type that a method was declared on, which embedding may hide.
func receiverOf(sel *types.Selection) types.Type {
	if fn, ok := sel.Obj().(*types.Func); ok && fn.Signature().Recv() != nil {
		return fn.Signature().Recv().Type()
	}
	return sel.Recv()
}

func typeName(t types.Type) string {
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	if n, ok := t.(*types.Named); ok {
		return n.Obj().Name()
	}
	return ""
}

// field notes a field of a message by its Go name; an empty one is the only field of a oneof's case.
func (u contractUse) field(to map[protoreflect.FullName]bool, t types.Type, name string) {
	if t == nil {
		return
	}
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	n, ok := t.(*types.Named)
	if !ok || n.Obj().Pkg() == nil {
		return
	}
	for _, file := range contractFiles {
		if !strings.HasSuffix(n.Obj().Pkg().Path(), strings.TrimSuffix("proto/"+file.Path(), "/"+filepath.Base(file.Path()))) {
			continue
		}
		for m := range messages(file.Messages()) {
			goName := strings.ReplaceAll(strings.TrimPrefix(string(m.FullName()), string(file.Package())+"."), ".", "_")
			for i := range m.Fields().Len() {
				f := m.Fields().Get(i)
				is := goFieldName(string(f.Name()))
				switch {
				case n.Obj().Name() == goName && is == name:
					to[f.FullName()] = true
				case f.ContainingOneof() != nil && n.Obj().Name() == goName+"_"+is && (name == "" || name == is):
					to[f.FullName()] = true
				}
			}
		}
	}
}

// messages walks all of them, nested ones too.
func messages(in protoreflect.MessageDescriptors) func(func(protoreflect.MessageDescriptor) bool) {
	return func(yield func(protoreflect.MessageDescriptor) bool) {
		for i := range in.Len() {
			if !yield(in.Get(i)) {
				return
			}
			for m := range messages(in.Get(i).Messages()) {
				if !yield(m) {
					return
				}
			}
		}
	}
}

func goFieldName(name string) string {
	var out strings.Builder
	for part := range strings.SplitSeq(name, "_") {
		out.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return out.String()
}

type packages struct {
	files  []string
	export map[string]string // by import path
}

// listPackages asks the go command for this package's files, and for what the compiler knows of all that they import.
func listPackages(t *testing.T) packages {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-json=ImportPath,Export,Dir,GoFiles", ".")
	out, err := cmd.Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			t.Fatalf("%v: %s", err, failed.Stderr)
		}
		t.Fatal(err)
	}
	p := packages{export: map[string]string{}}
	for d := json.NewDecoder(bufio.NewReader(bytes.NewReader(out))); d.More(); {
		var x struct {
			ImportPath, Export, Dir string
			GoFiles                 []string
		}
		if err := d.Decode(&x); err != nil {
			t.Fatal(err)
		}
		p.export[x.ImportPath] = x.Export
		if strings.HasSuffix(x.ImportPath, "/core/pluginhost") {
			for _, name := range x.GoFiles {
				p.files = append(p.files, filepath.Join(x.Dir, name))
			}
		}
	}
	slices.Sort(p.files)
	if len(p.files) == 0 {
		t.Fatal("this package was not found")
	}
	return p
}
