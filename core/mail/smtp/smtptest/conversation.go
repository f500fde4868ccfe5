package smtptest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"
)

// conversation is one connection.
type conversation struct {
	server    *Server
	raw       net.Conn
	conn      net.Conn // raw, or TLS over it
	in        *bufio.Reader
	n         int
	encrypted bool
	user      string
	from, to  string
}

// run speaks until one side ends.
func (c *conversation) run() {
	defer c.raw.Close()
	c.conn = c.raw
	if c.server.cfg.TLS == Implicit && !c.secure() {
		return
	}
	c.in = bufio.NewReader(c.conn)
	if !c.answer(c.decide("CONNECT", ""), "220 localhost ESMTP ready") {
		return
	}
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, rest, _ := strings.Cut(line, " ")
		if !c.command(strings.ToUpper(verb), rest, line) {
			return
		}
	}
}

func (c *conversation) decide(verb, line string) Action {
	return c.server.decide(verb, line, c.n, nil)
}

// answer does what the action says, or answers as usual. It reports whether the conversation goes on.
func (c *conversation) answer(a Action, usual string) bool {
	if len(a.raw) > 0 {
		_, _ = c.conn.Write(a.raw)
	}
	say := usual
	if a.say != "" {
		say = a.say
	}
	if say != "-" {
		if _, err := io.WriteString(c.conn, strings.ReplaceAll(say, "\n", "\r\n")+"\r\n"); err != nil {
			return false
		}
	}
	if a.reset {
		if t, ok := c.raw.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
	}
	return !a.hangUp
}

func (c *conversation) secure() bool {
	t := tls.Server(c.raw, &tls.Config{Certificates: []tls.Certificate{c.server.cert}, MinVersion: tls.VersionTLS12})
	if t.Handshake() != nil {
		return false
	}
	c.conn, c.encrypted = t, true
	return true
}

func (c *conversation) command(verb, rest, line string) bool {
	cfg := c.server.cfg
	signedIn := cfg.User == "" || c.user != ""
	switch verb {
	case "EHLO", "HELO":
		lines := append([]string{"localhost greets " + rest, "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"}, cfg.Extensions...)
		if cfg.TLS == StartTLS && !c.encrypted {
			lines = append(lines, "STARTTLS")
		}
		if cfg.User != "" && (c.encrypted || cfg.TLS == Plain) && len(cfg.Auth) > 0 {
			lines = append(lines, "AUTH "+strings.Join(cfg.Auth, " "))
		}
		if cfg.Spell != nil {
			for i, l := range lines[1:] {
				lines[i+1] = cfg.Spell(l)
			}
		}
		var b strings.Builder
		for i, l := range lines {
			sep := "-"
			if i == len(lines)-1 {
				sep = " "
			}
			fmt.Fprintf(&b, "250%s%s\n", sep, l)
		}
		return c.answer(c.decide("EHLO", line), strings.TrimRight(b.String(), "\n"))
	case "STARTTLS":
		if cfg.TLS != StartTLS || c.encrypted {
			return c.answer(c.decide(verb, line), "503 5.5.1 Not here")
		}
		a := c.decide(verb, line)
		if !c.answer(a, "220 2.0.0 Ready") {
			return false
		}
		if a.say != "" {
			return true
		}
		if !c.secure() {
			return false
		}
		c.in, c.user = bufio.NewReader(c.conn), ""
		return true
	case "AUTH":
		return c.auth(rest, line)
	case "MAIL":
		if !signedIn {
			return c.answer(c.decide(verb, line), "530 5.7.0 Authentication required")
		}
		c.from, c.to = path(rest), ""
		return c.answer(c.decide(verb, line), "250 2.1.0 Ok")
	case "RCPT":
		a := c.decide(verb, line)
		if a.say == "" {
			c.to = path(rest)
		}
		return c.answer(a, "250 2.1.5 Ok")
	case "DATA":
		if c.to == "" {
			return c.answer(c.decide(verb, line), "503 5.5.1 No recipient")
		}
		a := c.decide(verb, line)
		if !c.answer(a, "354 End data with <CR><LF>.<CR><LF>") {
			return false
		}
		return a.say != "" || c.data()
	case "RSET":
		c.from, c.to = "", ""
		return c.answer(c.decide(verb, line), "250 2.0.0 Ok")
	case "NOOP":
		return c.answer(c.decide(verb, line), "250 2.0.0 Ok")
	case "QUIT":
		c.answer(c.decide(verb, line), "221 2.0.0 Bye")
		return false
	}
	return c.answer(Action{}, "502 5.5.2 What?")
}

