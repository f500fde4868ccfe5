package pluginhost_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/pluginhost"
)

// rawManifest is an external plugin whose manifest is what a file says at each start.
type rawManifest struct {
	t         *testing.T
	f         *fixture
	path, sum string
	file      string
}

// newRawManifest names the file by an environment variable, which tests in parallel can't have each their own of: these are not parallel.
func newRawManifest(t *testing.T) *rawManifest {
	t.Helper()
	dir := t.TempDir()
	m := &rawManifest{t: t, f: newHost(t, ""), file: filepath.Join(dir, "manifest")}
	m.path, m.sum = external(t, dir, "raw-external")
	t.Setenv("RAW_MANIFEST", m.file)
	return m
}

func (m *rawManifest) says(words string) {
	m.t.Helper()
	if err := os.WriteFile(m.file, []byte(words), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *rawManifest) block(grants ...string) config.Plugin {
	m.t.Helper()
	var quoted []string
	for _, g := range grants {
		quoted = append(quoted, fmt.Sprintf("%q", g))
	}
	return blocks(m.t, fmt.Sprintf("plugin \"raw\" {\n source = %q\n sha256 = %q\n env = [\"RAW_MANIFEST\"]\n grants = [%s]\n}", m.path, m.sum, strings.Join(quoted, ", ")))[0]
}

func settle(b config.Plugin, words string) config.Diagnostics {
	return pluginhost.Settle(b, rawDescribe("raw", words))
}

// unrun is a block of a program that is never run.
func unrun(t *testing.T, grants ...string) config.Plugin {
	t.Helper()
	return (&rawManifest{t: t, path: "/opt/raw", sum: strings.Repeat("5f", 32)}).block(grants...)
}

// Before, a plugin that offered the Mailer seam was given confirmation codes, a sink rows with addresses, and a page was for everybody,
// all by the plugin's own word.
func TestRights_eachIsGrantedInTheBlock(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ says, needs string }{
		{"", "routes.public:/raw"}, {"access=3 seam=Mailer", "mail.deliver"}, {"access=3 seam=AuditSink", "audit.receive"},
		{"access=3 seam=AuditSink rows=auth.login.failure", "audit.receive:auth.login.failure"}, {"access=3 seam=EventSink event=billing.*", "events.receive:billing.*"},
		{"access=3 seam=LoginMethods", "login.offer"}, {"access=3 seam=Claims claim=plan", "claims.add:plan"}, {"access=3 seam=Subject", "subject.answer"},
		{"access=3 seam=Logout", "logout.follow"}, {"access=3 seam=Commands command=lint", "commands.run"},
	} {
		granted := []string{"routes.serve:/raw", "audit.receive", "events.receive:other.*", "claims.add:other"}
		granted = slices.DeleteFunc(granted, func(g string) bool { return g == c.needs })
		if d := settle(unrun(t, granted...), c.says); !d.HasErrors() || !strings.Contains(d.String(), c.needs) {
			t.Errorf("%q without %s: %v", c.says, c.needs, d)
		}
		if d := settle(unrun(t, append(granted, c.needs)...), c.says); d.HasErrors() {
			t.Errorf("%q with %s: %v", c.says, c.needs, d)
		}
	}
}

// Before, a manifest that was another one at the next start had its way.
func TestRights_whatWasAcceptedIsHeldTo(t *testing.T) {
	t.Parallel()
	b := unrun(t, "routes.public:/raw", "identity.read", "seal.use", "mail.deliver", "commands.run", "audit.receive", "audit.receive:auth.*")
	b.Accepted = pluginhost.RightsOf(rawDescribe("raw", "access=3 wants=identity.read question=login seam=Gate"))
	for words, want := range map[string]string{
		"access=3 wants=identity.read": "", "access=3": "", "access=3 question=login seam=Gate": "",
		"access=2": "routes.signed_in:/raw", "": "routes.public:/raw", "access=4": "routes.organization_administrators:/raw", "access=3 machine": "routes.machine:/raw",
		"access=3 programs": "routes.applications:/raw", "access=3 wants=seal.use": "seal.use", "access=3 seam=Mailer": "mail.deliver", "access=3 seam=AuditSink rows=auth.*": "audit.receive:auth.*",
		"access=3 question=registration seam=Gate": "gates.answer:registration", "access=3 seam=Commands command=lint": "commands.run:lint",
	} {
		d := settle(b, words)
		if (want != "") != d.HasErrors() || want != "" && (!strings.Contains(d.String(), want) || !strings.Contains(d.String(), "sigra plugin lock raw")) {
			t.Errorf("%q: %v, want %q", words, d, want)
		}
	}
}

// A running plugin that comes back wider is not let in, and the one that was accepted goes on.
func TestRights_aProgramThatSaysOtherwiseAtItsNextStart(t *testing.T) {
	m := newRawManifest(t)
	m.says("access=3")
	b := m.block("routes.public:/raw")
	var err error
	if b.Accepted, err = pluginhost.Rights(context.Background(), pluginhost.Config{DataDir: t.TempDir(), Version: "test"}, b); err != nil || !slices.Contains(b.Accepted, "routes.administrators:/raw") {
		t.Fatalf("rights %v %v", b.Accepted, err)
	}
	if d := m.f.Apply(context.Background(), []config.Plugin{b}); d.HasErrors() {
		t.Fatal(d)
	}
	m.f.wait("raw", pluginhost.Ready)
	m.says("access=1")
	if err := m.f.Restart(context.Background(), "raw"); err == nil || !strings.Contains(err.Error(), "sigra plugin lock raw") {
		t.Errorf("restarted with %v", err)
	}
	if code, _ := m.f.get("/raw/split"); code != 401 {
		t.Errorf("the page is for everybody: %d", code)
	}
	m.says("name=billing")
	if d := m.f.Check(context.Background(), b); !strings.Contains(d.String(), `calls itself "billing"`) {
		t.Errorf("under another name: %v", d)
	}
}

func TestRights_namesMeanNothingElsewhere(t *testing.T) {
	t.Parallel()
	b := unrun(t, "routes.public:/raw")
	for words, want := range map[string]string{
		"name=Raw": "lower-case", "version=1": "semantic version", "version=1.0.0\x1b[2J": "semantic version", "event=${x}": "for one of its event patterns",
		"claim=a;b": "for one of its claims", "wants=identity.read\"]": "for one of its grants", "question=log/in": "for one of its questions", "seam=Routes": "",
	} {
		if d := settle(b, words); (want != "") != d.HasErrors() || !strings.Contains(d.String(), want) || strings.Contains(d.String(), "\x1b") {
			t.Errorf("%q: %v, want %q", words, d, want)
		}
	}
	f := newHost(t, "")
	for _, label := range []string{"sigra", "auth", "admin", "session"} {
		f.refused(fmt.Sprintf("plugin %q {\n source = \"/opt/raw\"\n sha256 = %q\n}", label, strings.Repeat("5f", 32)), "no plugin can have that name")
	}
}
