package passkey_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest/virtual"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/web/browsertest"
)

// scene is what one test in the browser has: a tab of its own with an account of its own.
type scene struct {
	*site
	*tab
	name string
	who  passkey.User
}

// register opens the account's page and makes a passkey there.
func (s *scene) register() {
	s.tab.t.Helper()
	before := s.count()
	s.do("open the passkeys", open(origin+"/keys/"+s.name), arrive("Passkeys"))
	s.do("make one", click("#register"), until(fmt.Sprintf(`document.querySelectorAll("li").length === %d`, before+1)))
}

func (s *scene) keys() []passkey.Passkey {
	s.tab.t.Helper()
	all, err := s.List(s.tab.ctx, s.db, s.who.ID)
	if err != nil {
		s.tab.t.Fatal(err)
	}
	return all
}

func (s *scene) count() int { s.tab.t.Helper(); return len(s.keys()) }

// dialog opens the sign-in and presses its button.
func (s *scene) dialog() {
	s.tab.t.Helper()
	s.do("sign in", open(origin+"/dialog"), arrive("Sign in by passkey"), click("#login"))
}

func (s *scene) second() {
	s.tab.t.Helper()
	s.do("second factor", open(origin+"/second/"+s.name), arrive("Second factor"), click("#second"))
}

// signedIn waits for the session, and wants it to be the account's.
func (s *scene) signedIn(how string) {
	s.tab.t.Helper()
	s.do("arrive", arrive("Signed in"))
	if text := s.text(); !strings.Contains(text, "\n"+s.name+"\n") || !strings.Contains(text, how) {
		s.tab.t.Fatalf("want %s, %s:\n%s", s.name, how, text)
	}
}

// refused waits for the refusal, in the words for everybody, and wants its private reason.
func (s *scene) refused(want passkey.Reason) {
	s.tab.t.Helper()
	s.do("be refused", alert(passkey.ErrRefused.Message))
	if got := s.refusal(); got != want {
		s.tab.t.Errorf("refused for %q, want %q", got, want)
	}
}

