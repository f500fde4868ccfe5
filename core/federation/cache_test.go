package federation_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/federation/federationtest"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

const wellKnown = "/.well-known/openid-configuration"

// clocked makes a world whose directory has the world's clock, and a provider whose clock goes along.
func clocked(t *testing.T) (*world, *federationtest.Provider) {
	t.Helper()
	db := storetest.Open(t, store.SQLite, sources...)
	p := federationtest.New(t)
	w := newWorld(t, db, newRing(t, db), p.Directory(t))
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	d, err := federation.NewDirectory(federation.DirectoryConfig{BaseURL: federationtest.BaseURL, Providers: p.Configs("example"), Transport: transport, Now: w.now})
	if err != nil {
		t.Fatal(err)
	}
	w.Use(d)
	p.SetClock(w.now)
	return w, p
}

func mustSignIn(t *testing.T, w *world, p *federationtest.Provider) {
	t.Helper()
	if _, err := w.signIn(t, p, "example"); err != nil {
		t.Fatal(err)
	}
}

// The provider changes its keys between the redirect and the callback, and again and again.
func TestKeys_rotationUnderWay(t *testing.T) {
	t.Parallel()
	w, p := clocked(t)
	mustSignIn(t, w, p)
	for _, k := range []federationtest.Key{federationtest.ECKey("second"), federationtest.EdKey("third"), federationtest.OtherRSAKey("fourth")} {
		b := w.begin(t, "example")
		c := p.Approve(t, b)
		p.Rotate(k)
		if _, err := w.Finish(t.Context(), c); err != nil {
			t.Errorf("after a change to %s: %v", k.ID, err)
		}
	}
	if n := p.Hits("/keys"); n != 4 {
		t.Errorf("the keys were read %d times for four keys", n)
	}
	// What was signed with a key that is gone is worth nothing.
	p.Set(federationtest.Hooks{Sign: federationtest.RSAKey("rsa-1").Sign})
	_, err := w.signIn(t, p, "example")
	refused(t, err, "provider_answer_invalid", "id_token", "unknown_key")
}

// Tokens with made-up key ids don't make Sigra ask for ever.
func TestKeys_askedForAtMostSoOften(t *testing.T) {
	t.Parallel()
	w, p := clocked(t)
	mustSignIn(t, w, p)
	p.Set(federationtest.Hooks{Sign: federationtest.OtherRSAKey("made-up").Sign})
	for range 20 {
		_, err := w.signIn(t, p, "example")
		refused(t, err, "provider_answer_invalid", "id_token", "unknown_key")
	}
	if n := p.Hits("/keys"); n != 6 {
		t.Errorf("the keys were read %d times", n)
	}
	p.Set(federationtest.Hooks{})
	mustSignIn(t, w, p) // the known key does as before
	w.advance(time.Minute)
	p.Rotate(federationtest.ECKey("new"))
	mustSignIn(t, w, p)
	if n := p.Hits("/keys"); n != 7 {
		t.Errorf("the keys were read %d times", n)
	}
}

// A provider that goes down keeps nobody waiting twice, and what it said before counts for a day.
func TestDiscovery_cached(t *testing.T) {
	t.Parallel()
	w, p := clocked(t)
	hits := func(want int) {
		t.Helper()
		if n := p.Hits(wellKnown); n != want {
			t.Errorf("it was asked %d times, not %d", n, want)
		}
	}
	down := path(wellKnown, status(503))
	p.Set(down)
	for range 3 {
		_, err := w.Begin(t.Context(), federation.Request{Provider: "example", Purpose: federation.SignIn})
		refused(t, err, "provider_unavailable", "discovery", "status")
	}
	hits(1)
	w.advance(10 * time.Second)
	p.Set(federationtest.Hooks{})
	mustSignIn(t, w, p)
	mustSignIn(t, w, p)
	hits(2)
	w.advance(59 * time.Minute)
	mustSignIn(t, w, p)
	hits(2)
	w.advance(time.Minute)
	mustSignIn(t, w, p)
	hits(3)
	w.advance(time.Hour)
	p.Set(down)
	mustSignIn(t, w, p)
	mustSignIn(t, w, p)
	hits(4)
	w.advance(24 * time.Hour)
	_, err := w.Begin(t.Context(), federation.Request{Provider: "example", Purpose: federation.SignIn})
	refused(t, err, "provider_unavailable", "discovery", "status")
	// A document that has become wrong is not passed over for the old one.
	p.Set(federationtest.Hooks{})
	w.advance(time.Minute)
	mustSignIn(t, w, p)
	w.advance(time.Hour)
	p.Set(document("issuer", "https://evil.example"))
	_, err = w.Begin(t.Context(), federation.Request{Provider: "example", Purpose: federation.SignIn})
	refused(t, err, "provider_answer_invalid", "discovery", "issuer_mismatch")
}

