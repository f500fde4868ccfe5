package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	netmail "net/mail"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/mail/smtp/smtptest"
	"github.com/sigra-auth/sigra/core/store"
)

// smtpBlock is the mail block for a server of the test.
func smtpBlock(s *smtptest.Server, more string) string {
	return fmt.Sprintf(`
mail {
  from         = "Sigra <auth@example.test>"
  service_name = "Example"
  smtp {
    host     = %q
    port     = %d
    username = "sigra"
    password = "a password"
    ca_file  = %q
    %s
  }
}
`, s.Host, s.Port, s.CAFile, more)
}

func mailServer(t *testing.T) *smtptest.Server {
	t.Helper()
	return smtptest.Start(t, smtptest.Config{TLS: smtptest.StartTLS, User: "sigra", Password: "a password"})
}

// letter is a mail as it arrived.
type letter struct {
	smtptest.Received
	id     string
	marked bool // as a possible duplicate
	text   string
}

func readLetter(t *testing.T, r smtptest.Received) letter {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(r.Data))
	if err != nil {
		t.Fatalf("%v:\n%s", err, r.Data)
	}
	l := letter{Received: r, id: m.Header.Get("Message-Id"), marked: m.Header.Get("X-Sigra-Possible-Duplicate") == "yes"}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := multipart.NewReader(m.Body, params["boundary"]).NextRawPart()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(quotedprintable.NewReader(p))
	if err != nil {
		t.Fatal(err)
	}
	l.text = string(b)
	return l
}

func readLetters(t *testing.T, all []smtptest.Received) (out []letter) {
	t.Helper()
	for _, r := range all {
		out = append(out, readLetter(t, r))
	}
	return out
}

// to are the letters to an address.
func to(all []letter, address string) (out []letter) {
	for _, l := range all {
		if l.To == address {
			out = append(out, l)
		}
	}
	return out
}

func (in *instance) mailQueue() (q httpapi.MailQueue) {
	in.t.Helper()
	if err := json.Unmarshal([]byte(in.cli("mail", "queue", "--json")), &q); err != nil {
		in.t.Fatal(err)
	}
	return q
}

// register signs somebody up and returns the flow.
func (in *instance) register(email string) string {
	in.t.Helper()
	var reg struct{ Flow string }
	in.must(http.StatusAccepted, "POST", "/v1/register", "", map[string]any{"email": email, "password": testPassword}).decode(in.t, &reg)
	return reg.Flow
}

// confirm enters the code of a letter.
func (in *instance) confirm(flow string, l letter) {
	in.t.Helper()
	m := regexp.MustCompile(`Your code: (\d{6})`).FindStringSubmatch(l.text)
	if m == nil {
		in.t.Fatalf("no code:\n%s", l.text)
	}
	in.must(http.StatusOK, "POST", "/v1/confirm", "", map[string]any{"flow": flow, "code": m[1], "token_delivery": "body"})
}

// Sign-up by mail through a real mail server, over TLS and signed in; and what an administrator sees of it.
func TestSMTP_signUp(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, database string) {
		t.Parallel()
		server := mailServer(t)
		in := newInstance(t, setup{database: database, extra: smtpBlock(server, "")})
		in.start()
		flow := in.register("ada@example.org")
		got := readLetters(t, server.Wait("the confirmation", func(r []smtptest.Received) bool { return len(r) == 1 }))
		if l := got[0]; l.To != "ada@example.org" || l.From != "auth@example.test" || !l.Encrypted || l.User != "sigra" || l.marked || !strings.HasSuffix(l.id, "@example.test>") ||
			!strings.Contains(l.text, in.url+"/confirm?token=") {
			t.Errorf("%+v\n%s", l, l.text)
		}
		in.confirm(flow, got[0])
		in.must(http.StatusNotFound, "GET", "/v1/dev/mail", "", nil) // the inbox shows everybody's codes: it is not there

		if out := in.cli("mail", "test", "root@example.org"); !strings.Contains(out, "Sent.") || !strings.Contains(out, "answer   2.0.0 Ok: queued as") || !strings.Contains(out, fmt.Sprintf("smtp://localhost:%d", server.Port)) {
			t.Error(out)
		}
		server.On("AUTH", func(smtptest.Event) smtptest.Action {
			return smtptest.Say("535 5.7.8 Authentication credentials invalid")
		})
		server.HangUpAll()
		out, _, err := in.tryCLI("mail", "test", "root@example.org")
		if err == nil || !strings.Contains(out, "The mail server refuses our sign-in.") || !strings.Contains(out, "535 5.7.8 Authentication credentials invalid") {
			t.Errorf("%v: %s", err, out)
		}
		// A wrong password loses nothing: the mail waits, and one error says why.
		flow = in.register("bob@example.org")
		in.eventually(30*time.Second, "tried", func() error {
			if strings.Contains(in.log(), "the mail server can't be used as it is configured") {
				return nil
			}
			return errNotYet
		})
		if q := in.mailQueue(); q.Queued+q.Sending != 1 || q.Oldest.IsZero() || q.Mailer != fmt.Sprintf("smtp://localhost:%d", server.Port) {
			t.Errorf("%+v", q)
		}
		server.On("AUTH", nil)
		got = readLetters(t, server.Wait("bob's confirmation", func(r []smtptest.Received) bool { return len(r) == 3 }))
		if bobs := to(got, "bob@example.org"); len(bobs) != 1 || bobs[0].marked {
			t.Errorf("%+v", bobs)
		} else {
			in.confirm(flow, bobs[0])
		}
		r, err := http.Get(in.url + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Body.Close() }()
		b, _ := io.ReadAll(r.Body)
		for _, want := range []string{`sigra_mail_total{outcome="sent",purpose="confirm_email"} 2`, `sigra_mail_total{outcome="retry",purpose="confirm_email"}`, "sigra_mail_queue_messages 0", "sigra_mail_queue_oldest_seconds 0"} {
			if !strings.Contains(string(b), want) {
				t.Errorf("no metric %s", want)
			}
		}
	})
}

