package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// hostilePrefix begins the file names of hostile plugins; the rest is what they do. See testdata/hostile.
const hostilePrefix = "hostile-"

// hostileCase is one hostile plugin and what its operator sees.
type hostileCase struct {
	name  string
	attrs string            // more of its block
	with  func(c *hostiles) // beside the assertions below
	state []string          // one of these is reached
	says  string            // in the detail or the last lines of `sigra plugin info`
	log   string            // in Sigra's log
	count string            // a metric of the plugin that is not zero
}

var failing = []string{"failed", "quarantined"}

func hostileCases() []hostileCase {
	return []hostileCase{
		{name: "log_trap", state: []string{"ready"}, with: func(c *hostiles) { c.serves() }},
		{name: "flood", state: []string{"ready"}, log: "plugin logs too fast, lines dropped", count: "sigra_plugin_log_lines_dropped_total", with: func(c *hostiles) { c.serves() }},
		{name: "noisy_start", state: failing, says: "to standard output before introducing itself"},
		{name: "endless_start", state: failing, says: "before introducing itself"},
		{name: "crash_start", state: []string{"quarantined"}, says: "panic: no reason at all", log: "plugin quarantined"},
		{name: "crash_loop", state: []string{"quarantined"}, says: "panic: once more", count: "sigra_plugin_restarts_total"},
		{name: "hang_describe", state: failing, says: "describe: no answer in time"},
		{name: "hang_configure", state: failing, says: "configure: no answer in time"},
		{name: "hang_health", state: append(failing, "degraded"), says: "missed", log: "plugin missed a health check"},
		{name: "hang_record", state: []string{"ready", "degraded"}, count: "sigra_plugin_calls_total:DeadlineExceeded"},
		{name: "hang_ask", attrs: "gate \"login\" {\n on_error = \"allow\"\n timeout = \"100ms\"\n}", state: []string{"ready"}, log: "gate failed, allowed as its block says", count: "sigra_plugin_breaker_open:Gate"},
		{name: "hang_serve", state: []string{"ready"}, with: func(c *hostiles) { c.unavailable(); c.serves503Meanwhile() }},
		{name: "hang_stop", state: []string{"ready"}},
		{name: "ignore_stop", state: []string{"ready"}},
		{name: "crash_describe", state: failing, says: "panic: crash in describe"},
		{name: "crash_configure", state: failing, says: "panic: crash in configure"},
		{name: "crash_health", state: append(failing, "starting", "verified", "ready"), says: "panic: crash in health"},
		{name: "crash_record", state: []string{"quarantined"}, says: "panic: crash in record"},
		{name: "crash_ask", attrs: "gate \"login\" {\n on_error = \"allow\"\n}", state: []string{"quarantined"}, says: "panic: crash in ask"},
		{name: "crash_serve", with: func(c *hostiles) { c.unavailable() }, state: append(failing, "ready", "starting"), says: "panic: crash in serve"},
		{name: "freezes", with: func(c *hostiles) { c.awaitReady(); c.unavailable() }, state: []string{"failed", "starting", "ready"}, says: "killed: it missed 3 health checks", count: "sigra_plugin_killed_total:health"},
		{name: "leak", attrs: "limits {\n memory = \"96MiB\"\n}", state: failing, says: "of memory, and its block allows 96MiB", count: "sigra_plugin_killed_total:memory"},
		{name: "garbage", state: failing, says: "describe: "},
		{name: "oversized", state: failing, says: "larger than max"},
		{name: "huge_answer", state: []string{"ready"}, with: func(c *hostiles) { c.cutOff() }},
		{name: "endless_answer", state: []string{"ready"}, with: func(c *hostiles) { c.endless() }},
		{name: "bad_status", state: []string{"ready"}, with: func(c *hostiles) { c.unavailable() }, log: "it answered with status 7", count: "sigra_plugin_bad_answers_total"},
		{name: "cookies", state: []string{"ready"}, with: func(c *hostiles) { c.cookies() }, log: "parts of an answer taken out", count: "sigra_plugin_bad_answers_total:cookie"},
		{name: "victim", state: append(failing, "ready"), with: func(c *hostiles) { c.oneOf("thief") }},
		{name: "thief", attrs: "grants = [\"routes.public:/thief\", \"routes.public:/victim/inner\"]", state: append(failing, "ready"), with: func(c *hostiles) { c.oneOf("victim") }},
		{name: "usurper", attrs: "grants = [\"routes.public:/v1/login\"]", state: failing, says: "Path is Sigra's own"},
		{name: "claims_much", state: failing, says: "larger than any plugin's needs to be"},
		{name: "grabby", state: failing, says: "Missing grants"},
		{name: "ungranted", state: []string{"ready"}, with: func(c *hostiles) { c.refused() }, log: "plugin called a host service without its grant", count: "sigra_plugin_refused_total:identity.read"},
		{name: "newer_seam", state: failing, says: "sigra.plugin.v9.Telepathy"},
		{name: "older_protocol", state: failing, says: "another version of the plugin protocol"},
		{name: "newer_protocol", state: failing, says: "another version of the plugin protocol"},
		{name: "forks", state: []string{"ready"}, with: func(c *hostiles) { c.serves() }},
		{name: "quits", state: []string{"ready"}, with: func(c *hostiles) { c.gotEverything() }, count: "sigra_plugin_restarts_total"},
		{name: "liar", state: []string{"ready"}, log: "sink gave an answer that can't be true"},
		{name: "swapped", attrs: "pinned", with: func(c *hostiles) { c.swap() }, state: failing, says: "but the block pins"},
		{name: "writable", state: failing, says: "chmod go-w"},
	}
}

