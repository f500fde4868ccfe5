package mail_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/lease"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

// post is a mailer that does what the test says and remembers what it was given.
type post struct {
	mu     sync.Mutex
	got    []mail.Message
	answer func(ctx context.Context, m mail.Message) error
}

func (p *post) Send(ctx context.Context, m mail.Message) error {
	p.mu.Lock()
	p.got = append(p.got, m)
	answer := p.answer
	p.mu.Unlock()
	if answer == nil {
		return nil
	}
	return answer(ctx, m)
}

func (p *post) count() int { p.mu.Lock(); defer p.mu.Unlock(); return len(p.got) }

type world struct {
	*mail.Queue
	t    *testing.T
	db   *store.DB
	post *post
	ring *keyring.Ring
	skew atomic.Int64
}

func (w *world) now() time.Time          { return time.Now().UTC().Add(time.Duration(w.skew.Load())) }
func (w *world) advance(d time.Duration) { w.skew.Add(int64(d)) }

func (w *world) node(name string, m mail.Mailer) *mail.Queue {
	w.t.Helper()
	leases, err := lease.New(w.db, name)
	if err != nil {
		w.t.Fatal(err)
	}
	q, err := mail.New(mail.Config{DB: w.db, Keys: w.ring, Leases: leases, Mailer: m, From: mail.Address{Address: "auth@example.test", Name: "Sigra"}, Now: w.now})
	if err != nil {
		w.t.Fatal(err)
	}
	return q
}

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Parallel()
	storetest.Each(t, []store.Source{keyring.Migrations, lease.Migrations, mail.Migrations}, func(t *testing.T, db *store.DB) {
		ring, err := keyring.Open(t.Context(), keyring.Config{DB: db, Root: keyring.NewRoot()})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, db: db, post: &post{}, ring: ring}
		w.Queue = w.node("one", w.post)
		f(t, w)
	})
}

func letter() mail.Message {
	return mail.Message{Purpose: "confirm_email", To: mail.Address{Address: "ada@example.org"}, Subject: "Hello", Text: "the secret code 424242"}
}

func (w *world) send(m mail.Message) uuid.UUID {
	w.t.Helper()
	id, err := w.Send(w.t.Context(), m)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) dispatch() int {
	w.t.Helper()
	n, err := w.Dispatch(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) state(id uuid.UUID) (state string, payload bool, attempts int) {
	w.t.Helper()
	var sealed []byte
	if err := w.db.QueryRow(w.t.Context(), `SELECT state, payload, attempts FROM mail_queue WHERE id = $1`, id).Scan(&state, &sealed, &attempts); err != nil {
		w.t.Fatal(err)
	}
	return state, len(sealed) > 0, attempts
}

func TestQueue_sendsOnceAndErases(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := w.send(letter())
		var sealed []byte
		if err := w.db.QueryRow(t.Context(), `SELECT payload FROM mail_queue WHERE id = $1`, id).Scan(&sealed); err != nil || strings.Contains(string(sealed), "424242") {
			t.Fatalf("%q, %v", sealed, err)
		}
		if w.dispatch() != 1 || w.dispatch() != 0 {
			t.Fatal("one message is tried once")
		}
		m := w.post.got[0]
		if len(w.post.got) != 1 || m.ID != id || m.From.Address != "auth@example.test" || m.Text != letter().Text || m.PossibleDuplicate || m.Deadline.IsZero() {
			t.Fatalf("%+v", w.post.got)
		}
		if state, payload, _ := w.state(id); state != "sent" || payload {
			t.Fatalf("%s, payload kept: %v", state, payload)
		}
		w.advance(8 * 24 * time.Hour)
		if n, err := w.Purge(t.Context()); n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	})
}

func TestQueue_rollsBackWithItsTransaction(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		no := errors.New("no")
		if err := w.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			if _, err := w.Enqueue(ctx, tx, letter()); err != nil {
				return err
			}
			return no
		}); !errors.Is(err, no) {
			t.Fatal(err)
		}
		if w.dispatch() != 0 || w.post.count() != 0 {
			t.Fatal("mail of what never happened was sent")
		}
	})
}

