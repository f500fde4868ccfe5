package mailglass

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/plugins/mailglass/guard"
	"github.com/sigra-auth/sigra/plugins/mailglass/smtp"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// Version is Mailglass's own.
const Version = "0.1.0"

//go:embed migrations
var migrations embed.FS

// TrackingCode is why a message that would track its reader is rejected.
const TrackingCode = "tracking_on_auth_stream"

// sealPurpose is what messages are sealed for.
const sealPurpose = "outbox"

// sender hands a message to whoever delivers it.
type sender interface {
	Send(ctx context.Context, from, to string, message []byte) smtp.Result
}

// instance is Mailglass with one set of settings.
type instance struct {
	settings settings
	host     *pluginsdk.Host
	outbox   *outbox
	guard    *guard.Guard
	sender   sender // nil: to the inbox
	patience time.Duration
	log      hclog.Logger
	wake     chan struct{}
	mux      *http.ServeMux
}

var (
	_ pluginsdk.Mailer         = (*instance)(nil)
	_ pluginsdk.Runner         = (*instance)(nil)
	_ pluginsdk.Routes         = (*instance)(nil)
	_ pluginsdk.Commands       = (*instance)(nil)
	_ pluginsdk.MailChecker    = (*instance)(nil)
	_ pluginsdk.HealthReporter = (*instance)(nil)
)

// New makes Mailglass.
func New() pluginsdk.Plugin { return newAt(time.Now, smtp.Config{}) }

// newAt is New by another clock and, for tests, with another trust in servers.
func newAt(now func() time.Time, base smtp.Config) pluginsdk.Plugin {
	m := pluginsdk.Manifest{
		Name:        "mailglass",
		Version:     Version,
		Description: "Auth email that reaches people and tracks nobody",
		Requires:    []pluginsdk.Grant{pluginsdk.SealUse, pluginsdk.MailReporting, pluginsdk.PagesRender},
		Routes:      []pluginsdk.Route{{Path: "/mailglass", Title: "Email", Section: pluginsdk.AdministrationSection, Access: pluginsdk.Administrators}},
		Commands: []pluginsdk.Command{
			{Name: "lint", Arguments: "FILE… [--origin URL]", Summary: "Check finished messages for tracking", Offline: lint},
			{Name: "webhook verify", Arguments: "--provider NAME [--settings FILE] [--at TIME] CASE…", Summary: "Judge recorded webhooks of mail providers, without a running server", Offline: verifyCommand},
			{Name: "outbox", Arguments: "[--state STATE]", Summary: "List messages and what became of them"},
		},
		Storage: storage.New(migrations),
	}
	return pluginsdk.Define(m, func(_ context.Context, host *pluginsdk.Host, s settings) (*instance, error) {
		if err := s.check(); err != nil {
			return nil, err
		}
		g, err := guard.New(guard.Config{Origins: append([]string{host.BaseURL()}, s.Origins...)})
		if err != nil {
			return nil, pluginsdk.Diagnostic("origins", "Not an origin", err.Error())
		}
		in := &instance{
			settings: s, host: host, guard: g, log: host.Logger(), wake: make(chan struct{}, 1), patience: time.Minute,
			outbox: &outbox{db: host.Database(), dialect: host.Dialect(), now: now},
		}
		if m := s.SMTP; m != nil {
			base.Host, base.Port, base.TLS, base.Username, base.Password, base.Timeout = m.Host, m.Port, m.TLS, m.Username, m.Password.Reveal(), m.Timeout
			if m.CAFile != "" {
				roots, err := certificates(m.CAFile)
				if err != nil {
					return nil, pluginsdk.Diagnostic("smtp.ca_file", "No certificates", err.Error())
				}
				base.Roots = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
			}
			in.sender, in.patience = smtp.New(base), 12*m.Timeout
		}
		in.mux = in.routes()
		return in, nil
	})
}

// certificates reads a file of certificates to trust.
func certificates(file string) (*x509.CertPool, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s has no certificate in PEM", file)
	}
	return pool, nil
}

