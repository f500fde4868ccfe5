package smtp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/secret"
)

// TLS says how a connection is protected.
type TLS string

// The ways to protect a connection.
const (
	StartTLS TLS = "starttls" // required, on port 587
	Implicit TLS = "implicit" // from the first byte, on port 465
	None     TLS = "none"     // to this machine only
)

const (
	defaultTimeout = 15 * time.Second
	defaultPool    = 2
	idleFor        = 30 * time.Second // before an unused connection is closed; servers wait 5 minutes (RFC 5321 §4.5.3.2.7)
	perConnection  = 100              // messages before a connection is closed, as servers count them too
)

// Config of a Sender.
type Config struct {
	Host     string
	Port     int    // 0: 587, 465 or 25 by TLS
	TLS      TLS    // empty means StartTLS
	Username string // empty: no sign-in
	Password secret.Text
	CAFile   string        // PEM; the certificates trusted instead of the system's
	Timeout  time.Duration // for connecting and for each of the server's answers; 0 means 15 s
	Pool     int           // connections at once; 0 means 2
	Hello    string        // what we call ourselves; empty: this machine's full name, or else the sender's domain
	Logger   hclog.Logger  // nil means silent
}

// Sender sends through one server. Safe for concurrent use.
type Sender struct {
	cfg   Config
	tls   *tls.Config
	log   hclog.Logger
	slots chan struct{} // one for each connection that may be open

	learned atomic.Pointer[offer] // nil: no server has said yet

	mu      sync.Mutex
	idle    []*session // the last one was used last
	closed  bool
	trouble string // what was last logged as an operator's mistake
	timers  sync.WaitGroup
}

var _ mail.Mailer = (*Sender)(nil)

// New makes a Sender. It does not connect: a server that is down now may be up when the first mail is sent.
func New(cfg Config) (*Sender, error) {
	if cfg.Host == "" || strings.ContainsAny(cfg.Host, " /\r\n") {
		return nil, errors.New("smtp: a host is needed")
	}
	if cfg.TLS == "" {
		cfg.TLS = StartTLS
	}
	if cfg.Port == 0 {
		cfg.Port = map[TLS]int{StartTLS: 587, Implicit: 465, None: 25}[cfg.TLS]
	}
	switch {
	case cfg.TLS != StartTLS && cfg.TLS != Implicit && cfg.TLS != None:
		return nil, fmt.Errorf("smtp: tls is %s, %s or %s, not %q", StartTLS, Implicit, None, cfg.TLS)
	case cfg.TLS == None && !loopback(cfg.Host):
		return nil, errors.New("smtp: without TLS only a server on this machine is spoken to") // RFC 8314 §4.1
	case cfg.Port < 1 || cfg.Port > 65535:
		return nil, fmt.Errorf("smtp: %d is no port", cfg.Port)
	case (cfg.Username == "") != cfg.Password.IsZero():
		return nil, errors.New("smtp: a username and a password go together")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Pool <= 0 {
		cfg.Pool = defaultPool
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	s := &Sender{
		cfg: cfg, log: cfg.Logger, slots: make(chan struct{}, cfg.Pool),
		tls: &tls.Config{ServerName: cfg.Host, MinVersion: tls.VersionTLS12}, // RFC 8996
	}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("smtp: ca_file: %w", err)
		}
		if s.tls.RootCAs = x509.NewCertPool(); !s.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("smtp: ca_file: there is no certificate in %s", cfg.CAFile)
		}
	}
	return s, nil
}

func loopback(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}

func (s *Sender) address() string { return net.JoinHostPort(s.cfg.Host, fmt.Sprint(s.cfg.Port)) }

// String says where mail goes, without credentials.
func (s *Sender) String() string { return "smtp://" + s.address() }

// Send implements mail.Mailer.
func (s *Sender) Send(ctx context.Context, m mail.Message) error {
	_, err := s.Deliver(ctx, m)
	return err
}

// Deliver is Send that also returns what the server said when it accepted the message.
func (s *Sender) Deliver(ctx context.Context, m mail.Message) (answer string, err error) {
	p, err := compose(m)
	if err != nil {
		return "", err
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return "", failure{stage: connecting, err: ctx.Err()}.fault()
	}
	answer, err = s.deliver(ctx, p)
	s.remember(err)
	return answer, err
}

// deliver tries a connection there is and, where the server has closed it meanwhile, a new one.
func (s *Sender) deliver(ctx context.Context, p parcel) (answer string, err error) {
	for {
		c, again, err := s.session(ctx, p.hello)
		if err != nil {
			return "", err
		}
		answer, f := c.send(ctx, p)
		if f == nil {
			s.keep(c)
			return answer, nil
		}
		if f.reply() && !f.bye() {
			s.keep(c) // it refused the message, not the connection
		} else {
			c.drop()
		}
		if again && f.stage == sender && (!f.reply() || f.bye()) {
			continue // it timed out as we began to speak; nothing has been said yet
		}
		return "", f.fault()
	}
}

// session gives a connection that is ready for a message; again says that it has been used before.
func (s *Sender) session(ctx context.Context, hello string) (c *session, again bool, err error) {
	for {
		if c = s.pick(); c == nil {
			break
		}
		if c.reset(ctx) {
			return c, true, nil
		}
		c.drop()
	}
	c, f := s.dial(ctx, hello)
	if f != nil {
		return nil, false, f.fault()
	}
	return c, false, nil
}

func (s *Sender) pick() *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.idle) > 0 {
		c := s.idle[len(s.idle)-1]
		s.idle = s.idle[:len(s.idle)-1]
		if c.timer.Stop() {
			s.timers.Done()
			return c
		}
		// Its timer has fired and closes it.
	}
	return nil
}

// keep puts a connection aside for the next message.
func (s *Sender) keep(c *session) {
	c.sent++
	s.mu.Lock()
	if s.closed || c.sent >= perConnection {
		s.mu.Unlock()
		c.quit()
		return
	}
	s.timers.Add(1)
	c.timer = time.AfterFunc(idleFor, func() {
		defer s.timers.Done()
		s.mu.Lock()
		for i, other := range s.idle {
			if other == c {
				s.idle = append(s.idle[:i], s.idle[i+1:]...)
				break
			}
		}
		s.mu.Unlock()
		c.quit()
	})
	s.idle = append(s.idle, c)
	s.mu.Unlock()
}

// Close ends the connections that wait. A message being sent is left to end, and its connection is closed then.
func (s *Sender) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for c := s.pick(); c != nil; c = s.pick() {
		c.quit()
	}
	s.timers.Wait()
	return nil
}

// remember logs an operator's mistake once, and once that it is over.
func (s *Sender) remember(err error) {
	var f failure
	mistake := ""
	if errors.As(err, &f) && f.mistake() {
		mistake = f.code()
	}
	s.mu.Lock()
	before := s.trouble
	if err == nil || mistake != "" {
		s.trouble = mistake
	}
	s.mu.Unlock()
	switch {
	case mistake != "" && mistake != before:
		s.log.Error("the mail server can't be used as it is configured; mails wait until that is mended", "server", s.address(), "problem", f.message(), "answer", f.err)
	case err == nil && before != "":
		s.log.Info("the mail server takes mail again", "server", s.address())
	}
}
