package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sigra-auth/sigra/core/store/storetest"
	"github.com/sigra-auth/sigra/core/web/browsertest"
)

// browserBlock has Threadline keep failed sign-ins too, and pages short enough to turn.
const browserBlock = `plugin "threadline" {
  events {
    include = ["auth.login.failure"]
  }
  config {
    page_size = 3
  }
}
`

// TestBrowser walks through Sigra as people do: in a real Chromium, against a real server process, with a satellite and without one.
// Each is on one of the databases; TestCore has all four.
func TestBrowser(t *testing.T) {
	t.Parallel()
	browser := browsertest.Chromium(t)
	for _, db := range storetest.Databases(t) {
		withThreadline := db.Name == "sqlite" && bundled()
		name := db.Name + " standalone"
		if withThreadline {
			name = db.Name + " with threadline"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &walk{t: t, browser: browser, pictures: db.Name == "sqlite", threadline: withThreadline, database: db.URL}
			w.start()
			w.signUpByCode()
			w.signUpByLink()
			w.signUpByLinkElsewhere()
			w.signInAgain()
			w.changePassword()
			w.administrator()
			if withThreadline {
				w.timeline()
				w.othersAreHidden()
				w.takenAwayAndPutBack()
			} else {
				w.noTimeline()
			}
		})
	}
}

// walk is one person's way through a Sigra of their own, and the people they meet.
type walk struct {
	t          *testing.T
	browser    context.Context
	in         *instance
	database   string
	threadline bool
	pictures   bool
	home       string // the address that the server printed
	ada, root  *tab
}

var printedAddress = regexp.MustCompile(`is up: (\S+)`)

func (w *walk) start() {
	w.t.Helper()
	s := setup{database: w.database}
	if w.threadline {
		s.plugins = browserBlock
	}
	w.in = newInstance(w.t, s)
	w.in.start()
	w.in.eventually(10*time.Second, "the address printed", func() error {
		m := printedAddress.FindStringSubmatch(w.in.log())
		if m == nil {
			return errNotYet
		}
		w.home = m[1]
		return nil
	})
}

// shot takes pictures in one of the variants: they look the same in all.
func (w *walk) shot(b *tab, name string) step {
	if !w.pictures {
		return chromedp.Steps()
	}
	return b.shots(name)
}

const (
	ada   = "ada@example.org"
	bob   = "bob@example.org"
	carol = "carol.of.a.rather.long.name@departments.example.org"
	root  = "root@example.org"
)

// register fills in the form, from the printed address on.
func (w *walk) register(b *tab, email string) {
	w.t.Helper()
	b.do("register "+email, open(w.home), arrive("Sign in"), click(`.aside a`), arrive("Create your account"),
		typed("#email", email), typed("#password", testPassword), submit("Check your email"))
}

// openMail opens the confirmation mail on the inbox page.
func (w *walk) openMail(b *tab, email string) inboxMessage {
	w.t.Helper()
	m := w.in.mailTo(email, "confirm_email")
	b.do("open the mail to "+email, open(w.home+"/dev/mail"), arrive("Development inbox"), click(`a[href="/dev/mail/`+m.ID+`"]`), there(`div.letter a`))
	return m
}

func (w *walk) signUpByCode() {
	w.ada = newTab(w.t, w.browser)
	b := w.ada
	b.do("look at it", open(w.home), arrive("Sign in"), w.shot(b, "01-sign-in"), click(`.aside a`), arrive("Create your account"), w.shot(b, "02-register"))
	w.register(b, ada)
	b.do("look at it", w.shot(b, "03-check-mail"))
	m := w.openMail(b, ada)
	b.do("look at the mail", w.shot(b, "04-mail"))
	if !strings.Contains(b.text(), m.Variables["code"]) {
		w.t.Errorf("the mail's page does not show the code %s:\n%s", m.Variables["code"], b.text())
	}
	wrong := "000000"
	if m.Variables["code"] == wrong {
		wrong = "111111"
	}
	b.do("enter a wrong code, then the right one", open(w.home+"/register/check-mail"), arrive("Check your email"), typed("#code", wrong), press(), there(`[role=alert]`),
		w.shot(b, "05-wrong-code"), typed("#code", m.Variables["code"]), submit("Your account"), w.shot(b, "06-account"))
	if !strings.Contains(b.text(), ada) {
		w.t.Errorf("the account page does not show the address:\n%s", b.text())
	}
}

func (w *walk) signUpByLink() {
	b := newTab(w.t, w.browser)
	w.register(b, bob)
	w.openMail(b, bob)
	b.do("follow the link", click(`div.letter a`), arrive("Confirm your email address"), w.shot(b, "07-confirm"))
	if b.count(`#password`) != 0 {
		w.t.Error("the browser that signed up is asked for the password")
	}
	b.do("confirm", submit("Your account"))
	b.do("sign out", click(`.leave button`), arrive("Sign in"))
}

