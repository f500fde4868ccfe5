package smtp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/mail/smtp"
	"github.com/sigra-auth/sigra/core/mail/smtp/smtptest"
	"github.com/sigra-auth/sigra/core/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "correct horse"

var everyWay = []string{smtptest.Plain, smtptest.StartTLS, smtptest.Implicit}

// output collects a log.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) { o.mu.Lock(); defer o.mu.Unlock(); return o.b.Write(p) }
func (o *output) String() string              { o.mu.Lock(); defer o.mu.Unlock(); return o.b.String() }

type world struct {
	*smtp.Sender
	server *smtptest.Server
	log    *output
}

// setup starts a server and a sender that knows it.
func setup(t *testing.T, server smtptest.Config, change func(*smtp.Config)) *world {
	t.Helper()
	w := &world{server: smtptest.Start(t, server), log: &output{}}
	way := smtp.TLS(server.TLS)
	if server.TLS == "" {
		way = smtp.None
	}
	cfg := smtp.Config{
		Host: w.server.Host, Port: w.server.Port, TLS: way, CAFile: w.server.CAFile, Timeout: 5 * time.Second, Hello: "sigra.test",
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: w.log}),
	}
	if server.User != "" {
		cfg.Username, cfg.Password = server.User, secret.New(password)
	}
	if change != nil {
		change(&cfg)
	}
	w.Sender = sender(t, cfg)
	return w
}

func sender(t *testing.T, cfg smtp.Config) *smtp.Sender {
	t.Helper()
	s, err := smtp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func message() mail.Message {
	return mail.Message{
		ID: uuid.Must(uuid.NewV7()), Purpose: "confirm_email", From: mail.Address{Address: "auth@example.test", Name: "Böhm, Söhne"}, To: mail.Address{Address: "ada@example.org", Name: `Ada "A" Lovelace`},
		Subject: "Bestätigen Sie, bitte: ✓", Text: "Grüße\n\n.\n..dots\nYour code: 123456\n" + strings.Repeat("lang ", 100) + "\n", HTML: "<!doctype html>\n<p>Grüße &amp; <b>code</b></p>\n", Language: "de",
	}
}

func (w *world) send(t *testing.T, m mail.Message) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return w.Send(ctx, m)
}

// parts takes a message apart.
func parts(t *testing.T, data []byte) (h netmail.Header, text, html string) {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%v:\n%s", err, data)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%s, %v", kind, err)
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return m.Header, text, html
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil || p.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
			t.Fatalf("%v, %v", p.Header, err)
		}
		switch ct := p.Header.Get("Content-Type"); ct {
		case "text/plain; charset=UTF-8":
			text = string(b)
		case "text/html; charset=UTF-8":
			if text == "" {
				t.Error("the text part comes first")
			}
			html = string(b)
		default:
			t.Errorf("a part %s", ct)
		}
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	for _, way := range everyWay {
		for _, auth := range []string{"", "PLAIN", "LOGIN", "SCRAM-SHA-256", "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256"} {
			t.Run(way+" "+auth, func(t *testing.T) {
				t.Parallel()
				cfg := smtptest.Config{TLS: way}
				if auth != "" {
					cfg.User, cfg.Password, cfg.Auth = "sigra", password, strings.Fields(auth)
				}
				w := setup(t, cfg, nil)
				m := message()
				if err := w.send(t, m); err != nil {
					t.Fatal(err)
				}
				got := w.server.Received()
				if len(got) != 1 || !got[0].Accepted || got[0].From != "auth@example.test" || got[0].To != "ada@example.org" || got[0].User != cfg.User || got[0].Encrypted != (way != smtptest.Plain) {
					t.Fatalf("%+v", got)
				}
				h, text, html := parts(t, got[0].Data)
				if text != m.Text || html != m.HTML {
					t.Errorf("%q\n%q", text, html)
				}
				for name, want := range map[string]string{
					"Message-Id": "<" + m.ID.String() + "@example.test>", "Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All", "Mime-Version": "1.0", "Content-Language": "de",
					"X-Sigra-Possible-Duplicate": "", "User-Agent": "", "X-Mailer": "", "Cc": "", "Bcc": "",
				} {
					if h.Get(name) != want {
						t.Errorf("%s: %q", name, h.Get(name))
					}
				}
				if s, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject")); err != nil || s != m.Subject {
					t.Errorf("%q, %v", s, err)
				}
				for name, want := range map[string]mail.Address{"From": m.From, "To": m.To} {
					if a, err := h.AddressList(name); err != nil || len(a) != 1 || a[0].Address != want.Address || a[0].Name != want.Name {
						t.Errorf("%s: %v, %v", name, a, err)
					}
				}
				if d, err := h.Date(); err != nil || time.Since(d) > time.Minute || time.Until(d) > time.Minute {
					t.Errorf("%v, %v", d, err)
				}
				if strings.Contains(strings.Join(w.server.Lines(), "\n"), password) || strings.Contains(w.log.String(), password) {
					t.Error("the password in clear")
				}
				if auth == "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256" && !strings.Contains(strings.Join(w.server.Lines(), "\n"), "AUTH SCRAM-SHA-256") {
					t.Error("not the best way to sign in")
				}
			})
		}
	}
}

