package browsertest

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

// Patience is how long a page may take on a machine that has much else to do.
const Patience = 40 * time.Second

// Step is one thing done in a tab.
type Step = chromedp.Action[chromedp.Void]

// Command is a command of the DevTools protocol as a step.
func Command[P, R any](c cdp.Command[P, R], params P) Step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, c, params)
		return err
	})
}

// Open goes to an address.
func Open(url string) Step { return chromedp.Navigate(url) }

// Click presses the first element of a selector.
func Click(css string) Step { return chromedp.Click(chromedp.CSS(css)) }

// Typed types into a field.
func Typed(css, text string) Step { return chromedp.SendKeys(chromedp.CSS(css), text) }

// Press presses the form's button.
func Press() Step { return Click(`main form button`) }

// Submit presses the form's button and waits for the page it leads to.
func Submit(want string) Step { return chromedp.Steps(Press(), Arrive(want)) }

// Arrive waits until the page's heading is the one wanted.
func Arrive(want string) Step {
	return Until(`document.querySelector("h1")?.textContent.trim() === ` + strconv.Quote(want))
}

// There waits until the page has an element.
func There(css string) Step { return Until(`!!document.querySelector(` + strconv.Quote(css) + `)`) }

// Until waits for a condition across the loading of pages, during which there is nothing to ask.
func Until(condition string) Step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		var last error
		err := wait(ctx, func() (ok bool) {
			ok, last = chromedp.Evaluate[bool](`document.readyState === "complete" && (`+condition+`)`)(ctx, target)
			return last == nil && ok
		})
		if err != nil {
			return fmt.Errorf("waiting for %s: %w (%v)", condition, err, last)
		}
		return nil
	})
}

// Awaits waits for something outside of the browser.
func Awaits(done func() bool) Step {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error { return wait(ctx, done) })
}

func wait(ctx context.Context, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
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
}