func TestQueue_sameIDIsOneMessage(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		m := letter()
		m.ID = uuid.New()
		w.send(m)
		w.send(m)
		w.dispatch()
		w.send(m)
		w.dispatch()
		if w.post.count() != 1 {
			t.Fatalf("sent %d times", w.post.count())
		}
	})
}

func TestOutcomes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, c := range []struct {
			name      string
			err       error
			state     string // after all attempts
			sends     int
			duplicate bool // the second time on
		}{
			{"refused for good", fault.New(fault.Invalid, "no_such_mailbox", "No."), "failed", 1, false},
			{"denied", fault.New(fault.Denied, "blocked", "No."), "failed", 1, false},
			{"down all day", fault.New(fault.Unavailable, "down", "Later."), "expired", -1, false},
			{"throttled for longer than there is time", fault.New(fault.RateLimited, "slow", "Later.").After(48 * time.Hour), "expired", 1, false},
			{"nobody knows", errors.New("connection reset after the body"), "uncertain", 3, true},
		} {
			w.post.mu.Lock()
			w.post.got, w.post.answer = nil, func(context.Context, mail.Message) error { return c.err }
			w.post.mu.Unlock()
			id := w.send(letter())
			state, payload := "queued", true
			for range 200 {
				w.dispatch()
				if state, payload, _ = w.state(id); state != "queued" {
					break
				}
				w.advance(15*time.Minute + time.Second)
			}
			if state != c.state || payload || c.sends >= 0 && w.post.count() != c.sends || c.sends < 0 && w.post.count() < 10 {
				t.Errorf("%s: %s after %d sends, payload kept: %v", c.name, state, w.post.count(), payload)
			}
			for i, m := range w.post.got {
				if m.PossibleDuplicate != (c.duplicate && i > 0) {
					t.Errorf("%s: send %d marked %v", c.name, i+1, m.PossibleDuplicate)
				}
			}
		}
		if st, err := w.Status(t.Context()); err != nil || st.Failed != 2 || st.Expired != 2 || st.Uncertain != 1 || st.Queued != 0 || !st.Oldest.IsZero() {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

func TestDeadline(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		m := letter()
		m.Deadline = w.now().Add(time.Minute)
		id := w.send(m)
		w.advance(2 * time.Minute)
		w.dispatch()
		if state, _, _ := w.state(id); state != "expired" || w.post.count() != 0 {
			t.Fatalf("%s, sent %d times", state, w.post.count())
		}
	})
}

// The process is killed between the hand-over and the note of it: the row stays "sending". Another node finds it, and
// sends it again, marked.
func TestKilledWhileSending(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := w.send(letter())
		if err := w.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE mail_queue SET state = 'sending', attempts = 1, next_at = $2 WHERE id = $1`, id, w.now().Add(40*time.Second).Truncate(time.Microsecond))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if w.dispatch() != 0 {
			t.Fatal("taken from a sender that may be alive")
		}
		w.advance(time.Minute)
		if w.dispatch() != 1 || w.post.count() != 1 || !w.post.got[0].PossibleDuplicate {
			t.Fatalf("%+v", w.post.got)
		}
	})
}

func TestSealedWithALostKey(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := w.send(letter())
		if err := w.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE mail_queue SET payload = $2 WHERE id = $1`, id, []byte("rubbish"))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		ok := w.send(letter())
		w.dispatch()
		if state, _, _ := w.state(id); state != "failed" {
			t.Fatal(state)
		}
		if state, _, _ := w.state(ok); state != "sent" {
			t.Fatalf("one that can't be read held up another: %s", state)
		}
	})
}

func TestSetMailer(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		plugin := &post{}
		w.SetMailer(plugin)
		w.send(letter())
		w.dispatch()
		w.SetMailer(nil)
		w.send(letter())
		w.dispatch()
		if plugin.count() != 1 || w.post.count() != 1 {
			t.Fatalf("plugin %d, built in %d", plugin.count(), w.post.count())
		}
	})
}