// Two attempts at one message differ in nothing but the mark.
func TestSend_sameMessageAgain(t *testing.T) {
	t.Parallel()
	w := setup(t, smtptest.Config{}, nil)
	m := message()
	again := m
	again.PossibleDuplicate = true
	for _, m := range []mail.Message{m, m, again} {
		if err := w.send(t, m); err != nil {
			t.Fatal(err)
		}
	}
	got := w.server.Received()
	if !bytes.Equal(got[0].Data, got[1].Data) {
		t.Errorf("%s\n\n%s", got[0].Data, got[1].Data)
	}
	if h, _, _ := parts(t, got[2].Data); h.Get("X-Sigra-Possible-Duplicate") != "yes" {
		t.Error("not marked")
	}
	if without := bytes.Replace(got[2].Data, []byte("X-Sigra-Possible-Duplicate: yes\n"), nil, 1); !bytes.Equal(without, got[0].Data) {
		t.Errorf("%s", without)
	}
}

func TestSend_reusesConnections(t *testing.T) {
	t.Parallel()
	w := setup(t, smtptest.Config{TLS: smtptest.StartTLS, User: "sigra", Password: password}, nil)
	for range 5 {
		if err := w.send(t, message()); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.server.Count("CONNECT"); n != 1 || w.server.Count("AUTH") != 1 || w.server.Count("RSET") != 4 {
		t.Errorf("%d connections, %d sign-ins", n, w.server.Count("AUTH"))
	}
	w.server.HangUpAll() // as a server does when a connection was idle for long
	if err := w.send(t, message()); err != nil {
		t.Fatal(err)
	}
	if n := w.server.Count("CONNECT"); n != 2 {
		t.Errorf("%d connections", n)
	}
	w.server.On("MAIL", func(e smtptest.Event) smtptest.Action { // it is tired of this connection just now
		if e.Conn == 2 {
			return smtptest.SayAndHangUp("421 4.7.0 Too many messages")
		}
		return smtptest.Action{}
	})
	if err := w.send(t, message()); err != nil || w.server.Count("CONNECT") != 3 {
		t.Errorf("%v, %d connections", err, w.server.Count("CONNECT"))
	}
	w.server.On("RCPT", func(smtptest.Event) smtptest.Action { return smtptest.Say("550 5.1.1 No such user") })
	if err := w.send(t, message()); fault.KindOf(err) != fault.Denied {
		t.Error(err)
	}
	w.server.On("RCPT", nil)
	if err := w.send(t, message()); err != nil || w.server.Count("CONNECT") != 3 { // a refusal costs no connection
		t.Errorf("%v, %d connections", err, w.server.Count("CONNECT"))
	}
	if err := w.Close(); err != nil || w.server.Count("QUIT") != 1 {
		t.Errorf("%v, %d good-byes", err, w.server.Count("QUIT"))
	}
	if err := w.send(t, message()); err != nil || w.server.Count("QUIT") != 2 { // what comes after Close is sent and leaves nothing open
		t.Errorf("%v, %d good-byes", err, w.server.Count("QUIT"))
	}
	got := w.server.Received()
	if n := len(got); n != 9 {
		t.Errorf("%d messages", n)
	}
}

func TestSend_manyAtOnce(t *testing.T) {
	t.Parallel()
	w := setup(t, smtptest.Config{TLS: smtptest.Implicit}, func(c *smtp.Config) { c.Pool = 3 })
	var mu sync.Mutex
	open, most := 0, 0
	w.server.On("MAIL", func(smtptest.Event) smtptest.Action {
		mu.Lock()
		open++
		most = max(most, open)
		mu.Unlock()
		return smtptest.Action{}
	})
	w.server.On("DOT", func(smtptest.Event) smtptest.Action { mu.Lock(); open--; mu.Unlock(); return smtptest.Action{} })
	var wg sync.WaitGroup
	for range 60 {
		wg.Go(func() {
			if err := w.send(t, message()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := w.server.Count("CONNECT"); len(w.server.Received()) != 60 || most > 3 || n > 10 {
		t.Errorf("%d messages, %d at once, %d connections", len(w.server.Received()), most, n)
	}
}

// say answers a verb with a line, as often as it comes.
func say(verb, line string) func(*smtptest.Server) {
	return func(s *smtptest.Server) {
		s.On(verb, func(smtptest.Event) smtptest.Action { return smtptest.Say(line) })
	}
}

func do(verb string, a smtptest.Action) func(*smtptest.Server) {
	return func(s *smtptest.Server) { s.On(verb, func(smtptest.Event) smtptest.Action { return a }) }
}

// What goes wrong, and what the queue is told: try again (surely not sent), never, or that nobody knows.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	const again, never, unknown = fault.Unavailable, fault.Denied, fault.Internal
	starttls := smtptest.Config{TLS: smtptest.StartTLS, User: "sigra", Password: password}
	for _, c := range []struct {
		name    string
		server  smtptest.Config
		change  func(*smtp.Config)
		prepare func(*smtptest.Server)
		kind    fault.Kind
		code    string
		wait    time.Duration
		loud    bool // it is logged as an operator's mistake
	}{
		{name: "no server", server: starttls, prepare: func(s *smtptest.Server) { s.Close() }, kind: again, code: "smtp_connect"},
		{name: "no such host", server: starttls, change: func(c *smtp.Config) { c.Host = "mail.invalid" }, kind: again, code: "smtp_connect"},
		{name: "not welcome", server: starttls, prepare: say("CONNECT", "554 5.3.2 No service here"), kind: again, code: "smtp_greeting_554", loud: true},
		{name: "busy", server: starttls, prepare: say("CONNECT", "421 4.3.2 Try again"), kind: again, code: "smtp_greeting_421"},
		{name: "silent hang-up", server: starttls, prepare: do("CONNECT", smtptest.HangUp()), kind: again, code: "smtp_greeting"},
		{name: "an oversized greeting", server: starttls, prepare: do("CONNECT", smtptest.Babble("220-"+strings.Repeat("x", 200<<10))), kind: again, code: "smtp_greeting"},
		{name: "an endless greeting", server: starttls, prepare: do("CONNECT", smtptest.Babble(strings.Repeat("220-and another thing\r\n", 20000))), kind: again, code: "smtp_greeting"},
		{name: "not SMTP", server: starttls, prepare: do("CONNECT", smtptest.Babble("HTTP/1.1 400 Bad Request\r\n\r\n")), kind: again, code: "smtp_greeting"},
		{name: "EHLO refused", server: starttls, prepare: say("EHLO", "502 5.5.1 What?"), kind: again, code: "smtp_greeting_502", loud: true},
		{name: "hang-up at EHLO", server: starttls, prepare: do("EHLO", smtptest.HangUp()), kind: again, code: "smtp_greeting"},

		{name: "STARTTLS not offered", server: smtptest.Config{TLS: smtptest.Plain, User: "sigra", Password: password}, change: func(c *smtp.Config) { c.TLS = smtp.StartTLS }, kind: again, code: "smtp_tls", loud: true},
		{name: "STARTTLS stripped", server: starttls, prepare: say("EHLO", "250-localhost\n250-AUTH PLAIN LOGIN\n250 8BITMIME"), kind: again, code: "smtp_tls", loud: true},
		{name: "STARTTLS refused", server: starttls, prepare: say("STARTTLS", "454 4.7.0 TLS not available"), kind: again, code: "smtp_tls_454"},
		{name: "STARTTLS not there", server: starttls, prepare: say("STARTTLS", "502 5.5.1 What?"), kind: again, code: "smtp_tls_502", loud: true},
		{name: "hang-up instead of TLS", server: starttls, prepare: do("STARTTLS", smtptest.SayAndHangUp("220 Ready")), kind: again, code: "smtp_tls"},
		{name: "another's certificate", server: smtptest.Config{TLS: smtptest.StartTLS, Name: "mail.example.net"}, kind: again, code: "smtp_tls", loud: true},
		{name: "another's certificate, implicit", server: smtptest.Config{TLS: smtptest.Implicit, Name: "mail.example.net"}, kind: again, code: "smtp_tls", loud: true},
		{name: "an expired certificate", server: smtptest.Config{TLS: smtptest.StartTLS, Expired: true}, kind: again, code: "smtp_tls", loud: true},
		{name: "a certificate of nobody we know", server: starttls, change: func(c *smtp.Config) { c.CAFile = "" }, kind: again, code: "smtp_tls", loud: true},
		{name: "TLS where none is", server: smtptest.Config{TLS: smtptest.Plain}, change: func(c *smtp.Config) { c.TLS = smtp.Implicit }, kind: again, code: "smtp_tls", loud: true},

		{name: "wrong password", server: starttls, change: func(c *smtp.Config) { c.Password = secret.New("wrong") }, kind: again, code: "smtp_auth_535", loud: true},
		{name: "wrong password, SCRAM", server: smtptest.Config{TLS: smtptest.StartTLS, User: "sigra", Password: password, Auth: []string{"SCRAM-SHA-256"}}, change: func(c *smtp.Config) { c.Password = secret.New("wrong") }, kind: again, code: "smtp_auth_535", loud: true},
		{name: "sign-in not now", server: starttls, prepare: say("AUTH", "454 4.7.0 Temporary authentication failure"), kind: again, code: "smtp_auth_454"},
		{name: "no sign-in offered", server: smtptest.Config{TLS: smtptest.StartTLS}, change: func(c *smtp.Config) { c.Username, c.Password = "sigra", secret.New(password) }, kind: again, code: "smtp_auth", loud: true},
		{name: "only ways that are not ours", server: smtptest.Config{TLS: smtptest.StartTLS, User: "sigra", Password: password, Auth: []string{"NTLM", "CRAM-MD5"}}, kind: again, code: "smtp_auth", loud: true},
		{name: "sign-in forgotten", server: starttls, change: func(c *smtp.Config) { c.Username, c.Password = "", secret.Text{} }, kind: again, code: "smtp_sender_530", loud: true},
		{name: "hang-up at AUTH", server: starttls, prepare: do("AUTH", smtptest.HangUp()), kind: again, code: "smtp_auth"},

		{name: "sender refused", server: starttls, prepare: say("MAIL", "553 5.7.1 Sender address rejected: not owned by user"), kind: again, code: "smtp_sender_553", loud: true},
		{name: "sender not now", server: starttls, prepare: say("MAIL", "451 4.3.0 Later"), kind: again, code: "smtp_sender_451", wait: time.Minute},
		{name: "hang-up at MAIL", server: starttls, prepare: do("MAIL", smtptest.HangUp()), kind: again, code: "smtp_sender"},
		{name: "greylisted 450", server: starttls, prepare: say("RCPT", "450 4.7.1 Greylisted"), kind: again, code: "smtp_recipient_450", wait: time.Minute},
		{name: "greylisted 451", server: starttls, prepare: say("RCPT", "451 4.7.1 Greylisted, please try again later"), kind: again, code: "smtp_recipient_451", wait: time.Minute},
		{name: "mailbox full", server: starttls, prepare: say("RCPT", "452 4.2.2 Mailbox full"), kind: again, code: "smtp_recipient_452"},
		{name: "no such mailbox", server: starttls, prepare: say("RCPT", "550 5.1.1 No such user"), kind: never, code: "smtp_recipient_550"},
		{name: "sign-in wanted late", server: starttls, prepare: say("RCPT", "530 5.7.0 Authentication required"), kind: again, code: "smtp_recipient_530", loud: true},
		{name: "hang-up at RCPT", server: starttls, prepare: do("RCPT", smtptest.Reset()), kind: again, code: "smtp_recipient"},
		{name: "nonsense at RCPT", server: starttls, prepare: say("RCPT", "yes please"), kind: again, code: "smtp_recipient"},
		{name: "DATA refused", server: starttls, prepare: say("DATA", "554 5.5.1 No valid recipients"), kind: never, code: "smtp_data_554"},
		{name: "DATA not now", server: starttls, prepare: say("DATA", "451 4.3.0 Later"), kind: again, code: "smtp_data_451", wait: time.Minute},
		{name: "hang-up at DATA", server: starttls, prepare: do("DATA", smtptest.HangUp()), kind: again, code: "smtp_data"},

		{name: "message refused", server: starttls, prepare: say("DOT", "554 5.7.1 Looks like spam"), kind: never, code: "smtp_answer_554"},
		{name: "message not now", server: starttls, prepare: say("DOT", "451 4.3.0 Queue file write error"), kind: again, code: "smtp_answer_451", wait: time.Minute},
		{name: "too much load", server: starttls, prepare: say("DOT", "421 4.3.2 Shutting down"), kind: again, code: "smtp_answer_421"},
		{name: "hang-up after the dot", server: starttls, prepare: do("DOT", smtptest.HangUp()), kind: unknown},
		{name: "hang-up after the dot, hard", server: starttls, prepare: do("DOT", smtptest.Reset()), kind: unknown},
		{name: "nonsense after the dot", server: starttls, prepare: say("DOT", "what was that?"), kind: unknown},
		{name: "another question after the dot", server: starttls, prepare: say("DOT", "354 Go on"), kind: unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, c.server, c.change)
			if c.prepare != nil {
				c.prepare(w.server)
			}
			var err error
			for range 2 { // the second time says nothing new
				err = w.send(t, message())
			}
			f := fault.From(err)
			if err == nil || f.Kind != c.kind || c.kind != unknown && f.Code != c.code || f.RetryAfter != c.wait {
				t.Errorf("%v %s after %s: %v", f.Kind, f.Code, f.RetryAfter, err)
			}
			for _, r := range w.server.Received() {
				if r.Accepted {
					t.Errorf("accepted: %+v", r)
				}
			}
			if n := strings.Count(w.log.String(), "[ERROR]"); (n > 0) != c.loud || n > 1 {
				t.Errorf("logged %d times as an error:\n%s", n, w.log)
			}
			if strings.Contains(w.log.String(), password) || err != nil && strings.Contains(err.Error(), password) {
				t.Error("the password is shown")
			}
		})
	}
}

// The connection ends in the middle of the message. With a large one we see that it was not taken whole; with a small one we can't know.
func TestOutcomes_disconnectInMidMessage(t *testing.T) {
	t.Parallel()
	for _, way := range everyWay {
		w := setup(t, smtptest.Config{TLS: way}, nil)
		w.server.On("TEXT", func(smtptest.Event) smtptest.Action { return smtptest.Reset() })
		large, small := message(), message()
		large.Text = strings.Repeat(strings.Repeat("x", 70)+"\n", 14000)
		large.HTML = large.Text
		if err := w.send(t, large); fault.KindOf(err) != fault.Unavailable || fault.From(err).Code != "smtp_data" {
			t.Errorf("%s: %v", way, err)
		}
		if err := w.send(t, small); fault.KindOf(err) != fault.Unavailable && fault.KindOf(err) != fault.Internal {
			t.Errorf("%s: %v", way, err)
		}
		w.server.On("TEXT", nil)
		if err := w.send(t, large); err != nil || len(w.server.Received()) != 1 {
			t.Errorf("%s: %v", way, err)
		}
	}
}

// A slow server is waited for as long as there is time, and not longer.
func TestOutcomes_slow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		verb string
		kind fault.Kind
	}{{"CONNECT", fault.Unavailable}, {"EHLO", fault.Unavailable}, {"AUTH", fault.Unavailable}, {"RCPT", fault.Unavailable}, {"DOT", fault.Internal}} {
		t.Run(c.verb, func(t *testing.T) {
			t.Parallel()
			w := setup(t, smtptest.Config{TLS: smtptest.StartTLS, User: "sigra", Password: password}, func(cfg *smtp.Config) { cfg.Timeout = 300 * time.Millisecond })
			end := make(chan struct{})
			t.Cleanup(func() { close(end) })
			w.server.On(c.verb, func(smtptest.Event) smtptest.Action { return smtptest.After(func() { <-end }) })
			ctx, cancel := context.WithTimeout(t.Context(), 1200*time.Millisecond)
			defer cancel()
			start := time.Now()
			err := w.Send(ctx, message())
			if took := time.Since(start); err == nil || fault.KindOf(err) != c.kind || took > 10*time.Second {
				t.Errorf("%v after %s", err, took)
			}
			if strings.Contains(w.log.String(), "[ERROR]") {
				t.Errorf("slowness is nobody's mistake:\n%s", w.log)
			}
		})
	}
}