// path is the address in "FROM:<a@b> BODY=8BITMIME".
func path(s string) string {
	_, s, _ = strings.Cut(s, "<")
	s, _, _ = strings.Cut(s, ">")
	return s
}

// data reads the message. The first line is an event of its own, so that a connection can end in the middle.
func (c *conversation) data() bool {
	first, err := c.in.ReadString('\n')
	if err != nil {
		return false
	}
	if a := c.decide("TEXT", ""); a.hangUp {
		c.answer(a, "-")
		return false
	}
	rest, err := io.ReadAll(textproto.NewReader(c.in).DotReader())
	if err != nil {
		return false
	}
	m := &Received{
		From: c.from, To: c.to, Data: bytes.ReplaceAll(append([]byte(strings.TrimRight(first, "\r\n")+"\n"), rest...), []byte("\r\n"), []byte("\n")),
		User: c.user, Encrypted: c.encrypted, At: time.Now(), Conn: c.n,
	}
	c.server.changed(func() { c.server.received = append(c.server.received, m) })
	a := c.server.decide("DOT", "", c.n, m)
	usual := fmt.Sprintf("250 2.0.0 Ok: queued as %08d", c.server.Count("DOT"))
	var ok bool
	c.server.changed(func() { // whoever has read the answer finds the message accepted
		ok = c.answer(a, usual)
		m.Accepted = ok && a.say == ""
	})
	c.from, c.to = "", ""
	return ok
}

func (c *conversation) auth(rest, line string) bool {
	cfg := c.server.cfg
	way, initial, _ := strings.Cut(rest, " ")
	if a := c.decide("AUTH", line); a.say != "" || a.hangUp {
		return c.answer(a, "-")
	}
	var user string
	var ok, alive bool
	switch {
	case !c.encrypted && cfg.TLS != Plain:
		return c.answer(Action{}, "538 5.7.11 Encryption required")
	case way == "PLAIN":
		if initial == "" {
			if initial, alive = c.ask(""); !alive {
				return false
			}
		}
		b, _ := base64.StdEncoding.DecodeString(initial)
		parts := strings.Split(string(b), "\x00")
		if len(parts) == 3 {
			user, ok = parts[1], parts[1] == cfg.User && parts[2] == cfg.Password
		}
	case way == "LOGIN":
		if user, alive = c.ask("Username:"); !alive {
			return false
		}
		password, alive := c.ask("Password:")
		if !alive {
			return false
		}
		u, _ := base64.StdEncoding.DecodeString(user)
		p, _ := base64.StdEncoding.DecodeString(password)
		user, ok = string(u), string(u) == cfg.User && string(p) == cfg.Password
	case way == "SCRAM-SHA-256":
		if user, ok, alive = c.scram(initial); !alive {
			return false
		}
	default:
		return c.answer(Action{}, "504 5.5.4 Unrecognized authentication type")
	}
	if !ok {
		return c.answer(Action{}, "535 5.7.8 Authentication credentials invalid")
	}
	c.user = user
	return c.answer(Action{}, "235 2.7.0 Welcome")
}

// ask challenges and reads one line.
func (c *conversation) ask(challenge string) (line string, ok bool) {
	if !c.answer(Action{}, "334 "+base64.StdEncoding.EncodeToString([]byte(challenge))) {
		return "", false
	}
	line, err := c.in.ReadString('\n')
	line = strings.TrimRight(line, "\r\n")
	return line, err == nil && line != "*"
}
