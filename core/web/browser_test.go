package web_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// chrome starts a real browser with a profile of its own. Without one the test fails: it is part of the proof.
func chrome(t *testing.T) context.Context {
	t.Helper()
	exe := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			exe = p
			break
		}
	}
	if exe == "" {
		t.Fatal("no Chromium here: apt-get install -y chromium")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(exe), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 10*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// window is a window of the same browser that shares nothing with its others: neither cookies nor history.
func window(t *testing.T, browser context.Context) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	return ctx
}

// patience is how long a test waits for what is sure to come: the machine may have much else to do.
const patience = 40 * time.Second

// look is a way of looking at a page.
type look struct {
	name          string
	width, height int64
	scheme        string
}

var looks = []look{
	{"phone-light", 360, 800, "light"}, {"phone-dark", 360, 800, "dark"},
	{"desktop-light", 1280, 800, "light"}, {"desktop-dark", 1280, 800, "dark"},
}

// shots takes pictures of the page at hand, into SIGRA_SCREENSHOTS when that is set, and holds in every look that
// nothing sticks out of the screen and that axe-core finds nothing. Without looks it takes all of them.
func shots(t *testing.T, name string, in ...look) step {
	if len(in) == 0 {
		in = looks
	}
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		path, err := chromedp.Evaluate[string](`location.pathname`)(ctx, tab)
		if err != nil {
			return err
		}
		sawPage(path)
		for i, l := range in {
			view := emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.width < 600}
			if _, err := cdp.Call(ctx, tab, emulation.SetDeviceMetricsOverride, view); err != nil {
				return err
			}
			media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: l.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
			}}
			if _, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, media); err != nil {
				return err
			}
			// Against the width that was asked for: a phone's browser makes its own wider for what does not fit.
			wide, err := chromedp.Evaluate[bool](fmt.Sprintf(`document.documentElement.scrollWidth > %d`, l.width))(ctx, tab)
			if err != nil {
				return err
			}
			if wide {
				t.Errorf("%s at %s is wider than the screen", name, l.name)
			}
			if err := accessible(ctx, t, tab, name+" at "+l.name, i > 0); err != nil {
				return err
			}
			if err := picture(ctx, tab, name+"-"+l.name); err != nil {
				return err
			}
		}
		return nil
	})
}

// picture is taken of the whole page, where pictures are wanted.
func picture(ctx context.Context, tab *chromedp.Target, name string) error {
	dir := os.Getenv("SIGRA_SCREENSHOTS")
	if dir == "" {
		return nil
	}
	all := true
	shot, err := cdp.Call(ctx, tab, cdppage.CaptureScreenshot, cdppage.CaptureScreenshotParams{CaptureBeyondViewport: &all})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".png"), shot.Data, 0o600)
}

// step is one thing done in the browser.
type step = chromedp.Action[chromedp.Void]

// press presses the form's button, and submit waits for the page it leads to.
func press() step { return chromedp.Click(chromedp.CSS(`main form button`)) }

func submit(want string) step { return chromedp.Steps(press(), arrive(want)) }

// arrive waits until the page's heading is the one wanted.
func arrive(want string) step {
	return until(`document.querySelector("h1")?.textContent.trim() === ` + quote(want))
}

// until waits for a condition across the loading of pages, during which there is nothing to ask.
func until(condition string) step {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			ok, err := chromedp.Evaluate[bool](`document.readyState === "complete" && (`+condition+`)`)(ctx, tab)
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

// awaits waits for something outside of the browser.
func awaits(done func() bool) step {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for !done() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
}

func click(css string) step       { return chromedp.Click(chromedp.CSS(css)) }
func typed(css, text string) step { return chromedp.SendKeys(chromedp.CSS(css), text) }
func there(css string) step       { return until(`!!document.querySelector("` + css + `")`) }

// refused waits for the page that says what is wrong. The forms for passkeys have an alert, too, which is hidden at first.
func refused() step { return there(`[role=alert]:not([hidden])`) }

// focused is the element that has the focus, in a frame if need be.
const focused = `((e) => { while (e?.contentDocument?.activeElement) e = e.contentDocument.activeElement; return e; })(document.activeElement)`

// tabTo presses the Tab key until an element has the focus, and holds that one sees where it is.
func tabTo(css string) step {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		for range 80 {
			ok, err := chromedp.Evaluate[bool](focused+`?.matches(`+quote(css)+`) ?? false`)(ctx, tab)
			if err != nil {
				return err
			}
			if ok {
				seen, err := chromedp.Evaluate[bool](`((s) => s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2)(getComputedStyle(`+focused+`))`)(ctx, tab)
				if err == nil && !seen {
					err = fmt.Errorf("%s has the focus, and one does not see it", css)
				}
				return err
			}
			if _, err := chromedp.KeyEvent("\t")(ctx, tab); err != nil {
				return err
			}
		}
		return fmt.Errorf("the Tab key does not get to %s", css)
	})
}

