package passkey_test

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest/virtual"
)

// chromium starts one real browser for all tabs of a test. Without one the test fails: it is part of the proof. flags are
// added to its command line.
func chromium(t *testing.T, flags ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	exe := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			exe = p
			break
		}
	}
	if exe == "" {
		t.Fatal("there is no Chromium here: apt-get install -y chromium")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(exe), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), append(opts, flags...)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", exe, err)
	}
	return ctx
}

// patient is how long a page may take on a machine that has much else to do.
const patient = 40 * time.Second

type step = virtual.Step

// tab is a page in a browser profile of its own, with virtual authenticators instead of whatever the machine has.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// newTab opens a tab. Exceptions and violations of the page's policy fail the test.
func newTab(t *testing.T, browser context.Context) *tab {
	t.Helper()
	b := &tab{t: t}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(b.listen))
	t.Cleanup(cancel)
	b.ctx = ctx
	b.do("open a tab", virtual.Command(log.Enable, cdp.Empty{}), virtual.Enable())
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, c := range b.complaints {
			t.Errorf("the browser complains: %s", c)
		}
	})
	return b
}

func (b *tab) listen(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *log.EventEntryAdded:
		if (ev.Entry.Level == log.EntryLevelWarning || ev.Entry.Level == log.EntryLevelError) && !strings.Contains(ev.Entry.Text, "the server responded with a status of") {
			b.complaints = append(b.complaints, ev.Entry.Text+" "+ev.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, ev.ExceptionDetails.Text)
	}
}

// do runs steps, and shows where they got stuck.
func (b *tab) do(what string, steps ...step) {
	b.t.Helper()
	ctx := b.ctx
	if chromedp.FromContext(ctx).Target != nil { // the first call's context is the tab's life
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 2*patient)
		defer cancel()
	}
	if err := chromedp.Do(ctx, steps...); err != nil {
		look, cancel := context.WithTimeout(b.ctx, 5*time.Second)
		defer cancel()
		where, _ := chromedp.Run(look, chromedp.Location())
		text, _ := chromedp.Run(look, chromedp.Evaluate[string](`document.body.innerText`))
		b.t.Fatalf("%s: %v, at %s:\n%s", what, err, where, text)
	}
}

// text is what a person reads on the page.
func (b *tab) text() string {
	b.t.Helper()
	return evaluate[string](b, `document.body.innerText`)
}

func evaluate[T any](b *tab, js string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](js))
	if err != nil {
		b.t.Fatalf("%s: %v", js, err)
	}
	return v
}

func open(url string) step        { return chromedp.Navigate(url) }
func click(css string) step       { return chromedp.Click(chromedp.CSS(css)) }
func typed(css, text string) step { return chromedp.SendKeys(chromedp.CSS(css), text) }

// arrive waits until the page's heading is the one wanted.
func arrive(want string) step {
	return until(`document.querySelector("h1")?.textContent.trim() === ` + strconv.Quote(want))
}

// alert waits until the page tells the person so.
func alert(want string) step {
	return until(`[...document.querySelectorAll('[role="alert"]')].some(e => !e.hidden && e.textContent.includes(` + strconv.Quote(want) + `))`)
}

// until waits for a condition across the loading of pages, during which there is nothing to ask.
func until(condition string) step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		ctx, cancel := context.WithTimeout(ctx, patient)
		defer cancel()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			ok, err := chromedp.Evaluate[bool](`document.readyState === "complete" && (`+condition+`)`)(ctx, target)
			if err == nil && ok {
				return nil
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("waiting for %s: %w (%v)", condition, ctx.Err(), err)
			}
		}
	})
}

// plug gives the tab an authenticator.
func (b *tab) plug(o virtual.Options) *virtual.Authenticator {
	b.t.Helper()
	return virtual.Plug(b.do, o)
}
