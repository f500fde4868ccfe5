package smtp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/mail/smtp"
	"github.com/sigra-auth/sigra/core/secret"
)

// FuzzAnswers is a server that answers anything, one piece (they end with 0xFF) after each thing it is told. Whatever that is, sending ends soon and
// says what the queue understands; and nothing counts as sent without a 250.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{
		"220 hi\r\n\xff250 hi\r\n\xff250 ok\r\n\xff250 ok\r\n\xff354 go\r\n\xff250 queued\r\n",
		"220 hi\r\n\xff250-hi\r\n250 AUTH PLAIN LOGIN\r\n\xff235 ok\r\n\xff250 ok\r\n\xff250 ok\r\n\xff354 go\r\n\xff",
		"220 hi\r\n\xff250-hi\r\n250 AUTH SCRAM-SHA-256\r\n\xff334 cj1h\r\n\xff334 dj1h\r\n",
		"220 hi\r\n\xff250-hi\r\n250 AUTH LOGIN\r\n\xff334 !\r\n\xff501 no\r\n", "220-\r\n220-x", "\xff\xff\xff", "999 \r\n", "-1 \r\n", "220", "\x00", "220 hi\r\n\xff500 no\r\n\xff500 no\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_ = c.SetDeadline(time.Now().Add(2 * time.Second))
				heard := make([]byte, 64<<10)
				for piece := range bytes.SplitSeq(script, []byte{0xff}) {
					if _, err := c.Write(piece); err != nil {
						break
					}
					// Whoever says only half of something is soon done waiting for an answer to it.
					_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
					if _, err := c.Read(heard); errors.Is(err, io.EOF) {
						break
					}
				}
				_ = c.Close()
			}
		}()
		defer func() { _ = l.Close(); <-done }()
		s, err := smtp.New(smtp.Config{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, TLS: smtp.None, Username: "sigra", Password: secret.New("x"), Timeout: time.Second, Hello: "sigra.test"})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		answer, err := s.Deliver(ctx, message())
		if took := time.Since(start); took > 15*time.Second {
			t.Fatalf("took %s", took)
		}
		if err == nil && !bytes.Contains(script, []byte("250")) {
			t.Fatalf("sent: %q", answer)
		}
		if k := fault.KindOf(err); err != nil && k != fault.Unavailable && k != fault.Denied && k != fault.Internal {
			t.Fatalf("%v: %v", k, err)
		}
	})
}
