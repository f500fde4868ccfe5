package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const testPassword = "correct horse battery staple"

// signedIn is the part of a sign-in's answer that the tests look at.
type signedIn struct {
	Token   string `json:"token"`
	Device  string `json:"device"`
	Session struct {
		UserID        string `json:"user_id"`
		SessionID     string `json:"session_id"`
		Email         string `json:"email"`
		Administrator bool   `json:"administrator"`
	} `json:"session"`
}

type inboxMessage struct {
	ID        string            `json:"id"`
	Purpose   string            `json:"purpose"`
	To        string            `json:"to"`
	Subject   string            `json:"subject"`
	Text      string            `json:"text"`
	Variables map[string]string `json:"variables"`
}

// mailTo waits for a mail in the development inbox.
func (in *instance) mailTo(to, purpose string) inboxMessage {
	in.t.Helper()
	var found inboxMessage
	in.eventually(60*time.Second, purpose+" mail delivered", func() error {
		r, err := in.control("GET", "/v1/dev/mail?to="+url.QueryEscape(to), nil) // by its own address it answers this machine only
		if err != nil {
			return err
		}
		if r.status != http.StatusOK {
			return fmt.Errorf("answer %d: %s", r.status, r.body)
		}
		var list struct{ Messages []inboxMessage }
		if err := json.Unmarshal(r.body, &list); err != nil {
			return err
		}
		for _, m := range list.Messages {
			if m.To == to && m.Purpose == purpose {
				found = m
				return nil
			}
		}
		return errNotYet
	})
	return found
}

// signUp registers, reads the mail and confirms with the code.
func (in *instance) signUp(email string) signedIn {
	in.t.Helper()
	r := in.must(http.StatusAccepted, "POST", "/v1/register", "", map[string]any{"email": email, "password": testPassword})
	var reg struct{ Flow string }
	r.decode(in.t, &reg)
	m := in.mailTo(email, "confirm_email")
	r = in.must(http.StatusOK, "POST", "/v1/confirm", "", map[string]any{"flow": reg.Flow, "code": m.Variables["code"], "token_delivery": "body"})
	var s signedIn
	r.decode(in.t, &s)
	if s.Token == "" || s.Session.Email != email {
		in.t.Fatalf("confirmation answered %s", r.body)
	}
	return s
}

// admin makes an administrator as an operator would: one command, one link.
func (in *instance) admin(email string) signedIn {
	in.t.Helper()
	var made struct{ Link string }
	out := in.cli("user", "create", "--admin", "--json", email)
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		in.t.Fatalf("sigra user create printed %q: %v", out, err)
	}
	u, err := url.Parse(made.Link)
	if err != nil {
		in.t.Fatal(err)
	}
	r := in.must(http.StatusOK, "POST", "/v1/password/set", "", map[string]any{"token": u.Query().Get("token"), "password": testPassword, "token_delivery": "body"})
	var s signedIn
	r.decode(in.t, &s)
	return s
}

func (in *instance) signIn(email string) (signedIn, error) {
	r, err := in.call("POST", "/v1/login", "", map[string]any{"email": email, "password": testPassword, "token_delivery": "body"})
	if err != nil {
		return signedIn{}, err
	}
	if r.status != http.StatusOK {
		return signedIn{}, fmt.Errorf("sign-in answered %d: %s", r.status, r.body)
	}
	var s signedIn
	return s, json.Unmarshal(r.body, &s)
}

// auditRow is the part of an exported row that the tests look at.
type auditRow struct {
	ID        string `json:"id"`
	Action    string `json:"action"`
	Outcome   string `json:"outcome"`
	SessionID string `json:"session_id"`
	Actor     struct{ Type, ID string }
	Position  string `json:"position"`
}

// auditLog reads the whole log through the export, oldest first.
func (in *instance) auditLog(token string) []auditRow {
	in.t.Helper()
	r := in.must(http.StatusOK, "GET", "/v1/audit/export?format=ndjson", token, nil)
	var rows []auditRow
	sc := bufio.NewScanner(bytes.NewReader(r.body))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var row auditRow
		if err := json.Unmarshal(sc.Bytes(), &row); err != nil {
			in.t.Fatalf("export line %q: %v", sc.Text(), err)
		}
		rows = append(rows, row)
	}
	return rows
}

type timelineEntry struct {
	AuditID   string `json:"audit_id"`
	Action    string `json:"action"`
	SessionID string `json:"session_id"`
}

// timeline reads everything Threadline has, page by page.
func (in *instance) timeline(token string) ([]timelineEntry, error) {
	var all []timelineEntry
	for after := ""; ; {
		r, err := in.call("GET", "/threadline/v1/timeline?order=asc&limit=200&after="+after, token, nil)
		if err != nil {
			return nil, err
		}
		if r.status != http.StatusOK {
			return nil, fmt.Errorf("timeline answered %d: %s", r.status, r.body)
		}
		var page struct {
			Entries []timelineEntry
			Next    string
		}
		if err := json.Unmarshal(r.body, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Entries...)
		if page.Next == "" {
			return all, nil
		}
		after = page.Next
	}
}