// Keys are read anew every hour, so that a withdrawn one ends; when they can't be, they count for a day.
func TestKeys_cached(t *testing.T) {
	t.Parallel()
	w, p := clocked(t)
	old := federationtest.RSAKey("rsa-1")
	mustSignIn(t, w, p)
	p.Set(path("/keys", status(500)))
	w.advance(2 * time.Hour)
	mustSignIn(t, w, p)
	w.advance(23 * time.Hour)
	_, err := w.signIn(t, p, "example")
	refused(t, err, "provider_unavailable", "keys", "status")
	p.Set(federationtest.Hooks{})
	mustSignIn(t, w, p)
	p.Rotate(federationtest.ECKey("new"))
	p.Set(federationtest.Hooks{Sign: old.Sign})
	mustSignIn(t, w, p) // known for less than an hour
	w.advance(time.Hour)
	_, err = w.signIn(t, p, "example")
	refused(t, err, "provider_answer_invalid", "id_token", "unknown_key")
}

// A crowd asks for one document and one set of keys, and whoever gives up waiting spoils nothing.
func TestDiscovery_oneForACrowd(t *testing.T) {
	t.Parallel()
	w, p := clocked(t)
	arrived, let := make(chan struct{}), make(chan struct{})
	var once sync.Once
	p.Set(federationtest.Hooks{TakeOver: func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == wellKnown {
			once.Do(func() { close(arrived) })
			<-let
		}
		return false
	}})
	gone, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var in, left atomic.Int64
	for i := range 60 {
		wg.Go(func() {
			ctx := t.Context()
			if i%2 == 1 {
				ctx = gone
			}
			_, err := w.Begin(ctx, federation.Request{Provider: "example", Purpose: federation.SignIn})
			switch {
			case err == nil:
				in.Add(1)
			case i%2 == 1 && gone.Err() != nil:
				left.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	<-arrived
	leave()
	close(let)
	wg.Wait()
	if in.Load() < 30 || in.Load()+left.Load() != 60 {
		t.Errorf("%d began, %d left", in.Load(), left.Load())
	}
	if n := p.Hits(wellKnown); n > 2 { // the one who asked first may be one who left
		t.Errorf("it was asked %d times", n)
	}
}

// A provider that takes for ever is given up.
func TestSlow(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	ring := newRing(t, db)
	for at, stage := range map[string]string{wellKnown: "discovery", "/token": "token", "/keys": "keys", "/userinfo": "userinfo"} {
		for _, body := range []bool{false, true} { // before the answer, and in the middle of it
			t.Run(stage, func(t *testing.T) {
				t.Parallel()
				p := federationtest.New(t)
				transport := &http.Transport{}
				t.Cleanup(transport.CloseIdleConnections)
				d, err := federation.NewDirectory(federation.DirectoryConfig{BaseURL: federationtest.BaseURL, Providers: p.Configs("example"), Transport: transport, Timeout: 4 * time.Second})
				if err != nil {
					t.Fatal(err)
				}
				h := path(at, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body) // net/http notices a caller who left only after that
					if body {
						w.Header().Set("Content-Type", "application/json")
						_, _ = w.Write([]byte(`{"issuer":`))
						w.(http.Flusher).Flush()
					}
					<-r.Context().Done()
				})
				h.Claims = func(c map[string]any) { delete(c, "email") }
				p.Set(h)
				_, err = newWorld(t, db, ring, d).signIn(t, p, "example")
				refused(t, err, "provider_unavailable", stage, "timeout")
			})
		}
	}
}

// Whoever closes the browser under way is no failure of the provider.
func TestFinish_abandoned(t *testing.T) {
	t.Parallel()
	w, p := clocked(t)
	c := p.Approve(t, w.begin(t, "example"))
	ctx, cancel := context.WithCancel(t.Context())
	p.Set(path("/token", func(http.ResponseWriter, *http.Request) { cancel() }))
	if _, err := w.Finish(ctx, c); err == nil || ctx.Err() == nil {
		t.Fatalf("%v", err)
	} else if _, ok := federation.Explain(err); ok {
		t.Errorf("it is called the provider's failure: %v", err)
	}
}
