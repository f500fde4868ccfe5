package pluginhost_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/event"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/relay"
	"github.com/sigra-auth/sigra/pluginsdk"
)

const firstPlugin = "../../pluginsdk/testdata/v1plugin"

// The first plugin is what old plugins are: it may not be changed to make it fit.
func TestContract_theFirstPluginIsFrozen(t *testing.T) {
	t.Parallel()
	const want = "6d7170b7e3a3b1f2becce5f361ac8ab9b4e64233d86a2fe6ad5c4e6a4b01003d"
	h := sha256.New()
	err := filepath.WalkDir(firstPlugin, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(firstPlugin, path)
		_, _ = fmt.Fprintf(h, "%s %x\n", filepath.ToSlash(rel), sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("pluginsdk/testdata/v1plugin is %s, and was %s: it is frozen, see its README", got, want)
	}
}

// sinks remembers what would be delivered to plugins.
type sinks struct {
	mu     sync.Mutex
	audit  func(context.Context, []audit.Row) (relay.Result, error)
	events func(context.Context, []event.Event) (relay.Result, error)
	wants  func(string) bool
}

func (s *sinks) AttachAudit(_ string, wants func(string) bool, deliver func(context.Context, []audit.Row) (relay.Result, error), _ ...relay.Option) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.audit, s.wants = deliver, wants
	return nil
}

func (s *sinks) AttachEvents(_ string, _ func(string) bool, deliver func(context.Context, []event.Event) (relay.Result, error), _ ...relay.Option) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = deliver
	return nil
}

func (*sinks) Detach(context.Context, string) error { return nil }
func (*sinks) Nudge(string)                         {}
func (*sinks) Forget(context.Context, string) error { return nil }

// postbox remembers who sends mail.
type postbox struct {
	mu sync.Mutex
	m  mail.Mailer
}

func (p *postbox) SetMailer(m mail.Mailer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.m = m
}

// attached waits until the plugin is wired to all of them, which comes right after it is ready.
func attached(t *testing.T, s *sinks, p *postbox) (send mail.Mailer, wants func(string) bool, rows func(context.Context, []audit.Row) (relay.Result, error), events func(context.Context, []event.Event) (relay.Result, error)) {
	t.Helper()
	poll(t, "the plugin to be wired", func() (string, bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		p.mu.Lock()
		defer p.mu.Unlock()
		send, wants, rows, events = p.m, s.wants, s.audit, s.events
		return "", send != nil && wants != nil && rows != nil && events != nil
	})
	return send, wants, rows, events
}

type sealer struct{}

func (sealer) Seal(plain []byte, _ string) []byte            { return append([]byte("sealed"), plain...) }
func (sealer) Open(b []byte, _ string) ([]byte, bool, error) { return b[6:], false, nil }
func (sealer) MAC(purpose string, _ []byte) []byte           { return []byte(purpose) }

// buildFirst builds the first plugin.
func buildFirst(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "v1plugin")
	if out, err := exec.Command("go", "build", "-o", program, "./"+firstPlugin).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// A plugin that was built against the first contract, without the SDK, keeps working in every seam.
