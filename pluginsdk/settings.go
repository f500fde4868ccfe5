package pluginsdk

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"
)

// Settings are what the user wrote in the config block, checked by Sigra against the manifest's schema.
type Settings struct{ json []byte }

// NewSettings makes settings from JSON, for tests: an object by the names of the schema.
func NewSettings(object []byte) Settings { return Settings{append([]byte(nil), object...)} }

// JSON gives them as the host sent them. They may hold secrets.
func (s Settings) JSON() []byte { return append([]byte(nil), s.json...) }

// none refuses settings where the plugin has none.
func (s Settings) none() error {
	var none struct{}
	return s.Decode(&none)
}

// Schema describes a config block.
type Schema struct {
	Attributes []Attribute
	Blocks     []Block
}

// Attribute is one setting.
type Attribute struct {
	Name        string
	Type        string // HCL type: "string", "number", "bool", "duration", "list(string)", "map(number)" …
	Required    bool
	Default     string // JSON; empty: null
	Description string
	Secret      bool
}

// Block is a block inside the config block.
type Block struct {
	Name        string
	Repeated    bool
	Labelled    bool // each has one label of its own
	Required    bool
	Description string
	Schema      Schema
}

// field is one tagged field of a settings struct.
type field struct {
	index    int
	name     string
	typ      reflect.Type
	kind     fieldKind
	optional bool
	secret   bool
	def      any // decoded default, as encoding/json with UseNumber would give it; nil: none
	defJSON  string
	doc      string
	hclType  string
	elem     []field // of a block
}

type fieldKind int

const (
	attribute fieldKind = iota
	block
	blockList
	blockMap
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[Secret]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	namePattern  = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
)

// maxDepth bounds nested blocks; a settings struct that contains itself would have no schema.
const maxDepth = 8

// SettingsOf reads the sigra tags of a struct, or of what a pointer points to:
//
//	type Config struct {
//		Greeting string            `sigra:"greeting,optional,default=hello" doc:"what to say"`
//		Token    pluginsdk.Secret  `sigra:"token" doc:"password of the API"`
//		Every    time.Duration     `sigra:"every,default=5m"`
//		Hosts    []string          `sigra:"hosts,optional"`
//		Proxy    *Proxy            `sigra:"proxy"`    // proxy { … }, at most once
//		Rule     []Rule            `sigra:"rule"`     // rule { … }, any number
//		Tenant   map[string]Tenant `sigra:"tenant"`   // tenant "acme" { … }, any number
//	}
//
// A default makes a field optional and must come last in the tag; lists and maps give theirs as JSON. A struct that is
// not a pointer is a block that must be there, unless it is tagged optional. Fields tagged "-" are left alone, and every
// exported field must have a tag. nil has an empty schema.
func SettingsOf(v any) (Schema, error) {
	if v == nil {
		return Schema{}, nil
	}
	fields, err := fieldsOf(reflect.TypeOf(v), 0)
	if err != nil {
		return Schema{}, err
	}
	return schemaOf(fields), nil
}

func schemaOf(fields []field) Schema {
	var s Schema
	for _, f := range fields {
		if f.kind == attribute {
			s.Attributes = append(s.Attributes, Attribute{
				Name: f.name, Type: f.hclType, Required: !f.optional, Default: f.defJSON, Description: f.doc, Secret: f.secret,
			})
			continue
		}
		s.Blocks = append(s.Blocks, Block{
			Name: f.name, Repeated: f.kind != block, Labelled: f.kind == blockMap, Required: !f.optional,
			Description: f.doc, Schema: schemaOf(f.elem),
		})
	}
	return s
}

