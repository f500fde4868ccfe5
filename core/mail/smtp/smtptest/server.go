package smtptest

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// The ways to protect connections.
const (
	Plain    = "none"
	StartTLS = "starttls"
	Implicit = "implicit"
)

// Config of a Server.
type Config struct {
	TLS            string              // empty means Plain
	User, Password string              // empty: nobody needs to sign in
	Auth           []string            // mechanisms offered; nil means PLAIN and LOGIN
	Extensions     []string            // offered beside the usual ones, such as SMTPUTF8
	Spell          func(string) string // how it spells its keywords; nil: in capitals
	Name           string              // whom the certificate is for; empty means localhost
	Expired        bool                // the certificate
}

// Event is a step of a conversation.
type Event struct {
	Verb    string    // CONNECT, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, TEXT (the first line of the message), DOT, RSET, NOOP, QUIT
	Line    string    // the command as it came
	Count   int       // how often this verb was seen, this time included, on all connections
	Conn    int       // the number of the connection, from 1
	Message *Received // at DOT
}

// Action is what the server does at an event. The zero Action is what a good server does.
type Action struct {
	say    string // instead of the usual answer
	raw    []byte // before it, as it is
	hangUp bool   // after it
	reset  bool   // hang up hard
	before func() // before anything
}

// Say answers with a line.
func Say(line string) Action { return Action{say: line} }

// HangUp closes the connection without an answer.
func HangUp() Action { return Action{hangUp: true, say: "-"} }

// Reset closes the connection hard, so that the other side's writes fail.
func Reset() Action { return Action{hangUp: true, reset: true, say: "-"} }

// SayAndHangUp answers and closes the connection.
func SayAndHangUp(line string) Action { return Action{say: line, hangUp: true} }

// Babble writes bytes before the usual answer.
func Babble(raw string) Action { return Action{raw: []byte(raw)} }

// After does something else first, and then what a good server does.
func After(do func()) Action { return Action{before: do} }

// After is the same action, after something else.
func (a Action) After(do func()) Action { a.before = do; return a }

// Received is a message the server was given, whole, whether or not it said so.
type Received struct {
	From, To  string
	Data      []byte
	User      string // who signed in
	Encrypted bool
	Accepted  bool // the answer was 250 and was written
	At        time.Time
	Conn      int
}

// Server is a mail server on loopback.
type Server struct {
	Host   string
	Port   int
	CAFile string // PEM, to be trusted

	t        testing.TB
	cfg      Config
	cert     tls.Certificate
	listener net.Listener
	wg       sync.WaitGroup

	mu       sync.Mutex
	on       map[string]func(Event) Action
	counts   map[string]int
	conns    []net.Conn
	received []*Received
	arrived  chan struct{} // replaced and closed at every message
	lines    []string
	closed   bool
}

// Start starts a server that ends with the test.
func Start(t testing.TB, cfg Config) *Server {
	t.Helper()
	if cfg.TLS == "" {
		cfg.TLS = Plain
	}
	if cfg.Auth == nil {
		cfg.Auth = []string{"PLAIN", "LOGIN"}
	}
	if cfg.Name == "" {
		cfg.Name = "localhost"
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, cfg: cfg, listener: l, on: map[string]func(Event) Action{}, counts: map[string]int{}, arrived: make(chan struct{}), Host: "localhost"}
	s.Port = l.Addr().(*net.TCPAddr).Port
	ca := newCA(t)
	s.cert = ca.issue(t, cfg.Name, cfg.Expired)
	s.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(s.CAFile, ca.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	s.wg.Go(s.accept)
	t.Cleanup(s.Close)
	return s
}

// Address is where the server listens.
func (s *Server) Address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// On has f decide what happens at a verb from now on; nil returns to what a good server does.
func (s *Server) On(verb string, f func(Event) Action) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on[verb] = f
}

// Count is how often a verb was seen.
func (s *Server) Count(verb string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[verb]
}

// Lines are the commands that came, passwords among them.
func (s *Server) Lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

// Received are all messages, whether or not the server said that it took them.
func (s *Server) Received() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Received, len(s.received))
	for i, r := range s.received {
		out[i] = *r
	}
	return out
}

// Wait waits until cond holds of what was received, for a minute at most.
func (s *Server) Wait(what string, cond func([]Received) bool) []Received {
	s.t.Helper()
	timeout := time.NewTimer(time.Minute)
	defer timeout.Stop()
	for {
		s.mu.Lock()
		arrived := s.arrived
		s.mu.Unlock()
		got := s.Received()
		if cond(got) {
			return got
		}
		select {
		case <-arrived:
		case <-timeout.C:
			s.t.Fatalf("the mail server waits for %s; it got %d messages", what, len(got))
		}
	}
}

// Close ends the server and every conversation.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	conns := s.conns
	s.mu.Unlock()
	_ = s.listener.Close()
	for _, c := range conns {
		_ = c.Close()
	}
	s.wg.Wait()
}

// HangUpAll closes every connection there is.
func (s *Server) HangUpAll() {
	s.mu.Lock()
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

func (s *Server) accept() {
	for n := 1; ; n++ {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			_ = c.Close()
			return
		}
		s.conns = append(s.conns, c)
		s.mu.Unlock()
		s.wg.Go(func() { (&conversation{server: s, raw: c, n: n}).run() })
	}
}

func (s *Server) decide(verb, line string, conn int, m *Received) Action {
	s.mu.Lock()
	s.counts[verb]++
	e := Event{Verb: verb, Line: line, Count: s.counts[verb], Conn: conn, Message: m}
	f := s.on[verb]
	if line != "" {
		s.lines = append(s.lines, line)
	}
	s.mu.Unlock()
	if f == nil {
		return Action{}
	}
	a := f(e)
	if a.before != nil {
		a.before()
	}
	return a
}

func (s *Server) changed(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.arrived)
	s.arrived = make(chan struct{})
}