func TestBrowser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var rules []string
	for _, host := range []string{"*.example.org", "example.org", "example.com", "evil.example"} {
		rules = append(rules, "MAP "+host+" "+s.address())
	}
	browser := browsertest.Chromium(t, chromedp.Flag("host-resolver-rules", strings.Join(append(rules, "MAP * ~NOTFOUND"), ", ")), chromedp.Flag("ignore-certificate-errors", true))
	for i, c := range []struct {
		name string
		play func(t *testing.T, s *scene)
	}{
		{"register, named", func(t *testing.T, s *scene) {
			v := s.plug(virtual.Laptop)
			s.do("register", open(origin+"/keys/"+s.name), arrive("Passkeys"), typed("input[name=name]", "My laptop"), click("#register"), until(`document.querySelector("li")?.textContent === "My laptop"`))
			k := s.keys()[0]
			if !k.Discoverable || !k.VerificationTrusted || !k.BackupEligible || !k.BackedUp || !slices.Equal(k.Transports, []string{"internal"}) || k.Attachment != "platform" {
				t.Errorf("%+v", k)
			}
			if c := v.Keeps()[0]; !c.IsResidentCredential || c.RpID != rpID || c.UserName != s.who.Name || len(c.UserHandle) != 64 {
				t.Errorf("the device keeps %+v", c)
			}
		}},
		{"without a name", func(t *testing.T, s *scene) {
			s.plug(virtual.Laptop)
			s.register()
			s.dialog()
			s.signedIn("login, verified true, two factors true")
		}},
		{"with the keyboard", func(t *testing.T, s *scene) {
			s.plug(virtual.Laptop)
			s.register()
			s.do("press", open(origin+"/dialog"), arrive("Sign in by passkey"), until(`!document.querySelector("form").hidden`), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
			s.signedIn("two factors true")
		}},
		{"autofill", func(t *testing.T, s *scene) {
			s.plug(virtual.Laptop)
			s.register()
			s.do("open", open(origin+"/login"))
			s.signedIn(`two factors true, remember "on"`)
		}},
		{"autofill gives way to a dialog, and goes on after it", func(t *testing.T, s *scene) {
			v := s.plug(virtual.Laptop)
			s.register()
			s.do("stand in", virtual.BeforePages(virtual.WaitsForChoice))
			v.Recognize(false)
			asked := s.called("/options/login")
			s.do("open", open(origin+"/login"), arrive("Sign in"), s.waits("/options/login", asked+1))
			s.do("press", click("#login"), alert("Nothing came of it."), s.waits("/options/login", asked+3), until(`!document.querySelector("#login").disabled`))
			v.Recognize(true)
			s.do("press again", click("#login"))
			s.signedIn(`two factors true, remember ""`)
		}},
		{"second factor, a key that keeps nothing", func(t *testing.T, s *scene) {
			s.plug(virtual.USBKey)
			s.register()
			if k := s.keys()[0]; k.Discoverable || k.VerificationTrusted || k.BackupEligible || k.Name != "Security key" {
				t.Errorf("%+v", k)
			}
			s.second()
			s.signedIn("second_factor, verified false, two factors false")
		}},
		{"not resident: no sign-in without a name", func(t *testing.T, s *scene) {
			s.plug(virtual.USBKey)
			s.register()
			s.dialog()
			s.do("nothing", alert("Cancelled"))
		}},
		{"step-up", func(t *testing.T, s *scene) {
			s.plug(virtual.Laptop)
			s.register()
			s.do("step up", open(origin+"/stepup/"+s.name), click("#stepup"))
			s.signedIn("step_up, verified true, two factors true")
		}},
		{"cancelled, and again", func(t *testing.T, s *scene) {
			v := s.plug(virtual.Laptop)
			s.register()
			v.Recognize(false)
			s.dialog()
			s.do("see it", alert("Cancelled"))
			v.Recognize(true)
			s.do("again", until(`!document.querySelector("#login").disabled`), click("#login"))
			s.signedIn("two factors true")
		}},
		{"registration cancelled", func(t *testing.T, s *scene) {
			v := s.plug(virtual.Laptop)
			s.configure(func(set *passkey.Settings) { set.RequireUV = true })
			defer s.configure(func(*passkey.Settings) {})
			v.Recognize(false)
			s.do("register", open(origin+"/keys/"+s.name), click("#register"), alert("Cancelled"))
			if s.count() != 0 || len(v.Keeps()) != 0 {
				t.Error("something was made")
			}
		}},
		{"excluded", func(t *testing.T, s *scene) {
			v := s.plug(virtual.Laptop)
			s.register()
			s.do("again", click("#register"), alert("has a passkey for your account already"))
			if s.count() != 1 || len(v.Keeps()) != 1 {
				t.Errorf("%d, the device has %d", s.count(), len(v.Keeps()))
			}
		}},
		{"verification required, and not to be had", func(t *testing.T, s *scene) {
			s.plug(virtual.USBKey)
			s.register()
			s.configure(func(set *passkey.Settings) { set.RequireUV = true })
			s.second()
			s.do("nothing", alert("Cancelled"))
			s.configure(func(*passkey.Settings) {})
			s.second()
			s.signedIn("second_factor, verified false")
		}},
		{"U2F", func(t *testing.T, s *scene) {
			s.plug(virtual.U2F())
			s.register()
			s.second()
			s.signedIn("second_factor, verified false, two factors false")
		}},
		{"several devices of one account", func(t *testing.T, s *scene) {
			first := s.plug(virtual.Laptop)
			s.register()
			kept := *first.Keeps()[0]
			first.Unplug()
			second := s.plug(virtual.USBKey)
			s.register()
			s.second()
			s.signedIn("second_factor, verified false")
			second.Unplug()
			s.plug(virtual.Laptop).Learn(kept)
			s.second()
			s.signedIn("second_factor, verified true")
			if all := s.keys(); len(all) != 2 || all[0].LastUsedAt.IsZero() || all[1].LastUsedAt.IsZero() {
				t.Errorf("%+v", all)
			}
		}},
		{"several accounts on one device", func(t *testing.T, s *scene) {
			s.plug(virtual.Laptop)
			s.register()
			other := &scene{site: s.site, tab: s.tab, name: s.name + "too", who: s.member(s.name + "too")}
			other.register()
			other.second()
			other.signedIn("second_factor")
			s.second()
			s.signedIn("second_factor")
		}},
		{"the counter falls", func(t *testing.T, s *scene) {
			v := s.plug(virtual.USBKey)
			s.register()
			copied := *v.Keeps()[0]
			for range 2 {
				s.second()
				s.signedIn("second_factor")
			}
			v.Forget(&copied)
			v.Learn(copied)
			s.second()
			s.signedIn("second_factor")
			s.site.mu.Lock()
			used := s.used
			s.site.mu.Unlock()
			if !used.Regressed || used.Presented >= used.Stored+1 {
				t.Errorf("%+v", used)
			}
		}},
		{"the counter falls, and that is blocked", func(t *testing.T, s *scene) {
			s.configure(func(set *passkey.Settings) { set.BlockOnRegression = true })
			defer s.configure(func(*passkey.Settings) {})
			v := s.plug(virtual.USBKey)
			s.register()
			copied := *v.Keeps()[0]
			s.second()
			s.signedIn("second_factor")
			v.Forget(&copied)
			v.Learn(copied)
			s.second()
			s.refused(passkey.ReasonSignCount)
		}},
		{"deleted on the server", func(t *testing.T, s *scene) {
			v := s.plug(virtual.Laptop)
			s.register()
			s.delete(s.keys()[0].ID)
			s.dialog()
			s.refused(passkey.ReasonCredentialUnknown)
			if n := len(v.Keeps()); n != 0 {
				t.Errorf("the device was not told: it keeps %d", n)
			}
		}},
		{"deleted on the device", func(t *testing.T, s *scene) {
			v := s.plug(virtual.Laptop)
			s.register()
			v.Forget(v.Keeps()[0])
			s.dialog()
			s.do("nothing", alert("Cancelled"))
			if s.count() != 1 {
				t.Error("the server forgot it as well")
			}
		}},
		{"signals on the account's page", func(t *testing.T, s *scene) {
			v := s.plug(virtual.Laptop)
			s.register()
			s.site.mu.Lock()
			s.people[s.name] = passkey.User{ID: s.who.ID, Name: "new@example.org", DisplayName: "New Name"}
			s.site.mu.Unlock()
			s.do("look", open(origin+"/keys/"+s.name), arrive("Passkeys"))
			s.eventually(func() bool {
				c := v.Keeps()[0]
				return c.UserName == "new@example.org" && c.UserDisplayName == "New Name"
			})
			s.delete(s.keys()[0].ID)
			s.do("look again", open(origin+"/keys/"+s.name), arrive("Passkeys"))
			s.eventually(func() bool { return len(v.Keeps()) == 0 })
		}},
		// The authenticator says what a password manager would: nobody touched it, nobody was verified.
		{"made by the browser itself", func(t *testing.T, s *scene) {
			v := s.plug(virtual.Laptop)
			v.Spoil(false, true, true)
			s.do("stand in", virtual.BeforePages(virtual.MakesPasskeys))
			s.do("arrive after a password", open(origin+"/upgrade/"+s.name), arrive("Welcome"))
			s.eventually(func() bool { return s.count() == 1 })
			if k := s.keys()[0]; !k.Discoverable || k.VerificationTrusted || len(v.Keeps()) != 1 {
				t.Errorf("%+v", k)
			}
			v.Spoil(false, false, false)
			s.dialog()
			s.signedIn("login, verified true, two factors false")
		}},
		{"the browser makes none by itself", func(t *testing.T, s *scene) {
			s.plug(virtual.Laptop)
			s.do("arrive after a password", open(origin+"/upgrade/"+s.name), arrive("Welcome"), s.waits("/options/upgrade/"+s.name, 1))
			s.register() // another page; this one's question is gone
		}},
		{"a signature of nothing", func(t *testing.T, s *scene) {
			v := s.plug(virtual.Laptop)
			s.register()
			v.Spoil(true, false, false)
			s.dialog()
			s.refused(passkey.ReasonSignature)
		}},
		{"verification not done", func(t *testing.T, s *scene) {
			v := s.plug(virtual.Laptop)
			s.register()
			v.Spoil(false, true, false)
			s.dialog()
			s.refused(passkey.ReasonUserVerification)
		}},
		{"nobody there", func(t *testing.T, s *scene) {
			v := s.plug(virtual.Laptop)
			s.register()
			v.Spoil(false, false, true)
			s.dialog()
			s.refused(passkey.ReasonUserPresence)
		}},
		{"another site", func(t *testing.T, s *scene) {
			s.plug(virtual.Laptop)
			s.register()
			s.do("sign in elsewhere", open("https://evil.example/dialog"), click("#login"), alert("at its own address"))
		}},
		{"a sibling site", func(t *testing.T, s *scene) {
			s.plug(virtual.Laptop)
			s.register()
			s.do("sign in elsewhere", open("https://www.example.org/dialog"), click("#login"))
			s.refused(passkey.ReasonOrigin)
		}},
		{"a related site", func(t *testing.T, s *scene) {
			s.plug(virtual.Laptop)
			s.register()
			s.do("sign in there", open(related+"/dialog"), click("#login"))
			s.signedIn("two factors true")
		}},
		{"no WebAuthn", func(t *testing.T, s *scene) {
			s.do("take it away", virtual.BeforePages(virtual.NoWebAuthn), open(origin+"/login"), arrive("Sign in"))
			if !evaluate[bool](s.tab, `document.querySelector("#login").form.hidden && !document.querySelector("#classic").hidden`) {
				t.Error("a button that does nothing is shown")
			}
			s.do("sign in classically", click("#go"), until(`location.pathname === "/in"`))
		}},
		{"a browser of 2022", func(t *testing.T, s *scene) {
			s.do("take it away", virtual.BeforePages(virtual.Of2022))
			s.plug(virtual.Laptop)
			s.register()
			s.do("excluded", click("#register"), alert("has a passkey for your account already"))
			s.dialog()
			s.signedIn("two factors true")
			s.second()
			s.signedIn("second_factor")
			if k := s.keys()[0]; !k.Discoverable || !slices.Equal(k.Transports, []string{"internal"}) {
				t.Errorf("%+v", k)
			}
		}},
		{"the server fails", func(t *testing.T, s *scene) {
			s.plug(virtual.Laptop)
			s.register()
			for _, path := range []string{"/options/second/" + s.name, "/finish/second/" + s.name} {
				s.breaks(path, true)
				s.second()
				s.do("see it", alert("Something went wrong on our side"))
				s.breaks(path, false)
				s.do("again", until(`!document.querySelector("#second").disabled`), click("#second"))
				s.signedIn("second_factor")
			}
		}},
		{"none to use", func(t *testing.T, s *scene) {
			s.plug(virtual.Laptop)
			s.second()
			s.do("see it", alert(passkey.ErrNone.Message))
		}},
		{"the wrong model", func(t *testing.T, s *scene) {
			s.configure(func(set *passkey.Settings) { set.AllowedAAGUIDs = []uuid.UUID{uuid.New()} })
			defer s.configure(func(*passkey.Settings) {})
			v := s.plug(virtual.Laptop)
			s.do("register", open(origin+"/keys/"+s.name), click("#register"), alert(passkey.ErrNotAllowed.Message))
			s.eventually(func() bool { return len(v.Keeps()) == 0 })
		}},
		{"too many", func(t *testing.T, s *scene) {
			s.configure(func(set *passkey.Settings) { set.MaxPerAccount = 1 })
			defer s.configure(func(*passkey.Settings) {})
			s.plug(virtual.Laptop)
			s.register()
			s.do("one more", click("#register"), alert("at most 1 passkeys"))
		}},
		{"too slow", func(t *testing.T, s *scene) {
			v := s.plug(virtual.Laptop)
			s.register()
			s.configure(func(set *passkey.Settings) { set.CeremonyTTL = 2 * time.Second })
			v.Touch(false)
			s.dialog()
			s.do("wait", alert("That took too long"))
			asked := s.called("/options/login")
			s.do("autofill asks anew before the server forgets", open(origin+"/login"), s.waits("/options/login", asked+2))
			s.configure(func(*passkey.Settings) {})
			v.Touch(true) // for the next one asked
			s.signedIn("two factors true")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := fmt.Sprintf("person%02d", i)
			c.play(t, &scene{site: s, tab: newTab(t, browser), name: name, who: s.member(name)})
		})
	}
}

func (s *scene) delete(id uuid.UUID) {
	s.tab.t.Helper()
	s.tx(func(ctx context.Context, tx *store.Tx) error { _, err := s.Delete(ctx, tx, s.who.ID, id); return err })
}

// eventually waits for something that no page tells.
func (s *scene) eventually(ok func() bool) {
	s.tab.t.Helper()
	deadline := time.NewTimer(patient)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			s.tab.t.Fatal("it never came about")
		}
	}
}

// waits until the server was asked so often.
func (s *scene) waits(path string, times int) step {
	return chromedp.Func(func(context.Context, *chromedp.Target) error {
		s.eventually(func() bool { return s.called(path) >= times })
		return nil
	})
}