// The process stops while the server looks at the message: the wait ends at once, and nobody knows.
func TestSend_cancelled(t *testing.T) {
	t.Parallel()
	for verb, kind := range map[string]fault.Kind{"RCPT": fault.Unavailable, "DOT": fault.Internal} {
		w := setup(t, smtptest.Config{TLS: smtptest.StartTLS}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		end := make(chan struct{})
		w.server.On(verb, func(smtptest.Event) smtptest.Action { cancel(); return smtptest.After(func() { <-end }) })
		if err := w.Send(ctx, message()); err == nil || fault.KindOf(err) != kind {
			t.Errorf("%s: %v", verb, err)
		}
		close(end)
		if err := w.Send(ctx, message()); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("with a context that is over: %v", err)
		}
	}
}

// Answers that nobody asked for are not taken for those that were: a reply too many would make the next message look accepted.
func TestSend_answersAhead(t *testing.T) {
	t.Parallel()
	garbage := "250 2.0.0 Ok\r\n354 Go on\r\n250 2.0.0 Ok: queued\r\n"
	for _, verb := range []string{"CONNECT", "EHLO", "MAIL", "RCPT", "DATA"} {
		w := setup(t, smtptest.Config{}, nil)
		w.server.On(verb, func(smtptest.Event) smtptest.Action {
			return smtptest.Babble(map[string]string{"CONNECT": "220 Hello\r\n", "DATA": "354 Go on\r\n"}[verb] + garbage)
		})
		w.server.On("DOT", func(smtptest.Event) smtptest.Action { return smtptest.Say("554 5.7.1 No") })
		if err := w.send(t, message()); err == nil || fault.KindOf(err) == fault.Denied {
			t.Errorf("%s: %v", verb, err)
		}
	}
	// An answer in clear behind the one to STARTTLS is an attacker's (CVE-2011-0411).
	w := setup(t, smtptest.Config{TLS: smtptest.StartTLS, User: "sigra", Password: password}, nil)
	w.server.On("STARTTLS", func(smtptest.Event) smtptest.Action {
		return smtptest.Babble("220 Ready\r\n250-evil\r\n250 AUTH PLAIN\r\n235 Welcome\r\n")
	})
	if err := w.send(t, message()); err == nil || w.server.Count("AUTH") != 0 {
		t.Errorf("%v, %d sign-ins", err, w.server.Count("AUTH"))
	}
}

