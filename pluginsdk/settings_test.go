package pluginsdk_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sigra-auth/sigra/pluginsdk"
)

type everything struct {
	Greeting string            `sigra:"greeting,optional,default=hello, you" doc:"what to say"`
	Token    pluginsdk.Secret  `sigra:"token" doc:"password of the API"`
	Pin      string            `sigra:"pin,optional,secret"`
	Every    time.Duration     `sigra:"every,default=5m"`
	Hosts    []string          `sigra:"hosts,default=[\"a\",\"b\"]"`
	Weights  map[string]int    `sigra:"weights,optional"`
	Port     uint16            `sigra:"port,default=587"`
	Ratio    float64           `sigra:"ratio,optional"`
	On       bool              `sigra:"on,default=true"`
	Max      *int              `sigra:"max"`
	Net      netip.Prefix      `sigra:"net,optional"`
	Proxy    *proxy            `sigra:"proxy" doc:"how to get out"`
	Limits   limits            `sigra:"limits,optional"`
	Rule     []rule            `sigra:"rule"`
	Tenant   map[string]tenant `sigra:"tenant"`
	Cache    int               `sigra:"-"`
}

type (
	proxy struct {
		URL string `sigra:"url"`
	}
	limits struct {
		Rate  int `sigra:"rate,default=10"`
		Burst int `sigra:"burst"`
	}
	rule struct {
		Path string `sigra:"path"`
	}
	tenant struct {
		URL  string `sigra:"url"`
		Rule []rule `sigra:"rule"`
	}
)