// signUpByLinkElsewhere opens the link in a browser that did not sign up: only who knows the password goes on.
func (w *walk) signUpByLinkElsewhere() {
	w.register(newTab(w.t, w.browser), carol)
	other := newTab(w.t, w.browser)
	w.openMail(other, carol)
	other.do("follow the link", click(`div.letter a`), arrive("Confirm your email address"), there(`#password`), w.shot(other, "08-confirm-elsewhere"))
	other.do("a guess", typed(`#password`, "not the password"), press(), there(`[role=alert]`), w.shot(other, "09-confirm-refused"))
	other.do("the password", typed(`#password`, testPassword), submit("Your account"), w.shot(other, "10-account-long-address"))
}

func (w *walk) signInAgain() {
	b := w.ada
	b.do("sign out", click(`.leave button`), arrive("Sign in"), w.shot(b, "11-signed-out"))
	b.do("somebody else's page", open(w.home+"/account"), arrive("Sign in"))
	b.do("wrong password", typed("#email", ada), typed("#password", "nonsense"), press(), there(`[role=alert]`), w.shot(b, "12-wrong-password"))
	b.do("right password", typed("#password", testPassword), submit("Your account"))
}

const adasNext = "a different long password"

func (w *walk) changePassword() {
	b := w.ada
	b.do("to the form", click(`a[href="/account/password"]`), arrive("Change password"), w.shot(b, "13-change-password"))
	b.do("wrong current password", typed("#current", "nonsense"), typed("#password", adasNext), press(), there(`[role=alert]`), w.shot(b, "14-change-refused"))
	b.do("change it", typed("#current", testPassword), typed("#password", adasNext), submit("Your account"), there(`[role=status]`), w.shot(b, "15-changed"))
	b.do("sign in with it", click(`.leave button`), arrive("Sign in"), typed("#email", ada), typed("#password", adasNext), submit("Your account"))
}

// administrator makes one as an operator does, and follows the link.
func (w *walk) administrator() {
	var made struct{ Link string }
	if err := json.Unmarshal([]byte(w.in.cli("user", "create", "--admin", "--json", root)), &made); err != nil {
		w.t.Fatal(err)
	}
	w.root = newTab(w.t, w.browser)
	w.root.do("set the password", open(made.Link), arrive("Set your password"), w.shot(w.root, "16-set-password"), typed("#password", testPassword), submit("Your account"),
		w.shot(w.root, "17-administrator"))
	if !strings.Contains(w.root.text(), "Administrator") {
		w.t.Errorf("the account page does not say that this is an administrator:\n%s", w.root.text())
	}
	again := newTab(w.t, w.browser)
	again.do("the link once more", open(made.Link), arrive("This link has expired"), w.shot(again, "18-link-over"))
}

const toActivity = `.top nav a[href="/threadline"]`

// activity opens Threadline's page again and again until it shows text: rows reach it a moment after they were written.
func (w *walk) activity(b *tab, path, want string) {
	w.t.Helper()
	w.in.eventually(30*time.Second, fmt.Sprintf("%q on %s", want, path), func() error {
		b.do("open "+path, open(w.home+path), arrive("Activity"))
		if text := b.text(); !strings.Contains(text, want) {
			return fmt.Errorf("it shows:\n%s", text)
		}
		return nil
	})
}

func (w *walk) timeline() {
	w.ownProcess()
	b := w.ada
	b.do("by the navigation", open(w.home), arrive("Your account"), click(toActivity), arrive("Activity"))
	w.activity(b, "/threadline", "Signed in")
	if text := b.text(); !strings.Contains(text, "You") {
		w.t.Errorf("ada is not called \"You\":\n%s", text)
	}
	b.do("look at it", w.shot(b, "20-activity"))

	// The last things first, three to a page, and back again.
	newest := b.entries()
	b.do("next page", click(`a[rel=next]`), arrive("Activity"), there(`a[rel=prev]`), w.shot(b, "21-second-page"))
	if b.entries() == newest {
		w.t.Error("the second page is the first one")
	}
	b.do("previous page", click(`a[rel=prev]`), arrive("Activity"), until(`!document.querySelector("a[rel=prev]")`))
	if got := b.entries(); got != newest {
		w.t.Errorf("back on the first page there is\n%s\nwhere there was\n%s", got, newest)
	}

	// A filter, by the form.
	b.do("filter", click(`details.filter summary`), w.shot(b, "22-filter-open"), typed(`#action`, "auth.logout"), click(`details.filter button`), arrive("Activity"),
		there(`.timeline-entry`), w.shot(b, "23-filtered"))
	if text := b.entries(); strings.Contains(text, "Signed in") || !strings.Contains(text, "Signed out") {
		w.t.Errorf("filtered by auth.logout there is:\n%s", text)
	}
	b.do("nothing matches", open(w.home+"/threadline?action=no.such.action"), arrive("Activity"), there(`.empty`), w.shot(b, "24-nothing-matches"))
	b.do("a mistake", open(w.home+"/threadline?ip=nonsense"), arrive("Activity"), there(`[role=alert]`), w.shot(b, "25-filter-mistake"))
	w.activity(b, "/threadline?action=auth.login.failure", "Sign-in failed")
	b.do("look at it", w.shot(b, "26-failures"))

	// One entry.
	b.do("an entry", open(w.home+"/threadline?action=auth.login.success"), arrive("Activity"), click(`.timeline-entry a`), arrive("Signed in"), w.shot(b, "27-entry"))
	for _, want := range []string{"auth.login.success", "127.0.0.1"} {
		if !strings.Contains(b.text(), want) {
			w.t.Errorf("the entry does not show %s:\n%s", want, b.text())
		}
	}
	b.do("no entry", open(w.home+"/threadline/entries/nonsense"), arrive("Not here"), w.shot(b, "28-no-entry"))
}