// Send implements pluginsdk.Mailer. No error means that the message is durable, and that its end will be reported.
func (in *instance) Send(ctx context.Context, m pluginsdk.Message) (pluginsdk.SendResponse, error) {
	if m.IdempotencyKey == "" || m.To.Address == "" || m.From.Address == "" {
		return pluginsdk.SendResponse{}, pluginsdk.Permanent(errors.New("a message needs an idempotency key, a sender and a recipient"))
	}
	if strings.ContainsAny(m.To.Address+m.From.Address, "\r\n<> ") {
		return pluginsdk.SendResponse{}, pluginsdk.Rejected("invalid_address", "an address holds what no address can")
	}
	mime, err := compose(m, in.outbox.time())
	if err != nil {
		return pluginsdk.SendResponse{}, pluginsdk.Permanent(err)
	}
	// Of the streams only bulk and operational mail may be anything but auth mail; a purpose nobody knows is auth mail, too.
	if m.Category != pluginsdk.OtherMail {
		if found := in.guard.Check(mime); len(found) > 0 {
			in.log.Error("a message that would track its reader is not sent", "purpose", m.Purpose, "findings", len(found), "first", found[0].String())
			return pluginsdk.SendResponse{}, pluginsdk.Rejected(TrackingCode, "The message would track its reader: "+found[0].String(), findings(found)...)
		}
	}
	sealed, err := in.seal(ctx, mime)
	if err != nil {
		return pluginsdk.SendResponse{}, pluginsdk.Retryable(err)
	}
	row := message{
		ID: m.IdempotencyKey, Purpose: m.Purpose, Stream: m.Stream, From: m.From.Address, To: m.To.Address, Subject: m.Subject,
		OrganizationID: m.OrganizationID, Sealed: sealed, State: stateQueued, Deadline: m.Deadline,
	}
	if row.Stream == "" {
		row.Stream = "transactional"
	}
	if in.sender == nil {
		row.State = stateInbox
	}
	if err := in.outbox.put(ctx, row); err != nil {
		return pluginsdk.SendResponse{}, pluginsdk.Retryable(err)
	}
	if in.sender == nil {
		_, _ = in.host.Mail().Report(ctx, pluginsdk.MailReport{IdempotencyKey: m.IdempotencyKey, Event: pluginsdk.MailDelivered, OccurredAt: in.outbox.time()})
	}
	in.nudge()
	return pluginsdk.SendResponse{MessageID: m.IdempotencyKey}, nil
}

// UndeliverableCode says that the last message to an address came back because nobody has it.
const UndeliverableCode = "undeliverable"

// memory is how long a server's word that nobody has an address is believed.
const memory = 30 * 24 * time.Hour

// Check implements pluginsdk.MailChecker. An address is undeliverable when a server said lately that it isn't there (RFC 3463 §3.2), and took
// nothing for it since. Anything else may pass, so it is tried.
func (in *instance) Check(ctx context.Context, r pluginsdk.CheckRequest) (pluginsdk.CheckResponse, error) {
	last, err := in.outbox.last(ctx, r.Address, in.outbox.time().Add(-memory))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return pluginsdk.CheckResponse{Deliverable: true}, nil
	case err != nil:
		return pluginsdk.CheckResponse{}, pluginsdk.Retryable(err)
	}
	if last.State == stateFailed && noSuchMailbox.MatchString(last.Answer) {
		return pluginsdk.CheckResponse{Code: UndeliverableCode, Reason: last.Answer}, nil
	}
	return pluginsdk.CheckResponse{Deliverable: true}, nil
}

var noSuchMailbox = regexp.MustCompile(`\b5\.1\.(1|2|3|6|10)\b`)

func findings(fs []guard.Finding) (out []pluginsdk.Finding) {
	for _, f := range fs {
		at := f.Part
		if f.Line > 0 {
			at += ":" + strconv.Itoa(f.Line)
		}
		if f.Element != "" {
			at += " <" + f.Element + ">"
		}
		out = append(out, pluginsdk.Finding{Rule: f.Reason, Detail: f.Detail, Where: at})
	}
	return out
}

// sealPiece is what one call to the keyring takes.
const sealPiece = 60 << 10

// seal seals a message piece by piece: each piece is its length, in four bytes, and what the keyring made of it.
func (in *instance) seal(ctx context.Context, plain []byte) (out []byte, err error) {
	for len(plain) > 0 {
		n := min(len(plain), sealPiece)
		s, err := in.host.Seal().Seal(ctx, plain[:n], sealPurpose)
		if err != nil {
			return nil, err
		}
		out = append(out, byte(len(s)>>24), byte(len(s)>>16), byte(len(s)>>8), byte(len(s)))
		out = append(out, s...)
		plain = plain[n:]
	}
	return out, nil
}

func (in *instance) unseal(ctx context.Context, sealed []byte) (out []byte, err error) {
	for len(sealed) > 0 {
		if len(sealed) < 4 {
			return nil, pluginsdk.Permanent(errors.New("a sealed message is cut off"))
		}
		n := int(sealed[0])<<24 | int(sealed[1])<<16 | int(sealed[2])<<8 | int(sealed[3])
		if n < 0 || n > len(sealed)-4 {
			return nil, pluginsdk.Permanent(errors.New("a sealed message is cut off"))
		}
		plain, _, err := in.host.Seal().Open(ctx, sealed[4:4+n], sealPurpose)
		if err != nil {
			return nil, err
		}
		out, sealed = append(out, plain...), sealed[4+n:]
	}
	return out, nil
}