// TestSMTP_killed kills Sigra while the mail server holds its answer to a whole message, while it is in the middle of one, and while messages wait for a
// second attempt. Afterwards no mail is lost, none was sent twice without being marked, and none after its deadline.
func TestSMTP_killed(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, database string) {
		t.Parallel()
		server := mailServer(t)
		var mu sync.Mutex
		held, waiting := map[string]bool{}, map[string]bool{}
		release := make(chan struct{})
		hold := func(key string, then smtptest.Action) smtptest.Action {
			mu.Lock()
			held[key] = true
			mu.Unlock()
			return then.After(func() { <-release })
		}
		server.On("RCPT", func(e smtptest.Event) smtptest.Action {
			for _, later := range []string{"grey", "late"} {
				if strings.Contains(e.Line, later) {
					mu.Lock()
					waiting[later] = true
					mu.Unlock()
					return smtptest.Say("450 4.7.1 Greylisted")
				}
			}
			return smtptest.Action{}
		})
		server.On("TEXT", func(smtptest.Event) smtptest.Action {
			mu.Lock()
			first := !held["text"]
			mu.Unlock()
			if first {
				return hold("text", smtptest.HangUp())
			}
			return smtptest.Action{}
		})
		server.On("DOT", func(e smtptest.Event) smtptest.Action { return hold("dot "+e.Message.To, smtptest.Action{}) })

		in := newInstance(t, setup{database: database, extra: smtpBlock(server, "")})
		in.start()
		people := []string{"grey@example.org", "late@example.org", "one@example.org", "two@example.org", "three@example.org", "four@example.org"}
		flows := map[string]string{}
		for _, p := range people[:2] {
			flows[p] = in.register(p)
		}
		in.eventually(60*time.Second, "greylisted", func() error {
			mu.Lock()
			defer mu.Unlock()
			if !waiting["grey"] || !waiting["late"] {
				return errNotYet
			}
			return nil
		})
		in.eventually(60*time.Second, "put back", func() error {
			if q := in.mailQueue(); q.Queued != 2 {
				return fmt.Errorf("%+v", q)
			}
			return nil
		})
		for _, p := range people[2:] {
			flows[p] = in.register(p)
		}
		// Four are on their way: one stuck in the middle, three whole, all without an answer.
		in.eventually(60*time.Second, "held", func() error {
			mu.Lock()
			defer mu.Unlock()
			if !held["text"] || len(held) != 4 {
				return fmt.Errorf("%v", held)
			}
			return nil
		})
		in.kill()
		close(release)
		before := readLetters(t, server.Received())
		server.On("RCPT", nil)
		server.On("TEXT", nil)
		server.On("DOT", nil)
		in.lateNow(database)
		in.start()

		// What was being sent is taken up when its sender has been given up, 40 s after it began.
		in.eventually(120*time.Second, "settled", func() error {
			if q := in.mailQueue(); q.Queued+q.Sending > 0 {
				return fmt.Errorf("%+v", q)
			}
			return nil
		})
		all := readLetters(t, server.Received())
		if q := in.mailQueue(); q.Sent != 5 || q.Expired != 1 || q.Failed != 0 || q.Uncertain != 0 {
			t.Errorf("%+v", q)
		}
		for _, p := range people {
			got := to(all, p)
			if p == "late@example.org" {
				if len(got) != 0 {
					t.Errorf("%s got a mail after its deadline", p)
				}
				continue
			}
			if len(got) == 0 {
				t.Errorf("the mail to %s is lost", p)
				continue
			}
			for i, l := range got {
				if l.id != got[0].id || l.text != got[0].text {
					t.Errorf("another mail to %s", p)
				}
				if i > 0 && !l.marked {
					t.Errorf("the mail to %s came again without the mark", p)
				}
			}
			if first := slices.ContainsFunc(before, func(l letter) bool { return l.To == p }); len(got) != 1 && !first || first && len(got) != 2 {
				t.Errorf("%s got %d mails; before the kill: %v", p, len(got), first)
			}
			in.confirm(flows[p], got[len(got)-1])
		}
		if len(before) != 3 {
			t.Errorf("%d messages were whole at the kill", len(before))
		}
	})
}

// lateNow lets the deadline pass of the message that was queued last of those that wait for another attempt, and makes all of them due.
func (in *instance) lateNow(database string) {
	in.t.Helper()
	db, err := store.Open(in.t.Context(), store.Config{URL: database, DataDir: in.data})
	if err != nil {
		in.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.Tx(in.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE mail_queue SET deadline = $1 WHERE id = (SELECT id FROM mail_queue WHERE state = 'queued' ORDER BY created_at DESC LIMIT 1)`,
			time.Now().UTC().Add(-time.Second).Truncate(time.Microsecond))
		if err == nil && n != 1 {
			err = fmt.Errorf("%d messages wait", n)
		}
		if err == nil {
			_, err = tx.Exec(ctx, `UPDATE mail_queue SET next_at = created_at WHERE state = 'queued'`)
		}
		return err
	}); err != nil {
		in.t.Fatal(err)
	}
}