// ownProcess holds that the page comes from another process than the server.
func (w *walk) ownProcess() {
	var list []struct {
		Name, State string
		PID         int
	}
	if err := json.Unmarshal([]byte(w.in.cli("plugin", "list", "--json")), &list); err != nil || len(list) != 1 {
		w.t.Fatalf("plugin list: %v %v", list, err)
	}
	p := list[0]
	if p.PID == 0 || p.PID == w.in.process().Pid {
		w.t.Errorf("threadline's process is %d, the server's %d", p.PID, w.in.process().Pid)
	}
	cmdline, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(p.PID), "cmdline"))
	if err != nil || !strings.Contains(string(cmdline), "threadline") {
		w.t.Errorf("process %d is %q (%v)", p.PID, cmdline, err)
	}
}

// othersAreHidden: an administrator sees everybody's entries with addresses, everybody else only their own.
func (w *walk) othersAreHidden() {
	w.activity(w.root, "/threadline?action=account.password_change.success", ada)
	w.activity(w.root, "/threadline?action=auth.logout", bob)
	w.root.do("look at it", open(w.home+"/threadline"), arrive("Activity"), w.shot(w.root, "29-administrator-activity"))
	w.root.do("an entry of ada's", open(w.home+"/threadline?action=account.password_change.success"), arrive("Activity"), click(`.timeline-entry a`), arrive("Password changed"),
		w.shot(w.root, "30-administrator-entry"))
	where, err := chromedp.Run(w.root.ctx, chromedp.Location())
	if err != nil {
		w.t.Fatal(err)
	}

	bobs := newTab(w.t, w.browser)
	bobs.do("bob signs in", open(w.home), arrive("Sign in"), typed("#email", bob), typed("#password", testPassword), submit("Your account"))
	w.activity(bobs, "/threadline", "Signed in")
	bobs.do("an entry of ada's", open(where), arrive("Not here"))
	all := bobs.text()
	for _, path := range []string{"/threadline", "/threadline?order=asc", "/threadline?action=account.password_change.success", "/threadline?action=admin.user.create"} {
		bobs.do("open "+path, open(w.home+path), arrive("Activity"))
		all += bobs.text()
		for bobs.count(`a[rel=next]`) > 0 {
			bobs.do("next page of "+path, click(`a[rel=next]`), until(`location.href !== `+quoted(bobs.where())), arrive("Activity"))
			all += bobs.text()
		}
	}
	for _, secret := range []string{ada, carol, root, "Password changed", "Account created by an administrator"} {
		if strings.Contains(all, secret) {
			w.t.Errorf("bob sees %q:\n%s", secret, all)
		}
	}
	signedOut := newTab(w.t, w.browser)
	signedOut.do("who is not signed in", open(w.home+"/threadline"), arrive("Sign in"), typed("#email", bob), typed("#password", testPassword), submit("Activity"))
}

func (b *tab) where() string {
	b.t.Helper()
	s, err := chromedp.Run(b.ctx, chromedp.Location())
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func quoted(s string) string { b, _ := json.Marshal(s); return string(b) }

// noTimeline: nothing on the pages hints at what is not there, and its address says so in a friendly way.
func (w *walk) noTimeline() {
	b := w.ada
	b.do("home", open(w.home), arrive("Your account"), w.shot(b, "31-account-standalone"))
	if b.count(toActivity) != 0 || strings.Contains(b.text(), "Activity") {
		w.t.Errorf("the pages speak of activity where nothing serves it:\n%s", b.text())
	}
	b.do("/threadline", open(w.home+"/threadline"), arrive("Nothing here"), w.shot(b, "32-nothing-here"))
}

func (w *walk) takenAwayAndPutBack() {
	w.in.configure(setup{database: w.database})
	w.in.cli("reload")
	w.noTimeline()
	w.in.configure(setup{database: w.database, plugins: browserBlock})
	w.in.cli("reload")
	b := w.ada
	w.in.eventually(15*time.Second, "threadline there again", func() error {
		b.do("home", open(w.home), arrive("Your account"))
		if b.count(toActivity) == 0 {
			return errNotYet
		}
		return nil
	})
	w.activity(b, "/threadline", "Signed in")
}
