package smtp_test

import (
	"bufio"
	"net"
	"strings"
	"sync"
	"testing"
)

// server is a mail server that speaks by a script: answers maps a verb (EHLO, MAIL, RCPT, DATA, DOT) to what is said instead of
// the usual answer; "-" closes the connection without a word.
type server struct {
	port    int
	answers map[string]string

	mu       sync.Mutex
	received []string
}

func serve(t *testing.T, answers map[string]string) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{port: l.Addr().(*net.TCPAddr).Port, answers: answers}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { s.talk(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return s
}

func (s *server) talk(c net.Conn) {
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	say := func(verb, usual string) bool {
		a, ok := s.answers[verb]
		if !ok {
			a = usual
		}
		if a == "-" {
			return false
		}
		_, err := c.Write([]byte(a + "\r\n"))
		return err == nil
	}
	if !say("CONNECT", "220 ready") {
		return
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		verb := strings.ToUpper(strings.TrimSpace(strings.SplitN(strings.TrimSpace(line), " ", 2)[0]))
		ok := true
		switch verb {
		case "EHLO", "HELO":
			ok = say(verb, "250 hello")
		case "DATA":
			if ok = say(verb, "354 go on"); !ok || !strings.HasPrefix(s.answers[verb]+"354", "354") {
				break
			}
			var text strings.Builder
			for {
				l, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if l == ".\r\n" {
					break
				}
				text.WriteString(l)
			}
			s.mu.Lock()
			s.received = append(s.received, text.String())
			s.mu.Unlock()
			ok = say("DOT", "250 queued as 1")
		case "QUIT":
			say(verb, "221 bye")
			return
		default:
			ok = say(verb, "250 ok")
		}
		if !ok {
			return
		}
	}
}