// By keyboard alone: keyed fills a field, chosen follows a link, presses a button or ticks a box, and sent presses the page's own button.
func keyed(css, text string) step { return chromedp.Steps(tabTo(css), chromedp.KeyEvent(text)) }
func chosen(css string) step      { return chromedp.Steps(tabTo(css), chromedp.KeyEvent("\r")) }
func ticked(css string) step      { return chromedp.Steps(tabTo(css), chromedp.KeyEvent(" ")) }
func sent() step                  { return chosen(`main form button`) }

func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }

// runner does steps in the browser, and shows where they got stuck. What the browser's console complains of in the meantime
// (a policy violation, an asset that is missing) fails the test.
func runner(t *testing.T, ctx context.Context) func(what string, steps ...step) {
	t.Helper()
	var mu sync.Mutex
	var complaints []string
	err := chromedp.Listen(ctx, func(ev any) {
		if entry, ok := ev.(*log.EventEntryAdded); ok && entry.Entry.Level != log.EntryLevelInfo && !strings.Contains(entry.Entry.Text, "status of 4") &&
			!strings.Contains(entry.Entry.Text, "should have (optionally hidden) username fields") { // said of half a page on a busy machine
			mu.Lock()
			defer mu.Unlock()
			complaints = append(complaints, entry.Entry.Text+" "+entry.Entry.URL)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range complaints {
			t.Errorf("the browser complains: %s", c)
		}
	})
	run := func(what string, steps ...step) {
		t.Helper()
		ctx, cancel := context.WithTimeout(ctx, 3*patience)
		defer cancel()
		if err := chromedp.Do(ctx, steps...); err != nil {
			where, _ := chromedp.Run(ctx, chromedp.Location())
			text, _ := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body")))
			t.Fatalf("%s: %v, at %s:\n%s", what, err, where, text)
		}
	}
	yes := emulation.SetFocusEmulationEnabledParams{Enabled: true} // windows beside it don't take the focus away
	// The first steps start the window, which lives as long as their context.
	if err := chromedp.Do(ctx, command(log.Enable, cdp.Empty{}), command(emulation.SetFocusEmulationEnabled, yes)); err != nil {
		t.Fatal(err)
	}
	return run
}

func TestBrowser(t *testing.T) {
	t.Parallel()
	e := start(t, storetest.Open(t, store.SQLite, sources...), nil)
	ctx := chrome(t)

	run := runner(t, ctx)
	value := func(css string) string {
		t.Helper()
		v, err := chromedp.Run(ctx, chromedp.Value(chromedp.CSS(css)))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	const mailbox = "ada@example.org"

	run("open", chromedp.Navigate(e.base+"/"), arrive("Sign in"), shots(t, "01-login"))
	run("to sign-up", click(`.aside a`), arrive("Create your account"), shots(t, "02-register"))
	run("refused", typed("#email", mailbox), typed("#password", "my ada@example.org password"), press(), refused(), shots(t, "03-register-refused"))
	if kept, secret := value("#email"), value("#password"); kept != mailbox || secret != "" {
		t.Errorf("the form came back with %q and %q", kept, secret)
	}
	run("sign up", typed("#password", first), submit("Check your mail"), shots(t, "04-check-mail"))
	if _, err := e.queue.Dispatch(ctx); err != nil {
		t.Fatal(err)
	}
	run("inbox", click(`main .notice a`), arrive("Development inbox"), shots(t, "05-dev-inbox"))
	run("open the mail", click(`.mails a`), there(`div.letter a`), shots(t, "06-dev-message"))
	run("follow the link", click(`div.letter a`), arrive("Confirm your e-mail address"), shots(t, "07-confirm"))
	run("confirm", submit("Your account"), shots(t, "08-account"))
	run("sign out", click(`.leave button`), arrive("Sign in"), shots(t, "09-signed-out"))
	run("wrong password", typed("#email", mailbox), typed("#password", "nonsense"), press(), refused(), shots(t, "10-login-refused"))
	run("sign in", typed("#password", first), submit("Your account"))
	run("to the password", click(`.rows a[href="/account/password"]`), arrive("Change password"), shots(t, "11-password"))
	run("change it", typed("#current", first), typed("#password", next), submit("Your account"), there(`[role=status]`), shots(t, "12-changed"))
	run("a plugin's page", click(`.top nav a[href="/threadline"]`), arrive("Activity"), shots(t, "15-plugin"))
	run("nothing here", chromedp.Navigate(e.base+"/nothing"), arrive("Nothing here"), shots(t, "13-nothing"))
	run("expired", chromedp.Navigate(e.base+"/confirm"), arrive("This link is over"), shots(t, "14-expired"))

	// By keyboard alone: the first Tab stop is the way past the navigation.
	run("keyboard", click(`.brand`), arrive("Your account"), chromedp.KeyEvent("\t"))
	if focused, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.activeElement.className`)); err != nil || focused != "skip" {
		t.Errorf("the first Tab stop is %q (%v)", focused, err)
	}
}
