//go:build !core_only

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/mail/smtp/smtptest"
)

func mailglassBlock(s *smtptest.Server) string {
	return fmt.Sprintf(`
plugin "mailglass" {
  config {
    retry_first = "1s"
    smtp {
      host     = "localhost"
      port     = %d
      username = "sigra"
      password = "a password"
      ca_file  = %q
    }
  }
}
`, s.Port, s.CAFile)
}

// TestMailglass sends a sign-up's confirmation through the satellite to a real server, has a message with a tracking pixel refused, and takes
// the block away while a message waits in the satellite's outbox.
func TestMailglass(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, database string) {
		t.Parallel()
		server := mailServer(t)
		templates := t.TempDir()
		with := setup{database: database, extra: strings.Replace(smtpBlock(server, ""), "service_name", fmt.Sprintf("templates = %q\n  service_name", templates), 1), plugins: mailglassBlock(server)}
		in := newInstance(t, with)
		in.start()
		in.pluginReady("mailglass")

		flow := in.register("ada@example.org")
		got := readLetters(t, server.Wait("the confirmation", func(r []smtptest.Received) bool { return len(r) == 1 }))
		if l := got[0]; l.To != "ada@example.org" || l.From != "auth@example.test" || l.marked || !strings.Contains(l.text, in.url+"/confirm?token=") {
			t.Errorf("%+v\n%s", l, l.text)
		}
		in.confirm(flow, got[0])
		in.queueSays("the report of the delivery", func(sent, accepted, failed int) bool { return sent == 1 && accepted == 0 })
		if q := in.mailQueue(); q.Mailer != "plugin mailglass" {
			t.Errorf("sent by %q", q.Mailer)
		}
		if out := in.cli("mailglass", "outbox"); !strings.Contains(out, "ada@example.org") || !strings.Contains(out, "accepted") {
			t.Error(out)
		}

		// The operator's own template tracks its reader: it is refused with what is wrong with it, and nothing leaves.
		pixel := `{{define "body"}}<p>{{.Code}} <a href="{{.Link}}">{{.Link}}</a></p><img src="https://track.example.net/o.gif" width="1" height="1" alt="">{{end}}`
		file := filepath.Join(templates, "confirm_email.html")
		if err := os.WriteFile(file, []byte(pixel), 0o600); err != nil {
			t.Fatal(err)
		}
		in.cli("reload")
		in.register("bob@example.org")
		in.queueSays("the refusal", func(sent, accepted, failed int) bool { return failed == 1 })
		if n := len(server.Received()); n != 1 {
			t.Errorf("%d messages have left", n)
		}
		if log := in.log(); !strings.Contains(log, "tracking_on_auth_stream") || !strings.Contains(log, "track.example.net") && !strings.Contains(log, "remote") {
			t.Errorf("the log does not say what is wrong:\n%s", tail(log, 3000))
		}

		// A message that waits in the outbox when the block goes is sent by Sigra itself.
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		in.cli("reload")
		server.On("MAIL", func(smtptest.Event) smtptest.Action { return smtptest.Say("452 4.3.1 Later") })
		server.HangUpAll()
		flow = in.register("carol@example.org")
		in.queueSays("the satellite has it", func(sent, accepted, failed int) bool { return accepted == 1 })
		alone := with
		alone.plugins = ""
		in.configure(alone)
		in.cli("reload")
		server.On("MAIL", nil)
		all := readLetters(t, server.Wait("carol's confirmation", func(r []smtptest.Received) bool { return len(r) == 2 }))
		carols := to(all, "carol@example.org")
		if len(carols) != 1 || !carols[0].marked {
			t.Fatalf("%+v", carols)
		}
		in.confirm(flow, carols[0])
		if _, _, err := in.tryCLI("mailglass", "outbox"); err == nil {
			t.Error("the command runs without the block")
		}
		flow = in.register("dan@example.org")
		all = readLetters(t, server.Wait("dan's confirmation", func(r []smtptest.Received) bool { return len(r) == 3 }))
		in.confirm(flow, to(all, "dan@example.org")[0])
	})
}

// queueSays waits until the mail queue stands as it should.
func (in *instance) queueSays(what string, ok func(sent, accepted, failed int) bool) {
	in.t.Helper()
	in.eventually(60*time.Second, what, func() error {
		if q := in.mailQueue(); !ok(q.Sent, q.Accepted, q.Failed) {
			return fmt.Errorf("%+v", q)
		}
		return nil
	})
}
