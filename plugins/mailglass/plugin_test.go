package mailglass_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/plugins/mailglass"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConform(t *testing.T) {
	t.Parallel()
	plugintest.Conform(t, mailglass.New, plugintest.Options{
		RequirePostgres: true,
		Settings:        `{"concurrency": 2}`,
		BadSettings: []string{
			`{"concurrency": 0}`, `{"concurrency": 65}`, `{"retry_first": "0s"}`, `{"origins": ["nowhere"]}`, `{"smtp": {"host": "mail.example.com", "tls": "none"}}`,
			`{"smtp": {"host": "a b"}}`, `{"smtp": {"host": "mail.example.com", "port": 0}}`, `{"smtp": {"host": "mail.example.com", "tls": "ssl"}}`,
			`{"smtp": {"host": "mail.example.com", "username": "ada"}}`, `{"smtp": {"host": "mail.example.com", "timeout": "0s"}}`,
		},
		Effects: func(ctx context.Context, host *pluginsdk.Host) (n int, err error) {
			err = host.Database().QueryRowContext(ctx, `SELECT count(*) FROM mailglass_message`).Scan(&n)
			return n, err
		},
	})
}

// server takes mail and counts it. fail, when set, answers the dot of the nth message; "-" hangs up.
type server struct {
	port int
	fail func(n int) string

	mu  sync.Mutex
	got []string
}

func serve(t *testing.T, fail func(n int) string) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{port: l.Addr().(*net.TCPAddr).Port, fail: fail}
	var all sync.WaitGroup
	all.Go(func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { s.talk(c, n) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return s
}

func (s *server) talk(c net.Conn, n int) {
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	_, _ = io.WriteString(c, "220 ready\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch strings.ToUpper(line[:4]) {
		case "DATA":
			_, _ = io.WriteString(c, "354 go on\r\n")
			var text strings.Builder
			for line != ".\r\n" {
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
				text.WriteString(line)
			}
			answer := "250 queued"
			if s.fail != nil {
				if a := s.fail(n); a != "" {
					answer = a
				}
			}
			if answer[0] == '2' || answer == "-" {
				s.mu.Lock()
				s.got = append(s.got, text.String())
				s.mu.Unlock()
			}
			if answer == "-" {
				return
			}
			_, _ = io.WriteString(c, answer+"\r\n")
		case "QUIT":
			_, _ = io.WriteString(c, "221 bye\r\n")
			return
		default:
			_, _ = io.WriteString(c, "250 ok\r\n")
		}
	}
}

func (s *server) messages() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.got...)
}

// message is one that Sigra would hand over.
func message() pluginsdk.Message {
	return pluginsdk.Message{
		IdempotencyKey: uuid.NewString(), Purpose: "confirm_email", Category: pluginsdk.AuthMail, From: pluginsdk.Address{Address: "no-reply@sigra.example", Name: "Sigra"},
		To: pluginsdk.Address{Address: "ada@example.com"}, Subject: "Confirm your email address", Text: "Your code: 123456\nhttps://sigra.example/confirm?token=x\n",
		HTML: `<p>Your code: 123456. <a href="https://sigra.example/confirm?token=x">Confirm</a></p>`, Language: "en", Deadline: time.Now().Add(time.Hour),
	}
}

func onBoth(t *testing.T, run func(t *testing.T, at *pluginsdk.Location)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); at := plugintest.SQLiteAt(t); run(t, &at) })
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		at, ok := plugintest.PostgresAt(t)
		if !ok {
			t.Fatal("SIGRA_TEST_POSTGRES is not set")
		}
		run(t, &at)
	})
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 600 {
		if done() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("not within 30 s: %s", what)
}

