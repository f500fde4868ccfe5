package config_test

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/zclconf/go-cty/cty"

	"github.com/sigra-auth/sigra/core/config"
)

var greeterSpec = hcldec.ObjectSpec{
	"greeting": &hcldec.AttrSpec{Name: "greeting", Type: cty.String, Required: true},
	"times":    &hcldec.AttrSpec{Name: "times", Type: cty.Number},
	"pin":      &hcldec.AttrSpec{Name: "pin", Type: cty.String},
	"listener": &hcldec.BlockListSpec{TypeName: "listener", Nested: hcldec.ObjectSpec{
		"port": &hcldec.AttrSpec{Name: "port", Type: cty.Number, Required: true},
	}},
}

func greeter(t *testing.T, settings string, environ ...string) config.Plugin {
	t.Helper()
	return valid(t, "plugin \"greeter\" {\n  config {\n"+settings+"\n  }\n}", environ...).Plugins[0]
}

func TestPlugin_decode(t *testing.T) {
	t.Parallel()
	p := greeter(t, "greeting = env(\"GREETING\")\ntimes = 3\nlistener {\nport = 1\n}\nlistener {\nport = 2\n}", "GREETING=hello")
	v, ds := p.Decode(greeterSpec)
	if len(ds) != 0 {
		t.Fatal(ds)
	}
	if v.GetAttr("greeting").AsString() != "hello" || v.GetAttr("listener").LengthInt() != 2 {
		t.Errorf("%#v", v)
	}
	for path, line := range map[string]int{"greeting": 3, "listener.1.port": 9, "listener.0.port": 6, "listener.0": 5, "listener.7.port": 5, "nothing": 2, "listener.0.nothing": 5} {
		if r := p.SettingRange(strings.Split(path, ".")...); r.Start.Line != line {
			t.Errorf("%s is on line %d, want %d", path, r.Start.Line, line)
		}
	}
}

func TestPlugin_decodeMistakes(t *testing.T) {
	t.Parallel()
	p := greeter(t, "greating = \"x\"\ntimes = \"many\"\nlistner {\n}\nlistener {\nprt = env(\"NOPE\")\n}\nlistener = 5")
	_, ds := p.Decode(greeterSpec)
	for _, want := range []string{
		"sigra.hcl:2:3: error: plugin greeter needs the setting greeting\n",
		"sigra.hcl:3:1: error: plugin greeter has no setting \"greating\"\n",
		"Did you mean \"greeting\"?\n  What may stand here: greeting, listener, pin, times.\n",
		"sigra.hcl:4:9: error: this value has the wrong type\n",
		"A number is required.",
		"sigra.hcl:5:1: error: plugin greeter has no block \"listner\"\n",
		"Did you mean \"listener\"?",
		"sigra.hcl:7:1: error: plugin greeter needs the setting listener.port\n",
		"sigra.hcl:8:1: error: block listener of plugin greeter has no setting \"prt\"\n",
		"Did you mean \"port\"?",
		"sigra.hcl:10:1: error: listener is a block, not a setting\n",
	} {
		if !strings.Contains(ds.String(), want) {
			t.Errorf("missing: %s", want)
		}
	}
	if len(ds) != 7 || t.Failed() {
		t.Errorf("%d diagnostics:\n%s", len(ds), ds)
	}
	for _, d := range ds {
		if d.Plugin != "greeter" {
			t.Errorf("no plugin: %+v", d)
		}
	}
}

func TestPlugin_noConfigBlock(t *testing.T) {
	t.Parallel()
	p := valid(t, "\nplugin \"greeter\" {}").Plugins[0]
	_, ds := p.Decode(greeterSpec)
	if len(ds) != 1 || ds[0].Position() != "sigra.hcl:2:1" || !strings.Contains(ds[0].Summary, "needs the setting greeting") {
		t.Error(ds)
	}
	if v, ds := p.Decode(hcldec.ObjectSpec{}); len(ds) != 0 || v.LengthInt() != 0 {
		t.Error(v, ds)
	}
	_, ds = greeter(t, "x = 1").Decode(hcldec.ObjectSpec{})
	if len(ds) != 1 || !strings.Contains(ds[0].Detail, "takes no settings") {
		t.Error(ds)
	}
}

// A plugin can say that a setting is secret whose name does not.
func TestPlugin_hide(t *testing.T) {
	t.Parallel()
	p := greeter(t, "greeting = \"x\"\npin = [\"supersecret\"]")
	if _, ds := p.Decode(greeterSpec); !strings.Contains(ds.String(), "supersecret") {
		t.Error(ds)
	}
	_, ds := p.Hide("pin").Decode(greeterSpec)
	if len(ds) != 1 || strings.Contains(ds.String(), "supersecret") || !strings.Contains(ds.String(), "pin = [[redacted]]") {
		t.Error(ds)
	}
	own := p.Hide("pin").Diagnose(p.SettingRange("pin"), config.Warning, "the PIN is short", "Four digits at least.", "")
	if strings.Contains(own.String(), "supersecret") || own.Line != 4 || own.Severity != config.Warning {
		t.Error(own)
	}
}

// What the plugin host finds goes through the same renderer.
func TestPlugin_report(t *testing.T) {
	t.Parallel()
	p := valid(t, "plugin \"greeter\" {\n  grants = [\"identity.reed\"]\n}").Plugins[0]
	at := p.At("grants")
	ds := p.Report(hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Unknown grant", Detail: "There is no grant \"identity.reed\".", Subject: &at}, nil})
	want := "sigra.hcl:2:3: error: unknown grant\n\n    2 |   grants = [\"identity.reed\"]\n      |   ^^^^^^^^^^^^^^^^^^^^^^^^^^\n\n  There is no grant \"identity.reed\"."
	if ds.String() != want {
		t.Errorf("got\n%s\nwant\n%s", ds, want)
	}
	if p.At("env") != p.Range {
		t.Error("a setting that isn't there is at the block's header")
	}
	// Without a place, or a Plugin made by hand: still no panic, still a line.
	for _, p := range []config.Plugin{p, {Name: "made"}} {
		ds := p.Report(hcl.Diagnostics{{Severity: hcl.DiagWarning, Summary: "X"}})
		if len(ds) != 1 || ds[0].Line != 1 || ds[0].Severity != config.Warning {
			t.Errorf("%+v", ds)
		}
		if _, ds := p.Decode(greeterSpec); !ds.HasErrors() {
			t.Error("greeting is missing")
		}
		_ = p.EvalContext()
	}
}

type panicking struct{ hcl.Body }

func (panicking) PartialContent(*hcl.BodySchema) (*hcl.BodyContent, hcl.Body, hcl.Diagnostics) {
	panic("boom")
}
func (panicking) Content(*hcl.BodySchema) (*hcl.BodyContent, hcl.Diagnostics) { panic("boom") }

func TestPlugin_panicIsContained(t *testing.T) {
	t.Parallel()
	p := greeter(t, "")
	p.Config = panicking{}
	_, ds := p.Decode(greeterSpec)
	if len(ds) != 1 || !ds.HasErrors() || ds[0].Line != 2 || strings.Contains(ds.String(), "boom") {
		t.Error(ds)
	}
}