func (in *instance) nudge() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// Run implements pluginsdk.Runner: every node sends, and none sends what another has claimed.
func (in *instance) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	if in.sender != nil {
		for range in.settings.Concurrency {
			all.Go(func() { in.work(ctx) })
		}
	}
	for {
		if err := in.report(ctx); err != nil && ctx.Err() == nil {
			in.log.Warn("Sigra could not be told what became of messages", "error", err)
		}
		if !wait(ctx, 5*time.Second, nil) {
			return nil
		}
	}
}

// wait waits for a while, or until woken. It reports false when ctx has ended.
func wait(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
	case <-wake:
	}
	return true
}

func (in *instance) work(ctx context.Context) {
	for ctx.Err() == nil {
		m, found, err := in.outbox.claim(ctx, in.patience)
		if err != nil && ctx.Err() == nil {
			in.log.Error("the outbox can't be read", "error", err)
		}
		if err != nil || !found {
			if !wait(ctx, time.Second, in.wake) {
				return
			}
			continue
		}
		if m.State == stateSending {
			in.nudge() // there may be more
			m = in.attempt(ctx, m)
			// The end of an attempt is noted also while everything ends: what the server said is not to be lost.
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			err = in.outbox.finish(ending, m)
			cancel()
			if err != nil {
				in.log.Error("what became of a message could not be noted; it will count as uncertain", "message", m.ID, "state", m.State, "error", err)
			}
		}
		if m.State != stateQueued {
			in.log.Info("message done", "message", m.ID, "purpose", m.Purpose, "state", m.State, "attempts", m.Attempts)
			_ = in.report(ctx)
		}
	}
}

// attempt sends a message once and says what to note of it.
func (in *instance) attempt(ctx context.Context, m message) message {
	mime, err := in.unseal(ctx, m.Sealed)
	if err != nil {
		return in.later(m, "open the sealed message: "+err.Error(), pluginsdk.IsPermanent(err))
	}
	sending := ctx
	if !m.Deadline.IsZero() {
		var cancel context.CancelFunc
		sending, cancel = context.WithDeadline(ctx, m.Deadline)
		defer cancel()
	}
	r := in.sender.Send(sending, m.From, m.To, mime)
	switch r.Outcome {
	case smtp.Accepted:
		m.State, m.Answer = stateAccepted, r.Answer
		return m
	case smtp.Uncertain:
		m.State, m.Answer = stateUncertain, r.Answer
		return m
	}
	return in.later(m, r.Answer, r.Outcome == smtp.Permanent)
}

// later puts a message back for another attempt, unless there is none that could help.
func (in *instance) later(m message, answer string, never bool) message {
	m.Answer = answer
	if never {
		m.State = stateFailed
		return m
	}
	delay := min(in.settings.RetryFirst<<min(m.Attempts-1, 10), time.Hour)
	m.State, m.DueAt = stateQueued, in.outbox.time().Add(jitter(delay))
	if m.Deadline.IsZero() {
		if in.outbox.time().Sub(m.CreatedAt) > 3*24*time.Hour { // RFC 5321 §4.5.4.1: give up after four to five days; auth mail earlier
			m.State = stateFailed
		}
		return m
	}
	if !m.DueAt.Before(m.Deadline) {
		if wait := m.Deadline.Sub(in.outbox.time()); wait > 2*time.Second {
			m.DueAt = m.Deadline.Add(-wait / 2) // one more attempt in the time that is left
		} else {
			m.State = stateExpired
		}
	}
	return m
}

// report tells Sigra of messages that are done.
func (in *instance) report(ctx context.Context) error {
	done, err := in.outbox.unreported(ctx, 100)
	if err != nil {
		return err
	}
	for _, m := range done {
		r := pluginsdk.MailReport{IdempotencyKey: m.ID, Event: pluginsdk.MailDelivered, Reason: m.State, OccurredAt: m.UpdatedAt}
		switch m.State {
		case stateFailed:
			r.Event = pluginsdk.MailBounced
		case stateExpired, stateUncertain:
			r.Event = pluginsdk.MailFailed
		}
		if _, err := in.host.Mail().Report(ctx, r); err != nil {
			return err
		}
		if err := in.outbox.reported(ctx, m.ID); err != nil {
			return err
		}
	}
	return nil
}

// ServeHTTP implements pluginsdk.Routes.
func (in *instance) ServeHTTP(w http.ResponseWriter, r *http.Request) { in.mux.ServeHTTP(w, r) }

// Health implements pluginsdk.HealthReporter.
func (in *instance) Health(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
	defer cancel()
	facts := map[string]string{"adapter": "inbox"}
	if in.sender != nil {
		facts["adapter"] = "smtp"
	}
	counts, err := in.outbox.counts(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		facts["database"] = "busy"
		return facts, nil
	}
	if err != nil {
		return facts, fmt.Errorf("its database: %w", err)
	}
	for state, n := range counts {
		facts[state] = strconv.FormatInt(n, 10)
	}
	return facts, nil
}