// onPostgres are those whose harm goes through cursors, leases and storage, which nodes share there. The others are looked at on SQLite, and all of
// them on both in the soak.
var onPostgres = []string{"flood", "hang_record", "crash_record", "crash_loop", "quits", "liar", "ungranted", "swapped", "victim", "thief"}

// TestHostile runs every hostile plugin at once under one server while people sign in: none of them notices anything,
// the operator sees what each plugin did, and when their blocks are taken away nothing of them is left.
//
// It is not parallel: what a plugin has come to changes by the second, and each case must get its turn while it is still so.
func TestHostile(t *testing.T) {
	// Without the race detector, which is for Sigra: some of them start and crash over and over.
	exe := buildSigra(t, "./testdata/hostile")
	onEach(t, func(t *testing.T, database string) {
		in := newInstance(t, setup{database: database})
		in.start()
		emails := in.people(3)
		admin := in.admin("root@example.com")
		before := in.footprint()
		in.stop()

		dir := t.TempDir()
		t.Cleanup(func() { sweep(dir) })
		var blocks strings.Builder
		cases := hostileCases()
		if embedded := database == "" || strings.HasPrefix(database, "sqlite"); !*soak {
			cases = slices.DeleteFunc(cases, func(c hostileCase) bool { return slices.Contains(onPostgres, c.name) == embedded })
		}
		for _, c := range cases {
			blocks.WriteString(hostileBlock(t, exe, dir, c))
		}
		s := setup{database: database}
		s.plugins = blocks.String()
		in.configure(s)
		in.start()
		l := newPacedLoad(in, emails, 3*time.Second) // the cases wait more than they do, and others test meanwhile
		t.Run("cases", func(t *testing.T) {
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					h := &hostiles{instance: in, T: t, name: c.name, program: filepath.Join(dir, hostilePrefix+c.name), token: admin.Token}
					h.instance = in.forTest(t)
					if c.with != nil {
						c.with(h)
					}
					h.check(c)
				})
			}
		})
		list := in.cli("plugin", "list")
		for _, c := range cases {
			if !strings.Contains(list, c.name+" ") {
				t.Errorf("%s is not in the list:\n%s", c.name, list)
			}
		}
		s.plugins = ""
		in.configure(s)
		begin := time.Now()
		in.cli("reload")
		took := time.Since(begin)
		l.end()
		if n := l.failed.Load(); n > 0 {
			t.Errorf("%d of %d requests failed: %v", n, l.requests.Load(), l.failures)
		}
		in.nothingLeft(t, dir, before)
		l.check(t, in.auditLog(admin.Token))
		for _, bad := range []string{"DATA RACE", "panic: runtime", "host service panicked"} {
			if strings.Contains(in.log(), bad) {
				t.Errorf("the log has %q", bad)
			}
		}
		in.stop()
		t.Logf("%d hostile plugins, %d requests of %d sign-ins, 0 failed; all of them let go within %v", len(cases), l.requests.Load(), len(l.sessions), took.Round(time.Millisecond))
	})
}

