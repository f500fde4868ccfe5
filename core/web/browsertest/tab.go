package browsertest

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Tab is a page in a browser.
type Tab struct {
	Context context.Context // lives as long as the tab
	t       testing.TB

	mu         sync.Mutex
	forgiven   []string
	complaints []string
}

// NewTab opens a tab in a profile of its own: two such tabs share no cookies, as two people's browsers do.
func NewTab(t testing.TB, browser context.Context) *Tab {
	t.Helper()
	return Use(t, Window(t, browser))
}

// Beside opens one more tab in the profile of another.
func (b *Tab) Beside(t testing.TB) *Tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.Context)
	t.Cleanup(cancel)
	return Use(t, ctx)
}

// Window is a profile of its own without a tab: the first steps in it open one, which lives as long as their context.
func Window(t testing.TB, browser context.Context) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	return ctx
}

// Use opens the tab of a window.
func Use(t testing.TB, window context.Context) *Tab {
	t.Helper()
	b := &Tab{Context: window, t: t}
	if err := chromedp.Listen(window, b.listen); err != nil {
		t.Fatal(err)
	}
	// Tabs beside it don't take the focus away.
	focus := emulation.SetFocusEmulationEnabledParams{Enabled: true}
	if err := chromedp.Do(window, Command(log.Enable, cdp.Empty{}), Command(emulation.SetFocusEmulationEnabled, focus)); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, c := range b.complaints {
			t.Errorf("the browser complains: %s", c)
		}
	})
	return b
}

// Forgive lets the browser complain with a text in it.
func (b *Tab) Forgive(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgiven = append(b.forgiven, text)
}

func (b *Tab) listen(ev any) {
	var text string
	switch ev := ev.(type) {
	case *log.EventEntryAdded:
		if ev.Entry.Level != log.EntryLevelWarning && ev.Entry.Level != log.EntryLevelError {
			return
		}
		text = ev.Entry.Text + " " + ev.Entry.URL
	case *runtime.EventExceptionThrown:
		text = ev.ExceptionDetails.Text
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ok := range append([]string{
		"status of 4", // an answer that the test asked for
		"should have (optionally hidden) username fields", // said of half a page on a busy machine
	}, b.forgiven...) {
		if strings.Contains(text, ok) {
			return
		}
	}
	b.complaints = append(b.complaints, text)
}

// Do runs steps, and shows where they got stuck.
func (b *Tab) Do(what string, steps ...Step) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.Context, 3*Patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		look, cancel := context.WithTimeout(b.Context, 5*time.Second)
		defer cancel()
		where, _ := chromedp.Run(look, chromedp.Location())
		text, _ := chromedp.Run(look, chromedp.Evaluate[string](`document.body.innerText`))
		b.t.Fatalf("%s: %v, at %s:\n%s", what, err, where, text)
	}
}

// Text is what a person reads on the page.
func (b *Tab) Text() string {
	b.t.Helper()
	return Evaluate[string](b, `document.body.innerText`)
}

// Count is how many elements the page has.
func (b *Tab) Count(css string) int {
	b.t.Helper()
	return Evaluate[int](b, `document.querySelectorAll(`+strconv.Quote(css)+`).length`)
}

// Evaluate gives the value of an expression in the page.
func Evaluate[T any](b *Tab, js string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.Context, chromedp.Evaluate[T](js))
	if err != nil {
		b.t.Fatalf("%s: %v", js, err)
	}
	return v
}