func TestSettingsOf(t *testing.T) {
	t.Parallel()
	got, err := pluginsdk.SettingsOf(&everything{})
	if err != nil {
		t.Fatal(err)
	}
	url := pluginsdk.Attribute{Name: "url", Type: "string", Required: true}
	rules := pluginsdk.Block{Name: "rule", Repeated: true, Schema: pluginsdk.Schema{
		Attributes: []pluginsdk.Attribute{{Name: "path", Type: "string", Required: true}}}}
	want := pluginsdk.Schema{
		Attributes: []pluginsdk.Attribute{
			{Name: "greeting", Type: "string", Default: `"hello, you"`, Description: "what to say"},
			{Name: "token", Type: "string", Required: true, Description: "password of the API", Secret: true},
			{Name: "pin", Type: "string", Secret: true},
			{Name: "every", Type: "duration", Default: `"5m"`},
			{Name: "hosts", Type: "list(string)", Default: `["a","b"]`},
			{Name: "weights", Type: "map(number)"},
			{Name: "port", Type: "number", Default: "587"},
			{Name: "ratio", Type: "number"},
			{Name: "on", Type: "bool", Default: "true"},
			{Name: "max", Type: "number"},
			{Name: "net", Type: "string"},
		},
		Blocks: []pluginsdk.Block{
			{Name: "proxy", Description: "how to get out", Schema: pluginsdk.Schema{Attributes: []pluginsdk.Attribute{url}}},
			{Name: "limits", Schema: pluginsdk.Schema{Attributes: []pluginsdk.Attribute{
				{Name: "rate", Type: "number", Default: "10"}, {Name: "burst", Type: "number", Required: true}}}},
			rules,
			{Name: "tenant", Repeated: true, Labelled: true, Schema: pluginsdk.Schema{
				Attributes: []pluginsdk.Attribute{url}, Blocks: []pluginsdk.Block{rules}}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if s, err := pluginsdk.SettingsOf(nil); err != nil || len(s.Attributes) > 0 {
		t.Errorf("nil: %v, %v", s, err)
	}
}

func TestSettingsOf_wrongTags(t *testing.T) {
	t.Parallel()
	type recursive struct {
		Again []struct {
			More []map[string]int `sigra:"more"`
		} `sigra:"again"`
	}
	for want, v := range map[string]any{
		"has no sigra tag": struct{ A string }{},
		"must be lower case": struct {
			A string `sigra:"Upper"`
		}{},
		"has the same name": struct {
			A, B string `sigra:"a"`
		}{},
		"unknown option": struct {
			A string `sigra:"a,optinal"`
		}{},
		"is not a number": struct {
			A int `sigra:"a,default=x"`
		}{},
		"out of range": struct {
			A int8 `sigra:"a,default=300"`
		}{},
		"is not a duration": struct {
			A time.Duration `sigra:"a,default=5"`
		}{},
		"can't be a setting": struct {
			A func() `sigra:"a"`
		}{},
		"key must be a string": struct {
			A map[int]string `sigra:"a"`
		}{},
		"tagged but not exported": struct {
			a string `sigra:"a"`
		}{},
		"must be a struct": 7,
		"a block can't be secret": struct {
			A proxy `sigra:"a,secret"`
		}{},
		"a block; give its": struct {
			A proxy `sigra:"a,default=x"`
		}{},
		"[]map[string]int can't": recursive{},
		"interface {} can't be": struct {
			A any `sigra:"a"`
		}{},
		"has none; give its attri": struct {
			A []rule `sigra:"a,default=[]"`
		}{},
	} {
		_, err := pluginsdk.SettingsOf(v)
		if want == "a block; give its" {
			want = "give its attributes theirs"
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%T: got %v, want %q", v, err, want)
		}
	}
}

type endless struct {
	Next []endless `sigra:"next"`
}

func TestSettingsOf_containsItself(t *testing.T) {
	t.Parallel()
	if _, err := pluginsdk.SettingsOf(endless{}); err == nil || !strings.Contains(err.Error(), "nests more than") {
		t.Errorf("got %v", err)
	}
}

func TestSettings_Decode(t *testing.T) {
	t.Parallel()
	got := everything{Cache: 7}
	err := pluginsdk.NewSettings([]byte(`{
		"token": "s3cret", "every": "90s", "weights": {"a": 1e2}, "ratio": 0.5, "on": false, "max": 3, "net": "10.0.0.0/8",
		"proxy": {"url": "http://p"}, "rule": [{"path": "/a"}, {"path": "/b"}], "greeting": null,
		"tenant": {"acme.example": {"url": "u", "rule": [{"path": "/c"}]}}
	}`)).Decode(&got)
	if err != nil {
		t.Fatal(err)
	}
	three := 3
	want := everything{
		Greeting: "hello, you", Token: pluginsdk.NewSecret("s3cret"), Every: 90 * time.Second, Hosts: []string{"a", "b"},
		Weights: map[string]int{"a": 100}, Port: 587, Ratio: 0.5, Max: &three, Net: netip.MustParsePrefix("10.0.0.0/8"),
		Proxy: &proxy{"http://p"}, Limits: limits{Rate: 10}, Rule: []rule{{"/a"}, {"/b"}},
		Tenant: map[string]tenant{"acme.example": {"u", []rule{{"/c"}}}}, Cache: 7,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(pluginsdk.Secret{}), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

// Every mistake is found at once, each at its place, and nothing has been changed.
func TestSettings_Decode_mistakes(t *testing.T) {
	t.Parallel()
	got := everything{Greeting: "before"}
	err := pluginsdk.NewSettings([]byte(`{
		"every": "soon", "hosts": ["a", 1], "port": 70000, "nope": 1, "max": 1.5, "pin": 12345678, "net": "10.0.0.0/99",
		"proxy": {}, "rule": [{"path": "/a"}, {"pth": "/b"}], "tenant": {"a.b": {"url": false}}, "limits": [1]
	}`)).Decode(&got)
	if got.Greeting != "before" {
		t.Errorf("a failed Decode changed its destination: %+v", got)
	}
	var paths []string
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		paths = append(paths, flatten(e)...)
	}
	want := []string{
		"token", "pin", "every", "hosts", "port", "max", "net", "proxy/url", "limits", "rule/1/path", "rule/1/pth", "tenant/a.b/url", "nope",
	}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("%s\n%v", diff, err)
	}
	if strings.Contains(err.Error(), "12345678") {
		t.Errorf("a secret is told: %v", err)
	}
}

func flatten(err error) []string {
	if many, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the tree is walked by hand
		var out []string
		for _, e := range many.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	var d *pluginsdk.DiagnosticError
	if !errors.As(err, &d) {
		return []string{"?" + err.Error()}
	}
	return []string{strings.Join(d.Path, "/")}
}

func TestSecret_neverPrints(t *testing.T) {
	t.Parallel()
	v := struct{ S pluginsdk.Secret }{pluginsdk.NewSecret("s3cret")}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{string(b), fmt.Sprint(v), fmt.Sprintf("%#v %+v %s %x %q %d", v, v, v.S, v.S, v.S, v)} {
		if strings.Contains(s, "s3cret") || strings.Contains(s, "733363726574") || !strings.Contains(s, "[redacted]") {
			t.Errorf("printed as %s", s)
		}
	}
	if v.S.Reveal() != "s3cret" {
		t.Error("Reveal does not")
	}
}

func FuzzSettings_Decode(f *testing.F) {
	for _, s := range []string{
		"", "{}", "null", "[]", `{"token":"x"}`, `{"token":"x","every":"1h","hosts":[],"tenant":{"a":{"url":"x"}}}`,
		`{"token":"x","port":1e400}`, `{"token":"x","max":-0}`, `{"token":"x"}{}`, `{"rule":[null]}`, "\xff",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		var a, b everything
		if err := pluginsdk.NewSettings(src).Decode(&a); err != nil {
			if diff := cmp.Diff(everything{}, a, cmp.AllowUnexported(pluginsdk.Secret{}),
				cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Errorf("a failed Decode changed its destination: %s", diff)
			}
			return
		}
		if a.Token == (pluginsdk.Secret{}) && !strings.Contains(string(src), "token") {
			t.Errorf("took %q without what is required", src)
		}
		if err := pluginsdk.NewSettings(src).Decode(&b); err != nil {
			t.Errorf("taken once, then refused: %v", err)
		}
	})
}
