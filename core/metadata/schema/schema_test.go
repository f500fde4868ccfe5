package schema_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/metadata/schema"
)

func TestParseObject(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for in, want := range map[string]string{
		`{}`:                                    "",
		` {"a":[1,{"b":null}]} `:                "",
		deep(32):                                "",
		deep(33):                                strings.Repeat("/a", 32) + " nests deeper than 32 levels",
		``:                                      "the object is not JSON",
		`[]`:                                    "the object is not a JSON object",
		`null`:                                  "the object is not a JSON object",
		`{"a":1}{}`:                             "the object is followed by something",
		`{"a":1,"a":2}`:                         "/a is given twice",
		`{"a":{"b/c~d":1,"b/c~d":2}}`:           "/a/b~1c~0d is given twice",
		`{"a":[0,1,{"b":1e999}]}`:               "/a/2/b is a number too long, too large or too small",
		`{"a":1e-999999999}`:                    "/a is a number too long, too large or too small",
		`{"a":` + strings.Repeat("1", 65) + `}`: "/a is a number too long, too large or too small",
		`{"a":"x\u0000"}`:                       "/a has the null character in it",
		`{"x\u0000":1}`:                         "the object has a member with the null character in its name",
		"{\"a\":\"\xff\"}":                      "the object is not UTF-8",
		`{"a":1,}`:                              "the object is not JSON",
		`{"a":tru}`:                             "/a is not JSON",
	} {
		_, err := schema.ParseObject([]byte(in))
		if got := text(err); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// The examples of RFC 7396, appendix A, as far as both sides are objects.
func TestMerge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ target, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		target, err := schema.ParseObject([]byte(c.target))
		if err != nil {
			t.Fatal(err)
		}
		patch, err := schema.ParseObject([]byte(c.patch))
		if err != nil {
			t.Fatal(err)
		}
		got, err := schema.Marshal(schema.Merge(target, patch))
		if err != nil || string(got) != c.want {
			t.Errorf("%s by %s: %s, %v; want %s", c.target, c.patch, got, err, c.want)
		}
		if again, err := schema.Marshal(target); err != nil || string(again) != c.target {
			t.Errorf("the target was changed: %s", again)
		}
	}
}

func TestCompile(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{}`: "",
		`{"$schema":"http://json-schema.org/draft-07/schema#","type":"object"}`:     "",
		`{"$defs":{"n":{"type":"number"}},"properties":{"a":{"$ref":"#/$defs/n"}}}`: "",
		`{"$ref":"https://example.org/other.json"}`:                                 "refers to nothing outside of itself",
		`{"$ref":"http://169.254.169.254/latest/meta-data"}`:                        "refers to nothing outside of itself",
		`{"$ref":"file:///etc/passwd"}`:                                             "refers to nothing outside of itself",
		`{"properties":{"a":{"$ref":"other.json"}}}`:                                "refers to nothing outside of itself",
		`{"$schema":"https://example.org/own-draft"}`:                               "refers to nothing outside of itself",
		`{"type":"strin"}`:        "is no JSON Schema: /type",
		`{"pattern":"("}`:         "no JSON Schema",
		`{"$ref":"#/$defs/none"}`: "no JSON Schema",
		`{"type":`:                "can't be read",
		`[]`:                      "is not a JSON object",
	} {
		_, err := schema.Compile([]byte(in))
		if got := text(err); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	if _, err := schema.Compile([]byte(`{"description":"` + strings.Repeat("x", schema.MaxBytes) + `"}`)); err == nil {
		t.Error("a huge schema is taken")
	}
}

func TestCheck_namesThePlaceAndNoValue(t *testing.T) {
	t.Parallel()
	s, err := schema.Compile([]byte(`{
		"type": "object", "additionalProperties": false, "required": ["plan"],
		"properties": {
			"plan": {"enum": ["free", "team"]}, "seats": {"type": "integer", "minimum": 1}, "since": {"type": "string", "format": "date"},
			"tags": {"type": "array", "items": {"type": "string", "maxLength": 8, "pattern": "^[a-z]+$"}, "uniqueItems": true},
			"tree": {"$ref": "#/$defs/tree"}, "never": false, "one": {"oneOf": [{"type": "string"}, {"type": "number"}]}
		},
		"$defs": {"tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/tree"}}, "additionalProperties": false}}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		`{"plan":"team","seats":3,"since":"2026-01-31","tags":["a","b"],"tree":{"left":{"left":{}}},"one":1}`: "",
		`{}`:                                           "the object lacks plan",
		`{"plan":"hunter2"}`:                           "/plan is none of the values there may be",
		`{"plan":"free","seats":"hunter2"}`:            "/seats must be integer, not string",
		`{"plan":"free","seats":0}`:                    "/seats breaks the rule minimum",
		`{"plan":"free","since":"hunter2"}`:            "/since must have the format date",
		`{"plan":"free","tags":["a","HUNTER2"]}`:       "/tags/1 breaks the rule pattern",
		`{"plan":"free","tags":["hunterhunter"]}`:      "/tags/0 breaks the rule maxLength",
		`{"plan":"free","tags":["a","a"]}`:             "/tags breaks the rule uniqueItems",
		`{"plan":"free","tree":{"left":{"right":{}}}}`: "/tree/left/right is not among the members there may be",
		`{"plan":"free","never":"hunter2"}`:            "/never may not be there",
		`{"plan":"free","one":true}`:                   "/one must be string, not boolean",
		`{"plan":"free","seats":1e308}`:                "",
		`{"plan":"free","zz":1,"aa":1}`:                "/aa is not among the members there may be",
	} {
		o, err := schema.ParseObject([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		err = s.Check(o)
		if got := text(err); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
		if err != nil && (!errors.As(err, new(*schema.Error)) || strings.Contains(strings.ToLower(err.Error()), "hunter")) {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// What is parsed is JSON to everybody, and comes back the same from what is kept of it.
func FuzzParseObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[1,2.5e3,{"b":null}],"c":"\ud83d\ude00"}`, `{"a":1,"a":2}`, `{"a":-0}`, `{"\u2028":"<&>"}`, `{"a":1e308}`} {
		f.Add([]byte(s))
	}
	s, err := schema.Compile([]byte(`{"properties":{"a":{"type":"number","multipleOf":0.01}},"additionalProperties":{"maxLength":3,"uniqueItems":true}}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := schema.ParseObject(b)
		if err != nil {
			if !errors.As(err, new(*schema.Error)) {
				t.Fatal(err)
			}
			return
		}
		if !json.Valid(b) {
			t.Fatalf("%q is taken", b)
		}
		kept, err := schema.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		again, err := schema.ParseObject(kept)
		if err != nil {
			t.Fatalf("%q is kept as %q: %v", b, kept, err)
		}
		if twice, err := schema.Marshal(again); err != nil || string(twice) != string(kept) {
			t.Fatalf("%q is kept as %q, and then as %q, %v", b, kept, twice, err)
		}
		if err := s.Check(o); err != nil && !errors.As(err, new(*schema.Error)) {
			t.Fatal(err)
		}
		if merged, err := schema.Marshal(schema.Merge(o, map[string]any{})); err != nil || string(merged) != string(kept) {
			t.Fatalf("an empty patch makes %q of %q", merged, kept)
		}
	})
}
