package smtp_test

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/plugins/mailglass/smtp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSend_outcomes: what is said at each step decides what became of the message.
func TestSend_outcomes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		answers map[string]string
		want    smtp.Outcome
	}{
		{"a good server", nil, smtp.Accepted},
		{"no greeting", map[string]string{"CONNECT": "-"}, smtp.Retryable},
		{"busy", map[string]string{"CONNECT": "421 come back later"}, smtp.Retryable},
		{"sender refused for now", map[string]string{"MAIL": "451 later"}, smtp.Retryable},
		{"sender refused", map[string]string{"MAIL": "550 not from you"}, smtp.Retryable}, // our fault, which can be mended
		{"greylisted", map[string]string{"RCPT": "450 later"}, smtp.Retryable},
		{"unknown recipient", map[string]string{"RCPT": "550 nobody here"}, smtp.Permanent},
		{"cut off at the recipient", map[string]string{"RCPT": "-"}, smtp.Retryable},
		{"data refused", map[string]string{"DATA": "451 no"}, smtp.Retryable},
		{"cut off at data", map[string]string{"DATA": "-"}, smtp.Retryable},
		{"message refused for now", map[string]string{"DOT": "452 full"}, smtp.Retryable},
		{"message refused", map[string]string{"DOT": "554 spam"}, smtp.Permanent},
		{"the answer is lost", map[string]string{"DOT": "-"}, smtp.Uncertain},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := serve(t, c.answers)
			s := smtp.New(smtp.Config{Host: "127.0.0.1", Port: srv.port, TLS: smtp.None, Timeout: 5 * time.Second})
			got := s.Send(t.Context(), "us@example.com", "ada@example.com", []byte("Subject: Hi\r\n\r\n.dot\r\n"))
			if got.Outcome != c.want {
				t.Fatalf("%+v, want %s", got, c.want)
			}
			if c.want == smtp.Accepted && (len(srv.received) != 1 || !strings.HasSuffix(srv.received[0], "..dot\r\n")) {
				t.Errorf("received %q", srv.received)
			}
		})
	}
	s := smtp.New(smtp.Config{Host: "127.0.0.1", Port: 1, TLS: smtp.None, Timeout: time.Second})
	if got := s.Send(t.Context(), "us@example.com", "ada@example.com", nil); got.Outcome != smtp.Retryable {
		t.Errorf("nobody listens: %+v", got)
	}
	srv := serve(t, nil)
	s = smtp.New(smtp.Config{Host: "127.0.0.1", Port: srv.port, TLS: smtp.StartTLS, Timeout: time.Second})
	if got := s.Send(t.Context(), "us@example.com", "ada@example.com", nil); got.Outcome != smtp.Retryable || !strings.Contains(got.Answer, "STARTTLS") || len(srv.received) > 0 {
		t.Errorf("without STARTTLS: %+v", got)
	}
}
