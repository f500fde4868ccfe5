package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	gosmtp "github.com/wneessen/go-mail/smtp"
)

// The ways to protect a connection.
const (
	StartTLS = "starttls"
	Implicit = "implicit"
	None     = "none" // to this machine only
)

// ValidTLS reports whether s is one of them.
func ValidTLS(s string) bool { return slices.Contains([]string{StartTLS, Implicit, None}, s) }

// Local reports whether a host is this machine.
func Local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Config of a Sender.
type Config struct {
	Host     string
	Port     int
	TLS      string
	Username string // empty: no sign-in
	Password string
	Timeout  time.Duration
	Hello    string      // what the client calls itself; empty: the sender's domain
	Roots    *tls.Config // who is trusted; nil: the system's certificates
}

// Outcome is what became of a message.
type Outcome string

// The outcomes.
const (
	Accepted  Outcome = "accepted"
	Retryable Outcome = "retryable" // surely not accepted, and a later attempt may do better
	Permanent Outcome = "permanent" // surely not accepted, and never will be
	Uncertain Outcome = "uncertain" // it may have been accepted
)

// Result of an attempt. Answer is the server's, or why there was none.
type Result struct {
	Outcome Outcome
	Answer  string
}

// Sender sends by one server. It is safe for concurrent use: each message has a connection of its own.
type Sender struct{ cfg Config }

// New makes a Sender.
func New(cfg Config) *Sender { return &Sender{cfg} }

// Send hands message over. from and to are addresses alone.
func (s *Sender) Send(ctx context.Context, from, to string, message []byte) Result {
	ctx, cancel := context.WithTimeout(ctx, 10*s.cfg.Timeout)
	defer cancel()
	address := net.JoinHostPort(s.cfg.Host, strconv.Itoa(s.cfg.Port))
	dialing, stop := context.WithTimeout(ctx, s.cfg.Timeout)
	defer stop()
	raw, err := new(net.Dialer).DialContext(dialing, "tcp", address)
	if err != nil {
		return Result{Retryable, "connect: " + err.Error()}
	}
	defer func() { _ = raw.Close() }()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	if a, ok := raw.RemoteAddr().(*net.TCPAddr); s.cfg.TLS == None && (!ok || !a.IP.IsLoopback()) {
		return Result{Permanent, "the host leads to another machine, and tls is none"}
	}
	return s.converse(ctx, raw, from, to, message)
}

func (s *Sender) converse(ctx context.Context, raw net.Conn, from, to string, message []byte) Result {
	step := func() { _ = raw.SetDeadline(time.Now().Add(s.cfg.Timeout)) }
	secure := s.tls()
	conn := raw
	step()
	if s.cfg.TLS == Implicit {
		t := tls.Client(raw, secure)
		if err := t.HandshakeContext(ctx); err != nil {
			return Result{Retryable, "tls: " + err.Error()}
		}
		conn = t
	}
	c, err := gosmtp.NewClient(conn, s.cfg.Host)
	if err != nil {
		return failed("greeting", err)
	}
	_, domain, _ := strings.Cut(from, "@")
	hello := s.cfg.Hello
	if hello == "" {
		hello = domain
	}
	var w interface {
		Write(p []byte) (int, error)
		Close() error
	}
	for _, at := range []struct {
		name string
		do   func() error
	}{
		{"hello", func() error { return c.Hello(hello) }},
		{"tls", func() error { return s.secure(c, secure) }},
		{"sign in", func() error { return s.signIn(c) }},
		{"sender", func() error { return c.Mail("<" + from + ">") }},
		{"recipient", func() error { return c.Rcpt("<" + to + ">") }},
		{"data", func() (err error) { w, err = c.Data(); return err }},
	} {
		step()
		if c.Text.R.Buffered() > 0 { // an answer to what was not asked: which is whose is anybody's guess (CVE-2011-0411)
			return Result{Retryable, at.name + ": the server answered before it was asked"}
		}
		if err := at.do(); err != nil {
			return failed(at.name, err)
		}
	}
	step()
	if _, err := w.Write(message); err != nil {
		return failed("message", err)
	}
	// A server may take its time to look at the message (RFC 5321 §4.5.3.2.6).
	_ = raw.SetDeadline(time.Now().Add(10 * s.cfg.Timeout))
	if err := w.Close(); err != nil {
		r := failed("answer", err)
		if !replied(err) {
			r.Outcome = Uncertain
		}
		return r
	}
	answer := ""
	if d, ok := w.(*gosmtp.DataCloser); ok {
		answer = d.ServerResponse()
	}
	_ = raw.SetDeadline(time.Now().Add(2 * time.Second))
	_ = c.Quit()
	return Result{Accepted, answer}
}

func (s *Sender) tls() *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.cfg.Roots != nil {
		cfg = s.cfg.Roots.Clone()
	}
	cfg.ServerName = s.cfg.Host
	return cfg
}

// secure turns to TLS. A server that doesn't offer it may have been stripped of it by somebody in between (RFC 3207 §6).
func (s *Sender) secure(c *gosmtp.Client, cfg *tls.Config) error {
	if s.cfg.TLS != StartTLS {
		return nil
	}
	if ok, _ := c.Extension("STARTTLS"); !ok {
		return errors.New("the server does not offer STARTTLS")
	}
	return c.StartTLS(cfg)
}

func (s *Sender) signIn(c *gosmtp.Client) error {
	if s.cfg.Username == "" {
		return nil
	}
	_, offered := c.Extension("AUTH")
	ways := strings.Fields(strings.ToUpper(offered))
	local := s.cfg.TLS == None
	switch {
	case slices.Contains(ways, "SCRAM-SHA-256"):
		return c.Auth(gosmtp.ScramSHA256Auth(s.cfg.Username, s.cfg.Password))
	case slices.Contains(ways, "PLAIN"):
		return c.Auth(gosmtp.PlainAuth("", s.cfg.Username, s.cfg.Password, s.cfg.Host, local))
	case slices.Contains(ways, "LOGIN"):
		return c.Auth(gosmtp.LoginAuth(s.cfg.Username, s.cfg.Password, s.cfg.Host, local))
	}
	return fmt.Errorf("the server offers no supported way to sign in: %q", offered)
}

func replied(err error) bool {
	var te *textproto.Error
	return errors.As(err, &te)
}

// failed judges a step before the answer: a refusal for good is the recipient's or the message's; one of us, of our password or
// of the server's mood can be mended.
func failed(at string, err error) Result {
	r := Result{Retryable, at + ": " + err.Error()}
	var te *textproto.Error
	if errors.As(err, &te) && te.Code/100 == 5 && (at == "recipient" || at == "answer") {
		r.Outcome = Permanent
	}
	return r
}
