package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// maxAnswer is how many bytes one step of the conversation may read: a TLS handshake with a long chain, or an answer of hundreds of lines.
const maxAnswer = 64 << 10

// quitTime is how long a server gets to say good-bye.
const quitTime = 2 * time.Second

var errTooMuch = errors.New("the server says more than can be meant")

// errAhead is said of a server that answers before it was asked: which answer belongs to which command is then anybody's guess.
var errAhead = errors.New("the server answered what it had not been asked")

// guard is a connection from which only so much is read per step.
type guard struct {
	net.Conn
	left atomic.Int64
}

func (g *guard) Read(b []byte) (int, error) {
	left := g.left.Load()
	if left <= 0 {
		return 0, errTooMuch
	}
	n, err := g.Conn.Read(b[:min(int64(len(b)), left)])
	g.left.Add(-int64(n))
	return n, err
}

// session is one connection to the server, signed in.
type session struct {
	client  *smtp.Client
	words   *keywords
	conn    *guard
	timeout time.Duration
	sent    int
	timer   *time.Timer // closes it when it was not used for a while
}

// begin opens a step of the conversation: it may take as long as the timeout, and read so much.
func (c *session) begin(ctx context.Context, timeout time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.client != nil && c.client.Text.R.Buffered() > 0 {
		return errAhead
	}
	until := time.Now().Add(timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(until) {
		until = d
	}
	c.conn.left.Store(maxAnswer)
	return c.conn.SetDeadline(until)
}

// dial connects, up to where a message can be sent.
func (s *Sender) dial(ctx context.Context, hello string) (*session, *failure) {
	dialing, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(dialing, "tcp", s.address())
	if err != nil {
		return nil, &failure{stage: connecting, err: err}
	}
	c := &session{conn: &guard{Conn: raw}, timeout: s.cfg.Timeout}
	// Whatever is being waited for ends with the context, and the connection with it.
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	f := s.open(ctx, c, hello)
	if !stop() && f == nil {
		f = &failure{stage: connecting, err: ctx.Err()}
	}
	if f != nil {
		_ = raw.Close()
		return nil, f
	}
	return c, nil
}

func (s *Sender) open(ctx context.Context, c *session, hello string) *failure {
	if err := c.begin(ctx, c.timeout); err != nil {
		return &failure{stage: connecting, err: err}
	}
	if a, ok := c.conn.RemoteAddr().(*net.TCPAddr); s.cfg.TLS == None && (!ok || !a.IP.IsLoopback()) {
		return &failure{stage: securing, err: errors.New("the host's name leads to another machine, and tls is off")}
	}
	conn := net.Conn(c.conn)
	if s.cfg.TLS == Implicit {
		t := tls.Client(c.conn, s.tls)
		if err := t.HandshakeContext(ctx); err != nil {
			return &failure{stage: securing, err: err}
		}
		conn = t
	}
	var err error
	c.words = &keywords{Conn: conn}
	if c.client, err = smtp.NewClient(c.words, s.cfg.Host); err != nil {
		return &failure{stage: greeting, err: err}
	}
	if s.cfg.Hello != "" {
		hello = s.cfg.Hello
	}
	for _, step := range []struct {
		stage stage
		do    func() error
	}{
		{greeting, func() error { return c.hello(hello) }},
		{securing, func() error { return s.secure(ctx, c, hello) }},
		{signingIn, func() error { return s.signIn(c.client) }},
	} {
		if err := c.begin(ctx, c.timeout); err != nil {
			return &failure{stage: step.stage, err: err}
		}
		if err := step.do(); err != nil {
			return &failure{stage: step.stage, err: err}
		}
	}
	utf8, _ := c.client.Extension("SMTPUTF8")
	s.learn(utf8)
	return nil
}

// hello says who we are and hears what the server can do.
func (c *session) hello(name string) error {
	c.words.on = true
	defer func() { c.words.on = false }()
	return c.client.Hello(name)
}

// secure turns to TLS. A server that does not offer it may have been stripped of it by somebody in between, so there is no going on without (RFC 3207 §6).
func (s *Sender) secure(ctx context.Context, c *session, hello string) error {
	if s.cfg.TLS != StartTLS {
		return nil
	}
	if ok, _ := c.client.Extension("STARTTLS"); !ok {
		return errors.New("the server does not offer STARTTLS")
	}
	clear := c.client.Text
	id, err := clear.Cmd("STARTTLS")
	if err != nil {
		return err
	}
	clear.StartResponse(id)
	_, _, err = clear.ReadResponse(220)
	clear.EndResponse(id)
	if err != nil {
		return err
	}
	if clear.R.Buffered() > 0 { // what somebody put behind the answer, hoping it would count as said under TLS (CVE-2011-0411)
		return errAhead
	}
	conn := tls.Client(c.conn, s.tls)
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	// All begins anew (RFC 3207 §4.2) but the greeting, which the client waits for.
	c.words = &keywords{Conn: conn, said: []byte("220 TLS\r\n")}
	if c.client, err = smtp.NewClient(c.words, s.cfg.Host); err != nil {
		return err
	}
	return c.hello(hello)
}

// signIn picks the best way to sign in that the server offers. PLAIN and LOGIN show it the password, which the certificate says it may see.
func (s *Sender) signIn(client *smtp.Client) error {
	user, password, host := s.cfg.Username, s.cfg.Password.Reveal(), s.cfg.Host
	if user == "" {
		return nil
	}
	_, offered := client.Extension("AUTH")
	ways := strings.Fields(strings.ToUpper(offered))
	has := func(way string) bool { return slices.Contains(ways, way) }
	const encrypted = true // or to this machine; the client does not see it through keywords
	switch {
	case has("SCRAM-SHA-256"):
		return client.Auth(smtp.ScramSHA256Auth(user, password))
	case has("PLAIN"):
		return client.Auth(smtp.PlainAuth("", user, password, host, encrypted))
	case has("LOGIN"):
		return client.Auth(smtp.LoginAuth(user, password, host, encrypted))
	case len(ways) == 0:
		return errors.New("the server offers no sign-in, and a username is set")
	}
	return errors.New("the server offers only ways to sign in that are not supported: " + strings.Join(ways, ", "))
}

// reset makes sure that the connection is still there and nothing of the last message is left on it.
func (c *session) reset(ctx context.Context) bool {
	if c.begin(ctx, c.timeout) != nil {
		return false
	}
	defer context.AfterFunc(ctx, func() { _ = c.conn.Close() })()
	return c.client.Reset() == nil
}

// send hands one message over. It returns what the server said when it took responsibility for it.
func (c *session) send(ctx context.Context, p parcel) (answer string, f *failure) {
	defer context.AfterFunc(ctx, func() { _ = c.conn.Close() })()
	c.client.SkipSMTPUTF8(!p.utf8)
	if ok, _ := c.client.Extension("SMTPUTF8"); p.utf8 && !ok {
		return "", &failure{stage: recipient, err: errNoUTF8}
	}
	for _, step := range []struct {
		stage stage
		do    func() error
	}{
		{sender, func() error { return c.client.Mail("<" + p.from + ">") }},
		{recipient, func() error { return c.client.Rcpt("<" + p.to + ">") }},
	} {
		if err := c.begin(ctx, c.timeout); err != nil {
			return "", &failure{stage: step.stage, err: err}
		}
		if err := step.do(); err != nil {
			return "", &failure{stage: step.stage, err: err}
		}
	}
	if err := c.begin(ctx, c.timeout); err != nil {
		return "", &failure{stage: data, err: err}
	}
	w, err := c.client.Data()
	if err != nil {
		return "", &failure{stage: data, err: err}
	}
	if err := c.begin(ctx, c.timeout); err != nil {
		return "", &failure{stage: data, err: err}
	}
	if _, err := w.Write(p.body); err != nil {
		return "", &failure{stage: data, err: err}
	}
	// The dot. A server may take its time to look at the message; whoever gives up on it early can only guess (RFC 5321 §4.5.3.2.6).
	if err := c.begin(ctx, patience(ctx, c.timeout)); err != nil {
		return "", &failure{stage: data, err: err}
	}
	if err := w.Close(); err != nil {
		return "", &failure{stage: answering, err: err}
	}
	if d, ok := w.(*smtp.DataCloser); ok {
		answer = d.ServerResponse()
	}
	return answer, nil
}

// patience is all the time there is, or ten times the timeout.
func patience(ctx context.Context, timeout time.Duration) time.Duration {
	if d, ok := ctx.Deadline(); ok {
		return time.Until(d)
	}
	return 10 * timeout
}

// drop closes the connection without a word.
func (c *session) drop() { _ = c.conn.Close() }

// quit says good-bye.
func (c *session) quit() {
	if c.begin(context.Background(), quitTime) == nil {
		_ = c.client.Quit()
	}
	c.drop()
}