// Three nodes with a full queue: every message goes out once.
func TestRun_threeNodes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const n = 100
		ids := map[uuid.UUID]bool{}
		for range n {
			ids[w.send(letter())] = true
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for _, name := range []string{"a", "b", "c"} {
			q := w.node(name, w.post)
			wg.Go(func() {
				if err := q.Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		for deadline := time.Now().Add(30 * time.Second); w.post.count() < n && time.Now().Before(deadline); {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
		wg.Wait()
		for _, m := range w.post.got {
			delete(ids, m.ID)
		}
		if w.post.count() != n || len(ids) != 0 {
			t.Fatalf("%d sent, %d never", w.post.count(), len(ids))
		}
		if st, err := w.Status(context.Background()); err != nil || st.Sent != n {
			t.Fatalf("%+v, %v", st, err)
		}
	})
}

// A message that the server takes its time with does not hold up the others.
func TestRun_slowMessage(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		slow := letter()
		slow.Purpose = "slow"
		var quick atomic.Int64
		done, release := make(chan struct{}), make(chan struct{})
		w.post.answer = func(_ context.Context, m mail.Message) error {
			switch {
			case m.Purpose == "slow":
				<-release
				return fault.New(fault.Unavailable, "slow", "Later.")
			case quick.Add(1) == 20:
				close(done)
			}
			return nil
		}
		w.send(slow)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = w.Run(ctx) })
		for range 20 {
			w.send(letter())
		}
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Errorf("%d of 20 got past a slow one", quick.Load())
		}
		if n, oldest, err := w.Waiting(t.Context()); err != nil || n < 1 || oldest.IsZero() {
			t.Errorf("%d wait since %v, %v", n, oldest, err)
		}
		close(release)
		cancel()
		wg.Wait()
		if st, err := w.Status(context.Background()); err != nil || st.Sent != 20 || st.Queued != 1 {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

func TestRun_endsWhileSending(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		in := make(chan struct{})
		w.post.answer = func(ctx context.Context, _ mail.Message) error { close(in); <-ctx.Done(); return ctx.Err() }
		id := w.send(letter())
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = w.Run(ctx) })
		<-in
		cancel()
		start := time.Now()
		wg.Wait()
		if d := time.Since(start); d > 10*time.Second {
			t.Fatalf("took %s to stop", d)
		}
		if state, _, _ := w.state(id); state != "queued" {
			t.Fatal(state)
		}
		w.post.mu.Lock()
		w.post.answer = nil
		w.post.mu.Unlock()
		w.advance(time.Minute)
		w.dispatch()
		if got := w.post.got; len(got) != 2 || !got[1].PossibleDuplicate {
			t.Fatalf("%+v", got)
		}
	})
}