func TestContract_theFirstPluginStillWorks(t *testing.T) {
	t.Parallel()
	program := buildFirst(t)
	to, box := &sinks{}, &postbox{}
	f := newHost(t, "", func(c *pluginhost.Config, _ *fixture) { c.Relay, c.Mail, c.Keyring = to, box, sealer{} })
	block := func(settings string) string {
		return fmt.Sprintf("plugin \"v1plugin\" {\n source = %q\n insecure_unpinned = true\n grants = [\"kv\", \"seal\", \"routes:/v1plugin\"]\n"+
			" gate \"login\" {}\n config {\n%s\n}\n}\n", program, settings)
	}
	f.apply(block("level = \"high\"\nrule { port = 1 }"))
	info := f.wait("v1plugin", pluginhost.Ready)
	if len(info.Seams) != 7 || info.Contract != "sigra.plugin.v1" || len(info.Settings) != 3 || !info.Unpinned {
		t.Errorf("described as %+v", info)
	}

	ctx := t.Context()
	mailer, wants, record, receive := attached(t, to, box)
	if !wants("auth.login.success") {
		t.Error("it does not get the actions it asks for")
	}
	sent := []audit.Row{{ID: uuid.New(), OccurredAt: time.Now(), Action: "auth.login.success"}, {ID: uuid.New(), OccurredAt: time.Now(), Action: "auth.login.failure", Reason: "poison"}}
	if res, err := record(ctx, sent); err != nil || res.Inserted != 1 || len(res.Refused) != 1 {
		t.Errorf("audit rows: %+v %v", res, err)
	}
	if _, err := receive(ctx, []event.Event{{ID: "1", Type: "billing.paid", OccurredAt: time.Now(), Data: []byte(`{}`)}}); err != nil {
		t.Errorf("events: %v", err)
	}
	m := mail.Message{ID: uuid.New(), Purpose: "confirm_email", To: mail.Address{Address: "ada@example.com"}, Deadline: time.Now().Add(time.Hour)}
	if err := mailer.Send(ctx, m); err != nil {
		t.Errorf("mail: %v", err)
	}
	if err := mailer.Send(ctx, mail.Message{ID: uuid.New()}); err == nil || !strings.Contains(err.Error(), "nobody to send it to") {
		t.Errorf("mail to nobody: %v", err)
	}
	for domain, want := range map[string]gate.Decision{"example.com": gate.Allow, "example.net": gate.Deny} {
		if a, err := f.gates.Ask(ctx, gate.Ask{Question: gate.Login, Context: map[string]any{"email_domain": domain}}); err != nil || a.Decision != want {
			t.Errorf("gate, %s: %+v %v", domain, a, err)
		}
	}
	if got := f.LoginMethods(ctx, "example.com", uuid.Nil, "/"); len(got) != 1 || got[0].Label != "Sign in with example.com" {
		t.Errorf("ways to sign in: %+v", got)
	}
	if got := f.Claims(ctx, principal.Principal{}, "session_jwt"); got.Values["v1plugin"]["plan"] != "gold" || got.MaxAge != time.Minute {
		t.Errorf("claims: %+v", got)
	}
	code, body, _ := f.do("POST", "/v1plugin/x?y=z", strings.NewReader("hello"), "Test-Who", "user")
	if want := "POST /v1plugin/x?y=z ada@example.com level=high body=hello stored=true sealed=true rows=1 events=1 mails=1"; code != 200 || body != want {
		t.Errorf("page: %d\n%s\nwant\n%s", code, body, want)
	}

	f.refused(block(`level = "impossible"`), "no such level", "sigra.hcl:7:")
	f.refused(block(`levl = "low"`), `Did you mean "level"?`)
	f.apply(block(`level = "low"`))
	if _, body := f.get("/v1plugin"); !strings.Contains(body, "level=low") {
		t.Errorf("after a reload: %s", body)
	}
	poll(t, "its facts", func() (string, bool) {
		info, _ := f.Info("v1plugin")
		return fmt.Sprint(info.Facts), info.Facts["rows"] == "1"
	})
}

// otherworldly is a plugin of another version of the contract.
type otherworldly struct {
	goplugin.NetRPCUnsupportedPlugin
	versions []string
}

func (o *otherworldly) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	for _, v := range o.versions {
		s.RegisterService(&grpc.ServiceDesc{ServiceName: v + ".Plugin", HandlerType: (*any)(nil)}, o)
	}
	return nil
}

func (*otherworldly) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

func serveOther(versions ...string) {
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: pluginsdk.Handshake(), Plugins: goplugin.PluginSet{pluginsdk.PluginKey: &otherworldly{versions: versions}}, GRPCServer: goplugin.DefaultGRPCServer,
	})
}

func TestContract_strangersAreToldWhatBothSpeak(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"newerplugin":   "it speaks sigra.plugin.v2, sigra.plugin.v3, this Sigra speaks sigra.plugin.v1: it needs a newer Sigra, or a build of it for this one",
		"olderplugin":   "it speaks sigra.plugin.v0, this Sigra speaks sigra.plugin.v1: build it with a pluginsdk that fits this Sigra",
		"foreignplugin": "it serves no plugin contract at all; this Sigra speaks sigra.plugin.v1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newHost(t, name)
			f.apply(fmt.Sprintf("plugin %q {}", name))
			if info := f.wait(name, pluginhost.Failed, pluginhost.Quarantined); !strings.Contains(info.Detail, want) {
				t.Errorf("it is %s: %s\nwant %s", info.State, info.Detail, want)
			}
		})
	}
}

// A Sigra of the future speaks its last two versions: a plugin of the older of them works, one that is older still is told.
func TestContract_theLastTwoVersionsAreSpoken(t *testing.T) {
	t.Parallel()
	next := newHost(t, "routed")
	next.SetContracts("sigra.plugin.v2", "sigra.plugin.v1")
	next.apply(`plugin "routed" {}`)
	if info := next.wait("routed", pluginhost.Ready); info.Contract != "sigra.plugin.v1" {
		t.Errorf("they speak %s", info.Contract)
	}
	later := newHost(t, "routed")
	later.SetContracts("sigra.plugin.v3", "sigra.plugin.v2")
	later.apply(`plugin "routed" {}`)
	want := "it speaks sigra.plugin.v1, this Sigra speaks sigra.plugin.v3, sigra.plugin.v2: build it with a pluginsdk that fits this Sigra"
	if info := later.wait("routed", pluginhost.Failed, pluginhost.Quarantined); !strings.Contains(info.Detail, want) {
		t.Errorf("it is %s: %s\nwant %s", info.State, info.Detail, want)
	}
}