// hostileBlock makes the program's file and its block.
func hostileBlock(t *testing.T, exe, dir string, c hostileCase) string {
	t.Helper()
	path := filepath.Join(dir, hostilePrefix+c.name)
	pin, attrs := "insecure_unpinned = true", c.attrs
	switch c.name {
	case "writable":
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o775); err != nil {
			t.Fatal(err)
		}
	case "swapped":
		pin, attrs = fmt.Sprintf("sha256 = %q", copyFile(t, exe, path)), ""
	default:
		if err := os.Symlink(exe, path); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(attrs, "grants") {
		attrs += fmt.Sprintf("\n  grants = [\"audit.receive\", \"routes.public:/%s\"]", c.name)
	}
	return fmt.Sprintf("plugin %q {\n  source = %q\n  %s\n  %s\n}\n", c.name, path, pin, attrs)
}

// hostiles is one case while it runs.
type hostiles struct {
	*instance
	*testing.T
	name, program, token string
}

// check waits for what the operator is to see.
func (c *hostiles) check(want hostileCase) {
	c.Helper()
	var last string
	ok := func() bool {
		i, err := c.pluginInfo(c.name)
		if err != nil {
			last = err.Error()
			return false
		}
		last = fmt.Sprintf("%s: %s\n%s", i.State, i.LastError, i.LastCrash)
		return slices.Contains(want.state, i.State) && strings.Contains(last+strings.Join(i.Log, "\n"), want.says)
	}
	c.until(90*time.Second, "seen by the operator as "+fmt.Sprint(want.state)+" "+want.says, ok, &last)
	if want.log != "" {
		c.until(60*time.Second, "in the log: "+want.log, func() bool {
			for line := range strings.SplitSeq(c.log(), "\n") {
				if strings.Contains(line, want.log) && strings.Contains(line, c.name) {
					return true
				}
			}
			return false
		}, &last)
	}
	if want.count != "" {
		name, label, _ := strings.Cut(want.count, ":")
		c.until(60*time.Second, "counted as "+want.count, func() bool { return c.metric(name, c.name, label) > 0 }, &last)
	}
}

func (c *hostiles) until(within time.Duration, what string, f func() bool, last *string) {
	c.Helper()
	for deadline := time.Now().Add(within); !f(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.Fatalf("not %s within %v; last: %s", what, within, *last)
		}
	}
}

func (c *hostiles) awaitReady() {
	c.Helper()
	var last string
	c.until(60*time.Second, "ready", func() bool {
		i, err := c.pluginInfo(c.name)
		last = fmt.Sprint(i.State, i.LastError, err)
		return i.State == "ready"
	}, &last)
}

