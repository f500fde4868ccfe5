package pluginsdk_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

// nothing implements nothing.
type nothing struct{}

func define(m pluginsdk.Manifest) pluginsdk.Plugin {
	return pluginsdk.Define(m, func(context.Context, *pluginsdk.Host, struct{}) (*nothing, error) { return &nothing{}, nil })
}

func TestNewServer_refusesManifests(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]pluginsdk.Manifest{
		`name "" is not`:        {Version: "1.0.0"},
		`name "Upper" is not`:   {Name: "Upper", Version: "1.0.0"},
		`version "v1" is not a`: {Name: "x", Version: "v1"},
		`no grant "kv.usee"`:    {Name: "x", Version: "1.0.0", Requires: []pluginsdk.Grant{"kv.usee"}},
		`the setting "issuer"`:  {Name: "x", Version: "1.0.0", Routes: []pluginsdk.Route{{Path: "{issuer}/token"}}},
		`must stand below "x."`: {Name: "x", Version: "1.0.0", Actions: []pluginsdk.Action{{Name: "y.z", Description: "d", CRUD: "c"}}},
		`needs Commands`:        {Name: "x", Version: "1.0.0", Commands: []pluginsdk.Command{{Name: "lint"}}},
		`route "/x/": a`:        {Name: "x", Version: "1.0.0", Routes: []pluginsdk.Route{{Path: "/x/"}}},
		`route "/": a`:          {Name: "x", Version: "1.0.0", Routes: []pluginsdk.Route{{Path: "/"}}},
		`needs Routes`:          {Name: "x", Version: "1.0.0", Routes: []pluginsdk.Route{{Path: "/x"}}},
		`needs Gate`:            {Name: "x", Version: "1.0.0", Questions: []pluginsdk.GateQuestion{{Question: pluginsdk.Login}}},
		`needs EventSink`:       {Name: "x", Version: "1.0.0", Events: []string{"billing.*"}},
	} {
		_, err := pluginsdk.NewServer(pluginsdk.ServerConfig{Plugin: define(m)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	ok := pluginsdk.Manifest{Name: "x", Version: "1.0.0"}
	for want, p := range map[string]pluginsdk.Plugin{
		"settings are a struct":    pluginsdk.Define(ok, func(context.Context, *pluginsdk.Host, int) (*nothing, error) { return nil, nil }),
		"must not be an interface": pluginsdk.Define(ok, func(context.Context, *pluginsdk.Host, struct{}) (any, error) { return nil, nil }),
	} {
		if _, err := pluginsdk.NewServer(pluginsdk.ServerConfig{Plugin: p}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := pluginsdk.NewServer(pluginsdk.ServerConfig{}); err == nil {
		t.Error("took no plugin")
	}
}

func TestServer_beforeConfigure(t *testing.T) {
	t.Parallel()
	r := plugintest.Launch(t, newSink(func(context.Context, *pluginsdk.Host) error { return nil }), plugintest.Config{})
	if _, err := r.Record(t.Context()); !pluginsdk.IsPermanent(err) {
		t.Errorf("a call before Configure: %v", err)
	}
	if err := r.Configure(""); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Record(t.Context()); err != nil {
		t.Errorf("a call after it: %v", err)
	}
}

// Stop waits for calls in flight, then for the plugin's own Stop, and is over in time in any case.
func TestServer_Stop(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		call func(ctx context.Context) error
		stop func(ctx context.Context) error
		ok   bool // the call is answered
		err  bool // Stop reports something
	}{
		"call ends by itself":        {call: func(context.Context) error { time.Sleep(100 * time.Millisecond); return nil }, ok: true},
		"call waits for its context": {call: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
		"stop hangs":                 {call: func(context.Context) error { return nil }, ok: true, stop: func(context.Context) error { select {} }, err: true},
		"stop panics":                {call: func(context.Context) error { return nil }, ok: true, stop: func(context.Context) error { panic("x") }, err: true},
		"stop fails":                 {call: func(context.Context) error { return nil }, ok: true, stop: func(context.Context) error { return errors.New("x") }, err: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "stop hangs" {
				c.stop = func(ctx context.Context) error { <-ctx.Done(); <-t.Context().Done(); return nil }
			}
			began := make(chan struct{})
			s := sinkOf(func(ctx context.Context, _ *pluginsdk.Host) error { close(began); return c.call(ctx) })
			s.stop = c.stop
			r := plugintest.Start(t, s.plugin(), plugintest.Config{})
			done := make(chan error, 1)
			go func() { _, err := r.Record(t.Context()); done <- err }()
			<-began
			at := time.Now()
			err := r.Stop(time.Second)
			if took := time.Since(at); took > 5*time.Second {
				t.Errorf("Stop took %v of the second it had", took)
			}
			if (err != nil) != c.err {
				t.Errorf("Stop: %v", err)
			}
			if err := <-done; (err == nil) != c.ok {
				t.Errorf("the call in flight: %v", err)
			}
		})
	}
}

// A call that never looks at its context can't hold Stop up.
func TestServer_stopWithDeafCall(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	began := make(chan struct{})
	r := plugintest.Start(t, newSink(func(context.Context, *pluginsdk.Host) error { close(began); <-release; return nil }), plugintest.Config{})
	done := make(chan struct{})
	go func() { defer close(done); _, _ = r.Record(t.Context()) }()
	<-began
	at := time.Now()
	_ = r.Stop(300 * time.Millisecond)
	if took := time.Since(at); took > 5*time.Second {
		t.Errorf("Stop took %v of 300 ms", took)
	}
	close(release)
	<-done
}