// TestSend hands messages to a real server: each arrives once, and its end is reported.
func TestSend(t *testing.T) {
	onBoth(t, func(t *testing.T, at *pluginsdk.Location) {
		srv := serve(t, func(n int) string {
			if n == 1 {
				return "451 later"
			}
			return ""
		})
		settings := fmt.Sprintf(`{"retry_first": "1s", "smtp": {"host": "127.0.0.1", "port": %d, "tls": "none"}}`, srv.port)
		p := plugintest.Start(t, mailglass.New(), plugintest.Config{Settings: settings, Storage: at})
		m := message()
		for range 3 { // the same key is one message
			if _, err := p.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		until(t, "the end is reported", func() bool { return len(p.Host.Reports()) > 0 })
		if r := p.Host.Reports()[0]; r.IdempotencyKey != m.IdempotencyKey || r.Event != pluginsdk.MailDelivered {
			t.Errorf("reported %+v", r)
		}
		got := srv.messages()
		if len(got) != 1 || !strings.Contains(got[0], "Subject: Confirm your email address") || !strings.Contains(got[0], "Auto-Submitted: auto-generated") {
			t.Fatalf("received %d messages: %q", len(got), got)
		}
		var out bytes.Buffer
		if err := p.Command(t.Context(), pluginsdk.CommandCall{Name: "outbox", Stdout: &out, JSON: true}); err != nil {
			t.Fatal(err)
		}
		var row struct {
			State    string
			Attempts int
		}
		if err := json.Unmarshal(out.Bytes(), &row); err != nil || row.State != "accepted" || row.Attempts != 2 {
			t.Errorf("%s %v", out.String(), err)
		}
	})
}

// TestCheck: an address that a server said nobody has is no more promised a mail, until one arrives there.
func TestCheck(t *testing.T) {
	onBoth(t, func(t *testing.T, at *pluginsdk.Location) {
		answers := []string{"550 5.7.1 no", "550 5.1.1 no such user", "250 queued"}
		srv := serve(t, func(n int) string { return answers[n-1] })
		settings := fmt.Sprintf(`{"concurrency": 1, "smtp": {"host": "127.0.0.1", "port": %d, "tls": "none"}}`, srv.port)
		p := plugintest.Start(t, mailglass.New(), plugintest.Config{Settings: settings, Storage: at})
		for i, want := range []string{"", "undeliverable", ""} { // before, by what was answered: nothing about the address, nobody has it, it is there
			if _, err := p.Send(t.Context(), message()); err != nil {
				t.Fatal(err)
			}
			until(t, "its end is reported", func() bool { return len(p.Host.Reports()) > i })
			got, err := p.Check(t.Context(), pluginsdk.CheckRequest{Purpose: "invitation", Address: "ada@example.com"})
			if err != nil || got.Code != want || got.Deliverable != (want == "") {
				t.Errorf("after %q: %+v, %v", answers[i], got, err)
			}
		}
		if got, err := p.Check(t.Context(), pluginsdk.CheckRequest{Address: "bob@example.com"}); err != nil || !got.Deliverable {
			t.Errorf("an address nobody wrote to: %+v, %v", got, err)
		}
	})
}

// TestSend_answerLost: what may have arrived is never sent again by itself.
func TestSend_answerLost(t *testing.T) {
	onBoth(t, func(t *testing.T, at *pluginsdk.Location) {
		srv := serve(t, func(int) string { return "-" })
		settings := fmt.Sprintf(`{"retry_first": "1s", "smtp": {"host": "127.0.0.1", "port": %d, "tls": "none"}}`, srv.port)
		p := plugintest.Start(t, mailglass.New(), plugintest.Config{Settings: settings, Storage: at})
		if _, err := p.Send(t.Context(), message()); err != nil {
			t.Fatal(err)
		}
		until(t, "the end is reported", func() bool { return len(p.Host.Reports()) > 0 })
		if r := p.Host.Reports()[0]; r.Event != pluginsdk.MailFailed || r.Reason != "uncertain" {
			t.Errorf("reported %+v", r)
		}
		time.Sleep(1500 * time.Millisecond) // longer than the first wait for another attempt
		if n := len(srv.messages()); n != 1 {
			t.Errorf("sent %d times", n)
		}
	})
}

// TestSend_tracking: a message with a tracking pixel is refused with its findings, and nothing of it is kept.
func TestSend_tracking(t *testing.T) {
	onBoth(t, func(t *testing.T, at *pluginsdk.Location) {
		p := plugintest.Start(t, mailglass.New(), plugintest.Config{Storage: at})
		for _, category := range []pluginsdk.MailCategory{pluginsdk.AuthMail, pluginsdk.NoticeMail} {
			m := message()
			m.Category = category
			m.HTML += `<img src="https://t.tracker.example/o" width="1" height="1">`
			_, err := p.Send(t.Context(), m)
			var rejected *pluginsdk.RejectedError
			if !errors.As(err, &rejected) || rejected.Code != mailglass.TrackingCode || len(rejected.Findings) < 2 || !pluginsdk.IsPermanent(err) {
				t.Fatalf("%s: %v", category, err)
			}
			var rules []string
			for _, f := range rejected.Findings {
				rules = append(rules, f.Rule)
			}
			if s := strings.Join(rules, " "); !strings.Contains(s, "pixel") || !strings.Contains(s, "remote_image") {
				t.Errorf("%s: %+v", category, rejected.Findings)
			}
		}
		var out bytes.Buffer
		if err := p.Command(t.Context(), pluginsdk.CommandCall{Name: "outbox", Stdout: &out, JSON: true}); err != nil || out.Len() > 0 {
			t.Errorf("kept: %s %v", out.String(), err)
		}
		if _, err := p.Send(t.Context(), message()); err != nil { // to the inbox
			t.Errorf("a clean one: %v", err)
		}
	})
}

// TestLint is the command without a server.
func TestLint(t *testing.T) {
	t.Parallel()
	var cmd pluginsdk.Command
	for _, c := range mailglass.New().Manifest().Commands {
		if c.Name == "lint" {
			cmd = c
		}
	}
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := cmd.Offline(t.Context(), &pluginsdk.CommandCall{Name: "lint", Arguments: args, Stdout: &out, JSON: true})
		return out.String(), err
	}
	good, bad := filepath.Join("guard", "testdata", "accept", "mt-a02-plain-link.eml"), filepath.Join("guard", "testdata", "refuse", "mt-r01-pixel-attrs.eml")
	out, err := run(good, "--origin", "https://auth.example.test")
	if err != nil || !strings.Contains(out, `"accepted":true`) {
		t.Errorf("%s %v", out, err)
	}
	out, err = run("--origin", "https://auth.example.test", good, bad)
	var exit *pluginsdk.ExitError
	if !errors.As(err, &exit) || exit.Status != 1 || strings.Count(out, "\n") != 2 || !strings.Contains(out, `"reason":"pixel"`) {
		t.Errorf("%s %v", out, err)
	}
	for _, args := range [][]string{{good}, {"--origin", "https://auth.example.test"}, {"--origin", "nowhere", good}, {"--origin", "https://a.example", filepath.Join(t.TempDir(), "none")}} {
		if _, err := run(args...); !errors.As(err, &exit) || exit.Status != 2 {
			t.Errorf("%v: %v", args, err)
		}
	}
	if _, err := os.Stat(good); err != nil {
		t.Fatal(err)
	}
}
