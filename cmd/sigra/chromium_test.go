package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// chromium starts one real browser for all tabs of a test. Without one the test fails: it is part of the proof. flags are added to
// its command line.
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

// step is one thing done in the browser.
type step = chromedp.Action[chromedp.Void]

// tab is a page in a browser profile of its own: two tabs share no cookies, as two people's browsers do.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// newTab opens a tab. What the browser's console complains about (a policy violation, a missing asset, a script's error)
// fails the test.
func newTab(t *testing.T, browser context.Context) *tab {
	t.Helper()
	return openTab(t, browser, chromedp.WithNewBrowserContext())
}

// openTab opens a tab of a browser, or of the profile of another tab.
func openTab(t *testing.T, in context.Context, o ...chromedp.ContextOption) *tab {
	t.Helper()
	b := &tab{t: t}
	ctx, cancel := chromedp.NewContext(in, append(o, chromedp.WithListener(b.listen))...)
	t.Cleanup(cancel)
	b.ctx = ctx
	b.do("open a tab", chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, log.Enable, cdp.Empty{})
		return err
	}))
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
	var text string
	switch ev := ev.(type) {
	case *log.EventEntryAdded:
		if ev.Entry.Level != log.EntryLevelWarning && ev.Entry.Level != log.EntryLevelError || strings.Contains(ev.Entry.Text, "status of 4") { // an answer the test asked for
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
	b.complaints = append(b.complaints, text)
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
	s, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// entries is what the timeline on the page says.
func (b *tab) entries() string {
	b.t.Helper()
	s, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`[...document.querySelectorAll(".timeline-entry")].map(e => e.innerText).join("\n\n")`))
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// count is how many elements the page has.
func (b *tab) count(css string) int {
	b.t.Helper()
	n, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](`document.querySelectorAll(`+strconv.Quote(css)+`).length`))
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func open(url string) step        { return chromedp.Navigate(url) }
func click(css string) step       { return chromedp.Click(chromedp.CSS(css)) }
func typed(css, text string) step { return chromedp.SendKeys(chromedp.CSS(css), text) }
func there(css string) step       { return until(`!!document.querySelector(` + strconv.Quote(css) + `)`) }

// press presses the form's button, and submit waits for the page it leads to.
func press() step { return click(`main form button`) }

func submit(want string) step { return chromedp.Steps(press(), arrive(want)) }

// arrive waits until the page's heading is the one wanted.
func arrive(want string) step {
	return until(`document.querySelector("h1")?.textContent.trim() === ` + strconv.Quote(want))
}

// until waits for a condition across the loading of pages, during which there is nothing to ask.
func until(condition string) step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		ctx, cancel := context.WithTimeout(ctx, patient)
		defer cancel()
		tick := time.NewTicker(50 * time.Millisecond)
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

// looks are the ways in which people look at a page.
var looks = []struct {
	name          string
	width, height int64
	scheme        string
}{
	{"phone-light", 390, 844, "light"}, {"phone-dark", 390, 844, "dark"},
	{"desktop-light", 1280, 800, "light"}, {"desktop-dark", 1280, 800, "dark"},
}

// shots takes pictures of the page at hand into SIGRA_SCREENSHOTS, and holds in every look that nothing sticks out of
// the screen. It takes none where the variable is not set.
func (b *tab) shots(name string) step {
	dir := os.Getenv("SIGRA_SCREENSHOTS")
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		for _, l := range looks {
			view := emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.width < 600}
			if _, err := cdp.Call(ctx, target, emulation.SetDeviceMetricsOverride, view); err != nil {
				return err
			}
			media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: l.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
			}}
			if _, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, media); err != nil {
				return err
			}
			wide, err := chromedp.Evaluate[bool](`document.documentElement.scrollWidth > window.innerWidth`)(ctx, target)
			if err != nil {
				return err
			}
			if wide {
				b.t.Errorf("%s at %s is wider than the screen", name, l.name)
			}
			if dir == "" {
				continue
			}
			png, err := chromedp.CaptureScreenshot()(ctx, target)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, name+"-"+l.name+".png"), png, 0o600); err != nil {
				return err
			}
		}
		return nil
	})
}