func TestEnqueue_refusesWhatCouldInject(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for name, change := range map[string]func(m *mail.Message){
			"CRLF in the address": func(m *mail.Message) { m.To.Address = "ada@example.org\r\nBcc: eve@example.org" }, "two addresses": func(m *mail.Message) { m.To.Address = "ada@example.org,eve@example.org" },
			"angle brackets": func(m *mail.Message) { m.To.Address = "<ada@example.org>" }, "no at": func(m *mail.Message) { m.To.Address = "ada" }, "empty": func(m *mail.Message) { m.To.Address = "" },
			"newline in the name": func(m *mail.Message) { m.To.Name = "Ada\nBcc: eve@example.org" }, "newline in the subject": func(m *mail.Message) { m.Subject = "Hi\r\nBcc: eve@example.org" },
			"line separator": func(m *mail.Message) { m.Subject = "Hi\u2028there" }, "NUL in the subject": func(m *mail.Message) { m.Subject = "a\x00b" }, "long subject": func(m *mail.Message) { m.Subject = strings.Repeat("x", 999) },
			"bad UTF-8": func(m *mail.Message) { m.Subject = "\xff" }, "bad UTF-8 body": func(m *mail.Message) { m.HTML = "\xff" }, "no text": func(m *mail.Message) { m.Text = "" }, "huge": func(m *mail.Message) { m.Text = strings.Repeat("x", 1<<20+1) },
			"newline in the language": func(m *mail.Message) { m.Language = "de\r\nBcc: eve@example.org" },
			"newline in the sender":   func(m *mail.Message) { m.From.Address = "x@example.org\n" }, "no purpose": func(m *mail.Message) { m.Purpose = "" }, "escape in purpose": func(m *mail.Message) { m.Purpose = "a\x1b[31m" },
		} {
			m := letter()
			change(&m)
			if _, err := w.Send(t.Context(), m); err == nil || fault.KindOf(err) == fault.Internal {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// Try goes past the queue, to whatever sends at the moment.
func TestTry(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		if n, oldest, err := w.Waiting(t.Context()); err != nil || n != 0 || !oldest.IsZero() {
			t.Errorf("%d wait since %v, %v", n, oldest, err)
		}
		if answer, err := w.Try(t.Context(), letter()); err != nil || answer != "" || w.post.count() != 1 || w.post.got[0].ID == uuid.Nil || w.post.got[0].From.Address != "auth@example.test" {
			t.Errorf("%q, %v, %+v", answer, err, w.post.got)
		}
		w.SetMailer(deliverer{})
		if answer, err := w.Try(t.Context(), letter()); err != nil || answer != "queued as 42" {
			t.Errorf("%q, %v", answer, err)
		}
		bad := letter()
		bad.To.Address = "nobody"
		if _, err := w.Try(t.Context(), bad); fault.KindOf(err) != fault.Invalid {
			t.Error(err)
		}
		w.SetMailer(&mail.Nowhere{})
		if _, err := w.Try(t.Context(), letter()); fault.KindOf(err) != fault.Unavailable {
			t.Error(err)
		}
		if st, err := w.Status(t.Context()); err != nil || st != (mail.Status{}) {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

// deliverer is a mailer that says what it did.
type deliverer struct{}

func (deliverer) Send(context.Context, mail.Message) error              { return errors.New("Deliver is there") }
func (deliverer) Deliver(context.Context, mail.Message) (string, error) { return "queued as 42", nil }

func TestInbox(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		box, err := mail.NewInbox(w.db, w.now)
		if err != nil {
			t.Fatal(err)
		}
		var last mail.Message
		for range 205 {
			last = letter()
			last.ID = uuid.Must(uuid.NewV7())
			for range 2 { // the same one twice is one
				if err := box.Send(t.Context(), last); err != nil {
					t.Fatal(err)
				}
			}
		}
		got, err := box.List(t.Context(), "")
		if err != nil || len(got) != 200 || got[0].ID != last.ID {
			t.Fatalf("%d, %v", len(got), err)
		}
		if some, err := box.List(t.Context(), "bob@example.org"); err != nil || len(some) != 0 {
			t.Fatalf("%d, %v", len(some), err)
		}
		if one, err := box.Get(t.Context(), last.ID); err != nil || one.Text != last.Text || one.ReceivedAt.IsZero() {
			t.Fatalf("%+v, %v", one, err)
		}
		if _, err := box.Get(t.Context(), uuid.New()); fault.KindOf(err) != fault.NotFound {
			t.Fatal(err)
		}
		if err := box.Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, err := box.List(t.Context(), ""); err != nil || len(got) != 0 {
			t.Fatalf("%d, %v", len(got), err)
		}
	})
}

// A decoy leaves the same row, of the same size, goes through the same states in the same number of attempts, and reaches nobody.
func TestEnqueueDecoy(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		put := func(enqueue func(context.Context, *store.Tx, mail.Message) (uuid.UUID, error)) (id uuid.UUID) {
			t.Helper()
			if err := w.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
				m := letter()
				m.Deadline = w.now().Add(time.Hour).Truncate(time.Second)
				id, err = enqueue(ctx, tx, m)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return id
		}
		type row struct {
			purpose, state, why          string
			size, attempts, uncertain    int
			duplicate, waiting, deadline bool
			settled                      bool
		}
		read := func(id uuid.UUID) (r row) {
			t.Helper()
			if err := w.db.QueryRow(t.Context(), `SELECT purpose, state, last_error, COALESCE(length(payload), 0), attempts, uncertain, possible_duplicate,
				next_at >= created_at, deadline > created_at, settled_at IS NOT NULL FROM mail_queue WHERE id = $1`, id).
				Scan(&r.purpose, &r.state, &r.why, &r.size, &r.attempts, &r.uncertain, &r.duplicate, &r.waiting, &r.deadline, &r.settled); err != nil {
				t.Fatal(err)
			}
			return r
		}
		real, decoy := put(w.Enqueue), put(w.EnqueueDecoy)
		if a, b := read(real), read(decoy); a != b || a.size == 0 {
			t.Errorf("queued:\n%+v\n%+v", a, b)
		}
		if n := w.dispatch(); n != 2 {
			t.Errorf("%d tried", n)
		}
		a, b := read(real), read(decoy)
		if b.state != "withheld" {
			t.Errorf("the decoy is %s", b.state)
		}
		if b.state = a.state; a != b || a.size != 0 || !a.settled {
			t.Errorf("settled:\n%+v\n%+v", a, b)
		}
		if w.post.count() != 1 || w.post.got[0].ID != real {
			t.Errorf("the mailer got %+v", w.post.got)
		}
		if st, err := w.Status(t.Context()); err != nil || st.Sent != 1 || st.Withheld != 1 || st.Queued != 0 {
			t.Errorf("%+v, %v", st, err)
		}
		bad := letter()
		bad.To.Address = "nobody"
		if err := w.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := w.EnqueueDecoy(ctx, tx, bad)
			return err
		}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a decoy takes what a message does not: %v", err)
		}
		w.advance(8 * 24 * time.Hour)
		if n, err := w.Purge(t.Context()); n != 2 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// A decoy whose sender was killed is taken up again like any message.
func TestEnqueueDecoy_killed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var id uuid.UUID
		if err := w.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
			if id, err = w.EnqueueDecoy(ctx, tx, letter()); err != nil {
				return err
			}
			_, err = tx.Exec(ctx, `UPDATE mail_queue SET state = 'sending', attempts = 1, next_at = $2 WHERE id = $1`, id, w.now().Add(-time.Second).Truncate(time.Microsecond))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		w.dispatch()
		if state, payload, _ := w.state(id); state != "withheld" || payload || w.post.count() != 0 {
			t.Fatalf("%s, payload kept: %v, sent %d", state, payload, w.post.count())
		}
	})
}