func fieldsOf(t reflect.Type, depth int) ([]field, error) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("settings must be a struct or a pointer to one, not %s", t)
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("settings struct %s nests more than %d blocks", t, maxDepth)
	}
	var out []field
	seen := map[string]string{}
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, tagged := sf.Tag.Lookup("sigra")
		if tag == "-" || (!tagged && !sf.IsExported()) {
			continue
		}
		fail := func(format string, args ...any) error {
			return fmt.Errorf("settings field %s.%s: %s", t, sf.Name, fmt.Sprintf(format, args...))
		}
		if !tagged {
			return nil, fail(`has no sigra tag; write sigra:"-" to leave it out`)
		}
		if !sf.IsExported() {
			return nil, fail("is tagged but not exported")
		}
		f := field{index: i, typ: sf.Type, doc: sf.Tag.Get("doc")}
		var def string
		var hasDef bool
		f.name, tag, _ = strings.Cut(tag, ",")
		if !namePattern.MatchString(f.name) {
			return nil, fail("name %q must be lower case letters, digits and underscores", f.name)
		}
		if other, dup := seen[f.name]; dup {
			return nil, fail("has the same name as %s", other)
		}
		seen[f.name] = sf.Name
		for tag != "" {
			if d, ok := strings.CutPrefix(tag, "default="); ok {
				def, hasDef, f.optional, tag = d, true, true, ""
				break
			}
			var opt string
			opt, tag, _ = strings.Cut(tag, ",")
			switch opt {
			case "optional":
				f.optional = true
			case "secret":
				f.secret = true
			default:
				return nil, fail("unknown option %q (known: optional, secret, default=)", opt)
			}
		}
		if err := f.resolve(depth); err != nil {
			return nil, fail("%v", err)
		}
		if hasDef {
			if err := f.setDefault(def); err != nil {
				return nil, fail("default: %v", err)
			}
		}
		out = append(out, f)
	}
	return out, nil
}

// resolve finds the kind and the HCL type of a field.
func (f *field) resolve(depth int) (err error) {
	t := f.typ
	if hcl, ok := scalar(deref(t)); ok {
		f.hclType = hcl
		f.optional = f.optional || t.Kind() == reflect.Pointer
		f.secret = f.secret || deref(t) == secretType
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Struct:
		if deref(t).Kind() != reflect.Struct {
			return fmt.Errorf("type %s can't be a setting", t)
		}
		f.kind = block
		f.optional = f.optional || t.Kind() == reflect.Pointer
	case reflect.Slice:
		if hcl, ok := scalar(t.Elem()); ok {
			f.hclType = "list(" + hcl + ")"
			f.secret = f.secret || t.Elem() == secretType
			return nil
		}
		if t.Elem().Kind() != reflect.Struct {
			return fmt.Errorf("type %s can't be a setting", t)
		}
		f.kind, f.optional = blockList, true
		t = t.Elem()
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return errors.New("a map's key must be a string")
		}
		if hcl, ok := scalar(t.Elem()); ok {
			f.hclType = "map(" + hcl + ")"
			f.secret = f.secret || t.Elem() == secretType
			return nil
		}
		if t.Elem().Kind() != reflect.Struct {
			return fmt.Errorf("type %s can't be a setting", t)
		}
		f.kind, f.optional = blockMap, true
		t = t.Elem()
	default:
		return fmt.Errorf("type %s can't be a setting", t)
	}
	if f.secret {
		return errors.New("a block can't be secret, its attributes can")
	}
	f.elem, err = fieldsOf(t, depth+1)
	return err
}

func deref(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// scalar is the HCL type of one value.
func scalar(t reflect.Type) (string, bool) {
	switch {
	case t == durationType:
		return "duration", true
	case t == secretType:
		return "string", true
	case t.Kind() != reflect.Interface && reflect.PointerTo(t).Implements(textType):
		return "string", true
	}
	switch t.Kind() {
	case reflect.String:
		return "string", true
	case reflect.Bool:
		return "bool", true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		return "number", true
	}
	return "", false
}

func (f *field) setDefault(def string) error {
	if f.kind != attribute {
		return errors.New("a block has none; give its attributes theirs")
	}
	src := def
	if f.hclType == "string" || f.hclType == "duration" {
		b, err := json.Marshal(def)
		if err != nil {
			return err
		}
		src = string(b)
	}
	v, err := parseJSON([]byte(src))
	if err != nil {
		return fmt.Errorf("%q is not a %s", def, f.hclType)
	}
	if err := assign(reflect.New(f.typ).Elem(), v); err != nil {
		return fmt.Errorf("%q: %w", def, err)
	}
	f.def, f.defJSON = v, src
	return nil
}
