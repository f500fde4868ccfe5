package pluginsdk_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/google/go-cmp/cmp"
	"github.com/sigra-auth/sigra/pluginsdk"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"
)

var updateGolden = flag.Bool("update", false, "write the golden descriptors anew; only for additions, never after a release for anything else")

const goldenPath = "testdata/contract-v1.txtpb"

func contract() *descriptorpb.FileDescriptorSet {
	return &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(pluginv1.File_sigra_plugin_v1_plugin_proto),
		protodesc.ToFileDescriptorProto(hostv1.File_sigra_host_v1_host_proto),
	}}
}

// The contract v1 may grow. What is in it may never go, change its number, its type or its meaning on the wire: plugins
// built years ago speak it.
func TestContract_onlyGrows(t *testing.T) {
	t.Parallel()
	now := contract()
	if *updateGolden {
		b, err := prototext.MarshalOptions{Multiline: true}.Marshal(now)
		if err != nil {
			t.Fatal(err)
		}
		// prototext varies its spaces on purpose; the file should not.
		text := strings.ReplaceAll(string(b), ":  ", ": ")
		if err := os.WriteFile(goldenPath, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	src, err := os.ReadFile(goldenPath)
	if err != nil {
		t.Fatal(err)
	}
	var golden descriptorpb.FileDescriptorSet
	if err := prototext.Unmarshal(src, &golden); err != nil {
		t.Fatal(err)
	}
	for _, e := range broken(&golden, now) {
		t.Error(e)
	}
	if !proto.Equal(&golden, now) && !t.Failed() {
		t.Errorf("the contract has grown: look at the change, then run  go test ./pluginsdk -run TestContract_onlyGrows -update")
	}
}

// TestContract_breakingIsFound: the check sees each kind of break.
func TestContract_breakingIsFound(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*descriptorpb.FileDescriptorProto){
		"message gone":   func(f *descriptorpb.FileDescriptorProto) { f.MessageType = f.MessageType[1:] },
		"field gone":     func(f *descriptorpb.FileDescriptorProto) { m := f.MessageType[1]; m.Field = m.Field[1:] },
		"field renumber": func(f *descriptorpb.FileDescriptorProto) { f.MessageType[1].Field[0].Number = proto.Int32(99) },
		"field retype": func(f *descriptorpb.FileDescriptorProto) {
			f.MessageType[1].Field[0].Type = descriptorpb.FieldDescriptorProto_TYPE_INT32.Enum()
		},
		"field repeated": func(f *descriptorpb.FileDescriptorProto) {
			f.MessageType[1].Field[0].Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		},
		"field renamed":   func(f *descriptorpb.FileDescriptorProto) { f.MessageType[1].Field[0].Name = proto.String("other") },
		"service gone":    func(f *descriptorpb.FileDescriptorProto) { f.Service = f.Service[1:] },
		"method gone":     func(f *descriptorpb.FileDescriptorProto) { s := f.Service[0]; s.Method = s.Method[1:] },
		"method retype":   func(f *descriptorpb.FileDescriptorProto) { f.Service[0].Method[0].InputType = proto.String(".x.Y") },
		"method streams":  func(f *descriptorpb.FileDescriptorProto) { f.Service[0].Method[0].ServerStreaming = proto.Bool(true) },
		"enum value gone": func(f *descriptorpb.FileDescriptorProto) { e := f.EnumType[0]; e.Value = e.Value[1:] },
		"package renamed": func(f *descriptorpb.FileDescriptorProto) { f.Package = proto.String("sigra.plugin.v2") },
		"one more field": func(f *descriptorpb.FileDescriptorProto) {
			m := f.MessageType[0]
			m.Field = append(m.Field, &descriptorpb.FieldDescriptorProto{Name: proto.String("new"), Number: proto.Int32(1000),
				Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()})
		},
	} {
		now := contract()
		change(now.File[0])
		found := broken(contract(), now)
		if (name == "one more field") != (len(found) == 0) {
			t.Errorf("%s: found %v", name, found)
		}
	}
}

// broken lists what old had and now has not, or otherwise.
func broken(old, now *descriptorpb.FileDescriptorSet) []string {
	was, is := flat(old), flat(now)
	var out []string
	for name, shape := range was {
		switch got, ok := is[name]; {
		case !ok:
			out = append(out, fmt.Sprintf("%s is gone", name))
		case got != shape:
			out = append(out, fmt.Sprintf("%s was %s, is %s", name, shape, got))
		}
	}
	return out
}

// flat gives each element of the contract its full name and what may not change about it.
func flat(set *descriptorpb.FileDescriptorSet) map[string]string {
	out := map[string]string{}
	var message func(prefix string, m *descriptorpb.DescriptorProto)
	enum := func(prefix string, e *descriptorpb.EnumDescriptorProto) {
		for _, v := range e.GetValue() {
			out[prefix+"."+e.GetName()+"."+v.GetName()] = fmt.Sprint("value ", v.GetNumber())
		}
	}
	message = func(prefix string, m *descriptorpb.DescriptorProto) {
		name := prefix + "." + m.GetName()
		out[name] = "message"
		for _, f := range m.GetField() {
			oneof := ""
			if f.OneofIndex != nil {
				oneof = m.GetOneofDecl()[f.GetOneofIndex()].GetName()
			}
			out[name+"."+f.GetName()] = fmt.Sprintf("field %d %v %v %s %s", f.GetNumber(), f.GetLabel(), f.GetType(), f.GetTypeName(), oneof)
		}
		for _, n := range m.GetNestedType() {
			message(name, n)
		}
		for _, e := range m.GetEnumType() {
			enum(name, e)
		}
	}
	for _, f := range set.GetFile() {
		for _, m := range f.GetMessageType() {
			message(f.GetPackage(), m)
		}
		for _, e := range f.GetEnumType() {
			enum(f.GetPackage(), e)
		}
		for _, s := range f.GetService() {
			out[f.GetPackage()+"."+s.GetName()] = "service"
			for _, m := range s.GetMethod() {
				out[f.GetPackage()+"."+s.GetName()+"/"+m.GetName()] = fmt.Sprintf("method %s %v %s %v",
					m.GetInputType(), m.GetClientStreaming(), m.GetOutputType(), m.GetServerStreaming())
			}
		}
	}
	return out
}

// Every grant that the SDK knows is named in the contract's comments, and follows the one rule for names.
func TestContract_grantsAreNamed(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile("proto/sigra/host/v1/host.proto")
	if err != nil {
		t.Fatal(err)
	}
	rule := regexp.MustCompile(`^[a-z]+\.[a-z]+$`)
	for _, g := range pluginsdk.Grants() {
		if !rule.MatchString(string(g)) || !strings.Contains(string(src), string(g)) {
			t.Errorf("%q is not service.verb, or not in the contract", g)
		}
	}
}

// TestContract_generatedCodeIsCurrent compiles the .proto files and compares what they say with what the generated code
// was made from. `make check` besides generates anew and compares the code itself.
func TestContract_generatedCodeIsCurrent(t *testing.T) {
	t.Parallel()
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{"proto"}})}
	files, err := compiler.Compile(t.Context(), "sigra/plugin/v1/plugin.proto", "sigra/host/v1/host.proto")
	if err != nil {
		t.Fatal(err)
	}
	for i, generated := range contract().File {
		if written := protodesc.ToFileDescriptorProto(files[i]); !proto.Equal(generated, written) {
			t.Errorf("%s: the generated code is not what it generates; run `make generate`\n%s", generated.GetName(), cmp.Diff(generated, written, protocmp.Transform()))
		}
	}
}
