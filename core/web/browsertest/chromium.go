package browsertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// shared is the browser of all tests of a package.
var shared struct {
	mu    sync.Mutex
	users int
	ctx   context.Context
	end   func()
}

// Chromium gives a running browser to open tabs in. With flags, which are added to its command line, it is this test's alone.
func Chromium(t testing.TB, flags ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	if len(flags) > 0 {
		ctx, end, err := start(flags)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(end)
		return ctx
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.users == 0 {
		ctx, end, err := start(nil)
		if err != nil {
			t.Fatal(err)
		}
		shared.ctx, shared.end = ctx, end
	}
	shared.users++
	t.Cleanup(func() {
		shared.mu.Lock()
		defer shared.mu.Unlock()
		if shared.users--; shared.users == 0 {
			shared.end()
		}
	})
	return shared.ctx
}

func start(flags []chromedp.ExecAllocatorOption) (context.Context, func(), error) {
	exe := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			exe = p
			break
		}
	}
	if exe == "" {
		return nil, nil, fmt.Errorf("there is no Chromium here: apt-get install -y chromium")
	}
	profile, err := os.MkdirTemp("", "sigra-chromium")
	if err != nil {
		return nil, nil, err
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(exe), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.UserDataDir(profile))
	alloc, endAlloc := chromedp.NewExecAllocator(context.Background(), append(opts, flags...)...)
	ctx, endBrowser := chromedp.NewContext(alloc)
	end := func() {
		endBrowser()
		endAlloc()
		_ = os.RemoveAll(profile)
	}
	if err := chromedp.Do(ctx); err != nil {
		end()
		return nil, nil, fmt.Errorf("start %s: %w", exe, err)
	}
	return ctx, end, nil
}