func (c *hostiles) get() (*http.Response, []byte, error) {
	cl := &http.Client{Timeout: 50 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := cl.Get(c.url + "/" + c.name + "/x")
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	return r, b, err
}

// serves expects the plugin to answer in spite of all.
func (c *hostiles) serves() {
	c.awaitReady()
	if r, b, err := c.get(); err != nil || r.StatusCode != 200 {
		c.Errorf("%v %s", err, b)
	}
}

// oneOf expects that of two plugins that want one path, whoever came first has it, and the other is told so.
func (c *hostiles) oneOf(other string) {
	var last string
	c.until(60*time.Second, "decided", func() bool {
		a, _ := c.pluginInfo(c.name)
		b, _ := c.pluginInfo(other)
		last = fmt.Sprintf("%s: %s; %s: %s", a.State, a.LastError, b.State, b.LastError)
		const taken = "Path belongs to another plugin"
		return a.State == "ready" && strings.Contains(b.LastError, taken) || b.State == "ready" && strings.Contains(a.LastError, taken)
	}, &last)
}

// unavailable expects a request to be told that this part is down.
func (c *hostiles) unavailable() {
	c.awaitReady()
	r, b, err := c.get()
	if err != nil || r.StatusCode != http.StatusServiceUnavailable || !bytes.Contains(b, []byte("part of th")) {
		c.Errorf("%v %v %.200s", err, r, b)
	}
}

func (c *hostiles) serves503Meanwhile() {
	if n := c.metric("sigra_plugin_calls_total", c.name, "DeadlineExceeded"); n == 0 {
		c.Error("the call that hung is not counted")
	}
}

// cutOff expects half an answer to end in an error instead of looking whole.
func (c *hostiles) cutOff() {
	c.awaitReady()
	if r, b, err := c.get(); err == nil && r.StatusCode == 200 {
		c.Errorf("%d bytes were passed on as if they were all", len(b))
	}
}

// endless reads a part and goes away; the plugin's stream must end with that.
func (c *hostiles) endless() {
	c.awaitReady()
	if _, b, err := c.get(); err != nil || len(b) != 1<<20 {
		c.Errorf("%d bytes, %v", len(b), err)
	}
	last := ""
	c.until(10*time.Second, "without a call in flight", func() bool { return c.metric("sigra_plugin_calls_in_flight", c.name, "Routes") == 0 }, &last)
}

func (c *hostiles) cookies() {
	c.awaitReady()
	r, b, err := c.get()
	if err != nil || r.StatusCode != 200 {
		c.Fatalf("%v %s", err, b)
	}
	if got := r.Header["Set-Cookie"]; len(got) > 0 || r.Header.Get("Clear-Site-Data") != "" { // neither Sigra's name nor one without its own prefix
		c.Errorf("passed on: %v", r.Header)
	}
}

// refused expects the call without its grant to be refused and audited.
func (c *hostiles) refused() {
	c.awaitReady()
	_, b, err := c.get()
	if err != nil || !bytes.Contains(b, []byte("PermissionDenied")) || !bytes.Contains(b, []byte("identity.read")) {
		c.Errorf("%v %s", err, b)
	}
	found := false
	for _, row := range c.auditLog(c.token) {
		found = found || row.Action == "admin.plugin.grant_refused" && row.Actor.ID == c.name
	}
	if !found {
		c.Error("the refusal is not in the audit log")
	}
}

// gotEverything expects a sink that ends between batches to have each row of the log all the same.
func (c *hostiles) gotEverything() {
	log, last := c.auditLog(c.token), ""
	c.until(60*time.Second, "given every row", func() bool {
		b, _ := os.ReadFile(c.program + ".rows")
		for _, row := range log {
			if inTimeline(row.Action) && !bytes.Contains(b, []byte(row.ID)) {
				last = row.ID + " " + row.Action
				return false
			}
		}
		return true
	}, &last)
}

// swap puts another program in the place of the pinned one, and ends it: what is there now must never run.
func (c *hostiles) swap() {
	c.awaitReady()
	i, err := c.pluginInfo(c.name)
	if err != nil {
		c.Fatal(err)
	}
	if err := os.WriteFile(c.program+".new", []byte("#!/bin/sh\ntouch "+c.program+".ran\n"), 0o700); err != nil {
		c.Fatal(err)
	}
	if err := os.Rename(c.program+".new", c.program); err != nil {
		c.Fatal(err)
	}
	kill9(i.PID)
	last := ""
	c.until(30*time.Second, "refused", func() bool {
		i, _ := c.pluginInfo(c.name)
		last = i.State + i.LastError
		return i.State != "ready" && strings.Contains(i.LastError, "pins")
	}, &last)
	if _, err := os.Stat(c.program + ".ran"); err == nil {
		c.Error("the other program ran")
	}
}