// Messages that wait while the table is made anew are still there, and still go out.
func TestMigration_keepsWhatWaits(t *testing.T) {
	t.Parallel()
	old := fstest.MapFS{}
	b, err := fs.ReadFile(mail.Migrations, "migrations/2026112380_mail.sql")
	if err != nil {
		t.Fatal(err)
	}
	old["migrations/2026112380_mail.sql"] = &fstest.MapFile{Data: b}
	storetest.Each(t, []store.Source{keyring.Migrations, lease.Migrations, old}, func(t *testing.T, db *store.DB) {
		ring, err := keyring.Open(t.Context(), keyring.Config{DB: db, Root: keyring.NewRoot()})
		if err != nil {
			t.Fatal(err)
		}
		id, at := uuid.New(), time.Now().UTC().Truncate(time.Microsecond)
		if err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO mail_queue (id, purpose, state, payload, attempts, next_at, deadline, created_at) VALUES ($1, 'x', 'queued', $2, 3, $3, $4, $3)`,
				id, ring.Seal([]byte(`{"purpose":"x","to":{"address":"ada@example.org"},"text":"hello"}`), mail.Sealed.Purpose(id)), at, at.Add(time.Hour))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Migrate(t.Context(), keyring.Migrations, lease.Migrations, mail.Migrations); err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, db: db, post: &post{}, ring: ring}
		w.Queue = w.node("one", w.post)
		w.dispatch()
		if state, _, attempts := w.state(id); state != "sent" || attempts != 4 || w.post.got[0].Text != "hello" {
			t.Errorf("%s after %d attempts, %+v", state, attempts, w.post.got)
		}
	})
}

// owner is a mailer that owns what it accepts.
type owner struct {
	*post
	name string
}

func (o owner) Owns() string { return o.name }

// What a mailer owns stays until it reports. It comes back when another mailer sends meanwhile, and is given up when no report comes.
func TestQueue_owned(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		state := func(id uuid.UUID) (state, why string, payload bool) {
			t.Helper()
			var p []byte
			if err := w.db.QueryRow(t.Context(), `SELECT state, last_error, payload FROM mail_queue WHERE id = $1`, id).Scan(&state, &why, &p); err != nil {
				t.Fatal(err)
			}
			return state, why, p != nil
		}
		wants := func(id uuid.UUID, want, because string, kept bool) {
			t.Helper()
			if s, why, payload := state(id); s != want || why != because || payload != kept {
				t.Errorf("%s %q, kept %v; want %s %q, kept %v", s, why, payload, want, because, kept)
			}
		}
		report := func(mailer string, id uuid.UUID, e mail.ReportEvent, want bool) {
			t.Helper()
			if known, err := w.Report(t.Context(), mail.Report{Mailer: mailer, ID: id, Event: e}); err != nil || known != want {
				t.Errorf("%v %v", known, err)
			}
		}
		glass := owner{&post{}, "glass"}
		w.SetMailer(glass)
		accept := func() uuid.UUID {
			t.Helper()
			id := w.send(letter())
			w.dispatch()
			wants(id, "accepted", "", true)
			return id
		}
		id := accept()
		report("thief", id, mail.Delivered, false)
		report("glass", uuid.New(), mail.Delivered, false)
		wants(id, "accepted", "", true)
		w.dispatch() // nothing is due
		if n := glass.count(); n != 1 {
			t.Errorf("%d times", n)
		}
		report("glass", id, mail.Delivered, true)
		wants(id, "sent", "", false)
		report("glass", id, mail.Bounced, true) // it came back later
		wants(id, "failed", "bounced", false)
		report("glass", id, mail.Delivered, true) // and that it was delivered is no news
		wants(id, "failed", "bounced", false)

		// A report may come before the message is noted as accepted.
		var early uuid.UUID
		glass.answer = func(ctx context.Context, m mail.Message) error {
			known, err := w.Report(ctx, mail.Report{Mailer: "glass", ID: m.ID, Event: mail.Delivered})
			if !known {
				t.Error("not known while it is handed over")
			}
			return err
		}
		early = w.send(letter())
		w.dispatch()
		wants(early, "sent", "", false)
		glass.answer = nil

		// Another mailer takes over what is not reported, marked.
		id = accept()
		w.SetMailer(nil)
		before := w.post.count()
		w.dispatch()
		wants(id, "sent", "", false)
		if n := w.post.count(); n != before+1 || !w.post.got[n-1].PossibleDuplicate || w.post.got[n-1].ID != id {
			t.Errorf("%d, %+v", n, w.post.got)
		}
		report("glass", id, mail.Delivered, false) // it is not its any more

		// No report comes.
		w.SetMailer(glass)
		id = accept()
		w.advance(mail.DefaultTTL + time.Second)
		w.dispatch()
		wants(id, "accepted", "", true) // it may be on its way
		w.advance(time.Minute)
		w.dispatch()
		wants(id, "uncertain", "the mailer never reported what became of it", false)
		if st, err := w.Status(t.Context()); err != nil || st.Accepted != 0 || st.Uncertain != 1 {
			t.Errorf("%+v %v", st, err)
		}
	})
}

// Before, thousands of mails of a plugin were all sent before the confirmation that somebody waited for.
func TestQueue_pluginsWaitForSigra(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		held := make(chan struct{})
		arrived := make(chan struct{})
		w.post.answer = func(_ context.Context, m mail.Message) error {
			if m.Category == mail.Other {
				<-held // the server is busy with them
			} else {
				close(arrived)
			}
			return nil
		}
		for range 100 {
			m := letter()
			m.Purpose, m.Category = "greeter.news", mail.Other
			w.send(m)
		}
		var running sync.WaitGroup
		running.Go(func() { _ = w.Run(ctx) })
		defer running.Wait()
		defer cancel()
		for deadline := time.Now().Add(10 * time.Second); w.post.count() == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("nothing is sent")
			}
		}
		w.send(letter())
		select {
		case <-arrived:
		case <-time.After(10 * time.Second):
			t.Errorf("the confirmation waits behind %d mails of a plugin", w.post.count())
		}
		if n := w.post.count(); n > 4 {
			t.Errorf("%d mails were begun", n)
		}
		close(held)
		for deadline := time.Now().Add(10 * time.Second); w.post.count() < 101; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d of 101 sent", w.post.count())
			}
		}
	})
}