// agree waits until the timeline holds each audit row it should, once, and nothing that is not in the log. (Reading the
// log is itself recorded, so the log grows meanwhile.)
func (in *instance) agree(token string, wanted func(action string) bool) {
	in.t.Helper()
	log := in.auditLog(token)
	var entries []timelineEntry
	in.eventually(120*time.Second, "the timeline equal to the log", func() (err error) {
		if entries, err = in.timeline(token); err != nil {
			return err
		}
		got := map[string]bool{}
		for _, e := range entries {
			if got[e.AuditID] {
				in.t.Fatalf("%s %s is in the timeline twice", e.AuditID, e.Action)
			}
			got[e.AuditID] = true
		}
		missing, expected, example := 0, 0, ""
		for _, row := range log {
			if wanted(row.Action) {
				expected++
				if !got[row.ID] {
					missing++
					example = row.ID + " " + row.Action
				}
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d of %d rows are missing, %s among them", missing, expected, example)
		}
		return nil
	})
	known := map[string]string{}
	for _, row := range in.auditLog(token) {
		known[row.ID] = row.Action
	}
	for _, e := range entries {
		if action, ok := known[e.AuditID]; !ok || !wanted(action) {
			in.t.Errorf("%s %s is in the timeline but should not be", e.AuditID, e.Action)
		}
	}
}

// load is many people who sign in, look at their session and sign out, over and over. What was acknowledged to them
// is remembered.
type load struct {
	in       *instance
	emails   []string
	mu       sync.Mutex
	sessions []string // ids of sessions whose sign-in was acknowledged
	outs     []string // ids of sessions whose sign-out was acknowledged
	requests atomic.Int64
	failed   atomic.Int64
	failures []string
	rest     time.Duration
	stop     chan struct{}
	wg       sync.WaitGroup
}

// people signs up n accounts to make load with.
func (in *instance) people(n int) []string {
	in.t.Helper()
	emails := make([]string, n)
	for i := range emails {
		emails[i] = fmt.Sprintf("person%d@example.com", i)
		in.signUp(emails[i])
	}
	return emails
}

// newLoad starts one worker per address, who sign in and out again and again.
func newLoad(in *instance, emails []string) *load { return newPacedLoad(in, emails, 0) }

// newPacedLoad is newLoad with people who rest in between.
func newPacedLoad(in *instance, emails []string, rest time.Duration) *load {
	l := &load{in: in, emails: emails, rest: rest, stop: make(chan struct{})}
	for _, email := range emails {
		l.wg.Add(1)
		go l.work(email)
	}
	return l
}

func (l *load) work(email string) {
	defer l.wg.Done()
	for {
		select {
		case <-l.stop:
			return
		case <-time.After(l.rest):
		}
		l.requests.Add(1)
		s, err := l.in.signIn(email)
		if err != nil {
			l.fail(err)
			time.Sleep(10 * time.Millisecond) // the server may be down: don't spin
			continue
		}
		l.mu.Lock()
		l.sessions = append(l.sessions, s.Session.SessionID)
		l.mu.Unlock()
		l.requests.Add(1)
		if r, err := l.in.call("GET", "/v1/session", s.Token, nil); err != nil || r.status != http.StatusOK {
			l.fail(fmt.Errorf("session check: %d %w", r.status, orNil(err)))
			continue
		}
		l.requests.Add(1)
		r, err := l.in.call("POST", "/v1/logout", s.Token, nil)
		if err != nil || r.status/100 != 2 {
			l.fail(fmt.Errorf("sign-out: %d %w", r.status, orNil(err)))
			continue
		}
		l.mu.Lock()
		l.outs = append(l.outs, s.Session.SessionID)
		l.mu.Unlock()
	}
}

func orNil(err error) error {
	if err == nil {
		return errNotYet
	}
	return err
}

func (l *load) fail(err error) {
	l.failed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failures) < 20 {
		l.failures = append(l.failures, err.Error())
	}
}

// end stops the workers and waits for them.
func (l *load) end() {
	close(l.stop)
	l.wg.Wait()
}

// check holds what was acknowledged against the log: each has its row, once.
func (l *load) check(t testing.TB, rows []auditRow) {
	t.Helper()
	in, out := map[string]int{}, map[string]int{}
	ids := map[string]bool{}
	for _, r := range rows {
		if ids[r.ID] {
			t.Errorf("audit row %s is in the log twice", r.ID)
		}
		ids[r.ID] = true
		switch r.Action {
		case "auth.login.success":
			in[r.SessionID]++
		case "auth.logout":
			out[r.SessionID]++
		}
	}
	for _, id := range l.sessions {
		if in[id] != 1 {
			t.Errorf("acknowledged sign-in of session %s has %d audit rows", id, in[id])
		}
	}
	for _, id := range l.outs {
		if out[id] != 1 {
			t.Errorf("acknowledged sign-out of session %s has %d audit rows", id, out[id])
		}
	}
}