// Mails wait while the operator's mistake lasts, one error says so, and one line that it is over.
func TestSend_mistakeMended(t *testing.T) {
	t.Parallel()
	w := setup(t, smtptest.Config{TLS: smtptest.StartTLS, User: "sigra", Password: password}, nil)
	w.server.On("AUTH", func(smtptest.Event) smtptest.Action {
		return smtptest.Say("535 5.7.8 Authentication credentials invalid")
	})
	for range 3 {
		if err := w.send(t, message()); fault.KindOf(err) != fault.Unavailable {
			t.Fatal(err)
		}
	}
	w.server.On("AUTH", nil)
	for range 2 {
		if err := w.send(t, message()); err != nil {
			t.Fatal(err)
		}
	}
	log := w.log.String()
	if strings.Count(log, "[ERROR]") != 1 || strings.Count(log, "takes mail again") != 1 || !strings.Contains(log, "5.7.8") {
		t.Error(log)
	}
}

// Nothing in a message becomes a header, a recipient or a command.
func TestSend_injection(t *testing.T) {
	t.Parallel()
	w := setup(t, smtptest.Config{}, nil)
	for name, change := range map[string]func(*mail.Message){
		"address": func(m *mail.Message) { m.To.Address = "ada@example.org>\r\nRCPT TO:<eve@example.org" }, "sender": func(m *mail.Message) { m.From.Address = "auth@example.test\r\nX: y" },
		"name": func(m *mail.Message) { m.To.Name = "Ada\r\nBcc: eve@example.org" }, "subject": func(m *mail.Message) { m.Subject = "Hi\r\nBcc: eve@example.org" }, "sender's name": func(m *mail.Message) { m.From.Name = "x\nBcc: eve@example.org" },
		"language": func(m *mail.Message) { m.Language = "de\r\nBcc: eve@example.org" },
	} {
		m := message()
		change(&m)
		if err := w.send(t, m); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := message()
	m.Subject, m.To.Name = "=?utf-8?q?=0D=0ABcc:_eve@example.org?=", `"Ada" <eve@example.org>, x`
	m.Text = "a\r\n.\r\nMAIL FROM:<eve@example.org>\r\n\rX\n.\n"
	if err := w.send(t, m); err != nil {
		t.Fatal(err)
	}
	got := w.server.Received()
	h, text, _ := parts(t, got[0].Data)
	if a, err := h.AddressList("To"); err != nil || len(a) != 1 || a[0].Address != "ada@example.org" || a[0].Name != m.To.Name {
		t.Errorf("%v, %v", a, err)
	}
	if h.Get("Bcc") != "" || len(got) != 1 || w.server.Count("MAIL") != 1 || strings.ReplaceAll(text, "\r\n", "\n") != "a\n.\nMAIL FROM:<eve@example.org>\n\nX\n.\n" {
		t.Errorf("%v\n%q", h, text)
	}
}

func TestSend_lettersBeyondASCII(t *testing.T) {
	t.Parallel()
	m := message()
	m.To.Address = "ädä@example.org"
	w := setup(t, smtptest.Config{}, nil)
	if err := w.send(t, m); fault.KindOf(err) != fault.Denied || fault.From(err).Code != "smtp_no_utf8" {
		t.Errorf("%v", err)
	}
	w = setup(t, smtptest.Config{Extensions: []string{"SMTPUTF8"}}, nil)
	for _, m := range []mail.Message{m, message()} {
		if err := w.send(t, m); err != nil {
			t.Fatal(err)
		}
	}
	got := w.server.Received()
	if h, _, _ := parts(t, got[0].Data); got[0].To != "ädä@example.org" || !strings.Contains(h.Get("To"), "<ädä@example.org>") {
		t.Errorf("%s %v", got[0].To, h)
	}
	lines := strings.Join(w.server.Lines(), "\n")
	if strings.Count(lines, "SMTPUTF8") != 1 || !strings.Contains(lines, "EHLO sigra.test") { // asked for only where it is needed
		t.Error(lines)
	}
}

// A domain is written in A-labels, whatever letters it was configured with: no server has to know SMTPUTF8 for that.
func TestSend_domainBeyondASCII(t *testing.T) {
	t.Parallel()
	w := setup(t, smtptest.Config{}, nil)
	m := message()
	m.From.Address, m.To.Address = "auth@bücher.example", "ada@käse.example"
	if err := w.send(t, m); err != nil {
		t.Fatal(err)
	}
	got := w.server.Received()[0]
	h, _, _ := parts(t, got.Data)
	if got.From != "auth@xn--bcher-kva.example" || got.To != "ada@xn--kse-qla.example" || !strings.Contains(h.Get("From"), "<auth@xn--bcher-kva.example>") ||
		h.Get("Message-Id") != "<"+m.ID.String()+"@xn--bcher-kva.example>" {
		t.Errorf("%s to %s: %v", got.From, got.To, h)
	}
}

// Keywords are read in any case (RFC 5321 §2.4).
func TestSend_keywordsInAnyCase(t *testing.T) {
	t.Parallel()
	for _, way := range everyWay {
		for _, spell := range []func(string) string{strings.ToLower, func(s string) string { return strings.ToUpper(s[:1]) + strings.ToLower(s[1:]) }} {
			w := setup(t, smtptest.Config{TLS: way, User: "sigra", Password: password, Extensions: []string{"SMTPUTF8"}, Spell: spell}, nil)
			m := message()
			m.To.Address = "ädä@example.org"
			if err := w.send(t, m); err != nil {
				t.Fatalf("%s, %s: %v", way, spell("AUTH"), err)
			}
			if got := w.server.Received(); len(got) != 1 || got[0].User != "sigra" || got[0].Encrypted != (way != smtptest.Plain) {
				t.Errorf("%s: %+v", way, got)
			}
		}
	}
}

// Whether letters beyond ASCII can be written to is known from the last conversation, or asked for once.
func TestTakesUTF8(t *testing.T) {
	t.Parallel()
	for extension, want := range map[string]bool{"SMTPUTF8": true, "SIZE 1000000": false} {
		w := setup(t, smtptest.Config{TLS: smtptest.StartTLS, Extensions: []string{extension}}, nil)
		for range 3 {
			if got := w.TakesUTF8(t.Context(), "auth@example.test"); got != want {
				t.Errorf("%s: %v", extension, got)
			}
		}
		if n := w.server.Count("CONNECT"); n != 1 {
			t.Errorf("%d connections", n)
		}
	}
	if !sender(t, smtp.Config{Host: "localhost", Port: 1, TLS: smtp.None}).TakesUTF8(t.Context(), "auth@example.test") {
		t.Error("a server that can't be asked")
	}
}

func TestDeliver_answer(t *testing.T) {
	t.Parallel()
	w := setup(t, smtptest.Config{TLS: smtptest.StartTLS}, nil)
	if answer, err := w.Deliver(t.Context(), message()); err != nil || answer != "2.0.0 Ok: queued as 00000001" {
		t.Errorf("%q, %v", answer, err)
	}
	if s := w.String(); s != fmt.Sprintf("smtp://localhost:%d", w.server.Port) {
		t.Error(s)
	}
}

func TestNew_refuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]smtp.Config{
		"no host": {}, "a strange host": {Host: "a b"}, "a strange way": {Host: "mail.example.org", TLS: "ssl"}, "clear text to another machine": {Host: "mail.example.org", TLS: smtp.None},
		"clear text to another address": {Host: "192.0.2.1", TLS: smtp.None}, "no such port": {Host: "mail.example.org", Port: 70000}, "a username alone": {Host: "mail.example.org", Username: "x"},
		"a password alone": {Host: "mail.example.org", Password: secret.New("x")}, "no such CA": {Host: "mail.example.org", CAFile: "/nonexistent"}, "a CA that is none": {Host: "mail.example.org", CAFile: "/etc/hostname"},
	} {
		if s, err := smtp.New(c); err == nil {
			t.Errorf("%s: %v", name, s)
		}
	}
	for way, want := range map[smtp.TLS]string{"": "smtp://localhost:587", smtp.Implicit: "smtp://localhost:465", smtp.None: "smtp://localhost:25"} {
		if s := sender(t, smtp.Config{Host: "localhost", TLS: way}); s.String() != want {
			t.Errorf("%s: %s", way, s)
		}
	}
}
