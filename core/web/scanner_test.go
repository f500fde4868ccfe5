package web_test

import (
	"context"
	"html"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/sigra-auth/sigra/core/administration"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// scanner is what stands before a mailbox: it opens every link of a mail before the person does, as programs and in a browser.
type scanner struct {
	*env
	chromium context.Context
	opened   map[string]bool // purposes
}

var (
	urlInText = regexp.MustCompile(`https?://\S+`)
	hrefIn    = regexp.MustCompile(`href="([^"]+)"`)
)

// mail delivers what is waiting, scans the newest message of a purpose to an address, and gives its link and code.
func (s *scanner) mail(t *testing.T, to, purpose string) (link, code string) {
	t.Helper()
	if _, err := s.queue.Dispatch(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := s.inbox.List(t.Context(), to)
	i := slices.IndexFunc(list, func(m mail.Received) bool { return m.Purpose == purpose })
	if err != nil || i < 0 {
		t.Fatalf("no %s to %s (%v)", purpose, to, err)
	}
	links := map[string]bool{}
	for _, l := range urlInText.FindAllString(list[i].Text, -1) {
		links[l] = true
	}
	for _, m := range hrefIn.FindAllStringSubmatch(list[i].HTML, -1) {
		links[html.UnescapeString(m[1])] = true
	}
	for _, l := range slices.Sorted(maps.Keys(links)) {
		s.open(t, l)
		if path, ours := strings.CutPrefix(l, s.base); ours && strings.Contains(path, "token=") {
			s.opened[purpose] = true
			link = path
		}
	}
	if link == "" {
		t.Fatalf("no link with a token in %s: %v", purpose, links)
	}
	if m := codeIn.FindStringSubmatch(urlInText.ReplaceAllString(list[i].Text, "")); m != nil {
		code = m[1]
	}
	return link, code
}

// open opens a link three times, each time as somebody who was never here.
func (s *scanner) open(t *testing.T, link string) {
	t.Helper()
	head, err := http.NewRequestWithContext(t.Context(), http.MethodHead, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.browser(t).client.Do(head)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	page := s.browser(t).get(link)
	if res.StatusCode != http.StatusOK || page.status != http.StatusOK {
		t.Errorf("%s: HEAD %d, GET %d", link, res.StatusCode, page.status)
	}
	for _, m := range hrefIn.FindAllStringSubmatch(page.body, -1) { // some go on from there
		if path := html.UnescapeString(m[1]); strings.HasPrefix(path, "/") {
			s.browser(t).fetch(path)
		}
	}
	ctx := window(t, s.chromium)
	if err := chromedp.Do(ctx, chromedp.Navigate(link), until(`!!document.querySelector("main h1")`)); err != nil {
		t.Fatalf("%s: %v", link, err)
	}
}

// fetch opens a path and looks at nothing.
func (b *browser) fetch(path string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.e.base+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	res, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	_ = res.Body.Close()
}

// TestScanner: whatever opens the links of a mail first, uses nothing up: people get in with them afterwards, and with the codes.
func TestScanner(t *testing.T) {
	t.Parallel()
	chromium := chrome(t)
	if err := chromedp.Do(chromium); err != nil {
		t.Fatal(err)
	}
	storetest.One(t, sources, func(t *testing.T, db *store.DB) {
		s := &scanner{env: start(t, db, nil), chromium: chromium, opened: map[string]bool{}}
		const bob, carol, moved = "bob@example.com", "carol@example.com", "alice@elsewhere.example"

		// Signing up.
		b := s.browser(t)
		b.post("/register", "email", alice, "password", first).sends(t, "/register/check-mail")
		link, _ := s.mail(t, alice, mail.ConfirmEmail)
		b.get(link).shows(t, 200, "Confirm and sign in")
		b.post("/confirm", "token", tokenOf(link)).sends(t, "/account")
		other := s.browser(t)
		other.post("/register", "email", bob, "password", first).sends(t, "/register/check-mail")
		_, code := s.mail(t, bob, mail.ConfirmEmail)
		other.post("/register/check-mail", "code", code).sends(t, "/account")

		// A forgotten password.
		b, link = s.browser(t), ""
		b.post("/reset", "email", alice).sends(t, "/reset/sent")
		link, _ = s.mail(t, alice, mail.PasswordReset)
		b.get(link).shows(t, 200, "Set your password", alice)
		b.post("/set-password", "token", tokenOf(link), "password", next).sends(t, "/account?notice=password-set")
		other = s.browser(t)
		other.post("/reset", "email", bob).sends(t, "/reset/sent")
		_, code = s.mail(t, bob, mail.PasswordReset)
		other.post("/reset/sent", "code", code, "password", next).sends(t, "/account?notice=password-set")

		// A link to sign in: in the browser that asked, in another one, and by the code.
		b = s.browser(t)
		b.post("/login/link", "email", alice).sends(t, "/login/link/sent")
		link, _ = s.mail(t, alice, mail.MagicLink)
		b.get(link).shows(t, 200, "Press the button, and you are signed in.")
		b.post("/login/link/open", "token", tokenOf(link)).sends(t, "/account")
		waiting, phone := s.browser(t), s.browser(t)
		waiting.post("/login/link", "email", alice).sends(t, "/login/link/sent")
		number := waiting.get("/login/link/sent").find(t, `>(\d\d)</strong>`)
		link, _ = s.mail(t, alice, mail.MagicLink)
		waiting.get("/login/link/status").shows(t, 200, "Waiting for the link")
		phone.get(link).shows(t, 200, "Which device do you want to sign in?")
		phone.post("/login/link/approve", "token", tokenOf(link), "number", number).shows(t, 200)
		waiting.post("/login/link/sent").sends(t, "/account")
		other = s.browser(t)
		other.post("/login/link", "email", bob).sends(t, "/login/link/sent")
		_, code = s.mail(t, bob, mail.MagicLink)
		other.post("/login/link/sent", "code", code).sends(t, "/account")

		// An account that an administrator made.
		if _, _, err := s.parts.CreateUser(t.Context(), audit.Ref{Type: "operator", ID: "0/root"}, administration.NewUser{Email: carol, Mail: true}); err != nil {
			t.Fatal(err)
		}
		link, _ = s.mail(t, carol, mail.PasswordSetLink)
		s.browser(t).post("/set-password", "token", tokenOf(link), "password", first).sends(t, "/account?notice=password-set")

		// Another address: the old one is told at once and afterwards, each time with a link that takes it back.
		b.post("/account/email", "email", moved).sends(t, "/account/email/sent")
		s.mail(t, alice, mail.EmailChangeNotice)
		link, _ = s.mail(t, moved, mail.EmailChangeConfirm)
		b.get(link).shows(t, 200, "Confirm your new email address", moved)
		b.post("/account/email/confirm", "token", tokenOf(link)).sends(t, "/account?notice=email-changed")
		b.get("/account").shows(t, 200, moved)
		link, _ = s.mail(t, alice, mail.EmailChanged)
		b.get("/account").shows(t, 200, moved)
		b.post("/account/email/undo", "token", tokenOf(link)).sends(t, "/account/email/undone")
		link, _ = s.mail(t, alice, mail.EmailChangeUndone)
		b.post("/set-password", "token", tokenOf(link), "password", first).sends(t, "/account?notice=password-set")
		b.get("/account").shows(t, 200, alice)
		other.post("/account/email", "email", moved).sends(t, "/account/email/sent")
		_, code = s.mail(t, moved, mail.EmailChangeConfirm)
		other.post("/account/email/sent", "code", code).sends(t, "/account?notice=email-changed")

		// Every message that the core sent with a token was among them.
		for _, to := range []string{alice, bob, carol, moved} {
			list, err := s.inbox.List(t.Context(), to)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range list {
				if strings.Contains(m.Text, "token=") && !s.opened[m.Purpose] {
					t.Errorf("the links of %s were not opened", m.Purpose)
				}
			}
		}
	})
}
