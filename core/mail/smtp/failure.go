package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"syscall"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
)

// stage is how far a message got.
type stage string

const (
	connecting stage = "connect"
	greeting   stage = "greeting"
	securing   stage = "tls"
	signingIn  stage = "auth"
	sender     stage = "sender"
	recipient  stage = "recipient"
	data       stage = "data"
	answering  stage = "answer" // the dot was sent
)

// greyFor is how long a message waits that a server wants to see again, unless the queue waits longer: servers that greylist want minutes, and
// people who wait for a code have not many.
const greyFor = time.Minute

var errNoUTF8 = errors.New("the address has letters that the mail server can't take: it does not offer SMTPUTF8")

// failure is why a message did not get through, and how far it got.
type failure struct {
	stage stage
	err   error
}

func (f failure) Error() string { return string(f.stage) + ": " + f.err.Error() }
func (f failure) Unwrap() error { return f.err }

// status is the server's answer; 0 if there was none.
func (f failure) status() int {
	var te *textproto.Error
	if errors.As(f.err, &te) {
		return te.Code
	}
	return 0
}

// reply reports whether the server answered, with a refusal.
func (f failure) reply() bool { s := f.status() / 100; return s == 4 || s == 5 }

// bye reports whether the server closes the connection.
func (f failure) bye() bool { return f.status() == 421 }

// mistake reports whether the server holds something against us rather than against the message.
func (f failure) mistake() bool {
	switch f.stage {
	case securing, signingIn:
		return f.status()/100 == 5 || f.status() == 0 && !broken(f.err)
	case greeting, sender:
		return f.status()/100 == 5
	case recipient, data:
		return f.status() == 530 || f.status() == 535 || f.status() == 538 // it wants us to sign in (RFC 4954 §6)
	}
	return false
}

// broken reports whether the connection ended or stalled.
func broken(err error) bool {
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return true
	}
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

func (f failure) code() string {
	c := "smtp_" + string(f.stage)
	if s := f.status(); s > 0 {
		c += fmt.Sprintf("_%d", s)
	}
	if errors.Is(f.err, errNoUTF8) {
		c = "smtp_no_utf8"
	}
	return c
}

func (f failure) message() string {
	switch f.stage {
	case connecting:
		return "The mail server can't be reached."
	case greeting:
		return "The mail server does not welcome us."
	case securing:
		return "The connection to the mail server can't be secured."
	case signingIn:
		return "The mail server refuses our sign-in."
	case sender:
		return "The mail server does not take mail from our address."
	case recipient:
		return "The mail server does not take mail to this address."
	}
	return "The mail server did not take the message."
}

// fault is the failure as mail.Mailer's contract has it.
func (f failure) fault() error {
	if f.stage == answering && !f.reply() {
		return fmt.Errorf("the mail server's answer to the message never came: %w", f)
	}
	kind := fault.Unavailable
	if (f.stage == recipient || f.stage == data || f.stage == answering) && f.status()/100 == 5 && !f.mistake() || errors.Is(f.err, errNoUTF8) {
		kind = fault.Denied
	}
	e := fault.New(kind, f.code(), f.message()).Because(f)
	if s := f.status(); f.stage != signingIn && (s == 450 || s == 451) {
		e = e.After(greyFor)
	}
	return e
}
