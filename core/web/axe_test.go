package web_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// axe is the accessibility engine's own source, as npm has it. It is installed into the user's cache, by the lock file beside
// this test, and never into the tree.
var axe = sync.OnceValues(func() (string, error) {
	lock, err := os.ReadFile("testdata/axe/package-lock.json")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	sum := sha256.Sum256(lock)
	dir := filepath.Join(cache, "sigra-test", "axe-"+hex.EncodeToString(sum[:8]))
	script := filepath.Join(dir, "node_modules", "axe-core", "axe.min.js")
	if b, err := os.ReadFile(script); err == nil {
		return string(b), nil
	}
	// Made beside it and moved into place, since other test runs may be doing the same.
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", err
	}
	made, err := os.MkdirTemp(filepath.Dir(dir), "axe-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(made)
	if err := os.CopyFS(made, os.DirFS("testdata/axe")); err != nil {
		return "", err
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	cmd.Dir = made
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci, which brings axe-core: %w\n%s", err, out)
	}
	if err := os.Rename(made, dir); err != nil && !os.IsExist(err) {
		if _, there := os.Stat(script); there != nil {
			return "", err
		}
	}
	b, err := os.ReadFile(script)
	return string(b), err
})

// finding is a rule that a page breaks.
type finding struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// looksOnly are the rules whose outcome depends on colours and measures. All others are about the document, which is the same in
// every look.
const looksOnly = `runOnly: ["color-contrast", "link-in-text-block", "target-size", "scrollable-region-focusable", "css-orientation-lock"], `

// findings are what axe-core finds on the page at hand: with all its rules, those of WCAG 2.2 A and AA and its best practices,
// or with those that options name.
func findings(ctx context.Context, tab *chromedp.Target, options string) ([]finding, error) {
	source, err := axe()
	if err != nil {
		return nil, err
	}
	there, err := chromedp.Evaluate[bool](`!!window.axe`)(ctx, tab)
	if err == nil && !there {
		_, err = evaluate(ctx, tab, source+"\n;true")
	}
	if err != nil {
		return nil, err
	}
	out, err := evaluate(ctx, tab, `axe.run(document, {`+options+`resultTypes: ["violations"]}).then((r) => JSON.stringify(r.violations))`)
	if err != nil {
		return nil, err
	}
	var text string
	var found []finding
	if err := json.Unmarshal(out, &text); err != nil {
		return nil, err
	}
	return found, json.Unmarshal([]byte(text), &found)
}

// accessible holds that axe-core finds nothing. again says that it has seen the page before, in another look.
func accessible(ctx context.Context, t *testing.T, tab *chromedp.Target, name string, again bool) error {
	options := ""
	if again {
		options = looksOnly
	}
	found, err := findings(ctx, tab, options)
	for _, f := range found {
		for _, n := range f.Nodes {
			t.Errorf("%s: axe-core: %s (%s): %s\n%s", name, f.ID, f.Help, n.HTML, n.Summary)
		}
	}
	return err
}

// blind fails when axe-core finds nothing where there is something to find.
func blind(t *testing.T) step {
	return chromedp.Steps(chromedp.Navigate(`data:text/html,<title>x</title><img src="x"><p style="color:%23ddd">pale</p>`), chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		found, err := findings(ctx, tab, "")
		rules := map[string]bool{}
		for _, f := range found {
			rules[f.ID] = true
		}
		if err == nil && (!rules["image-alt"] || !rules["html-has-lang"] || !rules["color-contrast"]) {
			t.Errorf("axe-core sees %v", rules)
		}
		return err
	}))
}

// evaluate runs a script in the page and waits for what it promises.
func evaluate(ctx context.Context, tab *chromedp.Target, script string) ([]byte, error) {
	yes := true
	out, err := cdp.Call(ctx, tab, runtime.Evaluate, runtime.EvaluateParams{Expression: script, AwaitPromise: &yes, ReturnByValue: &yes})
	if err != nil {
		return nil, err
	}
	if d := out.ExceptionDetails; d != nil {
		text := d.Text
		if d.Exception != nil {
			text += " " + d.Exception.Description
		}
		return nil, fmt.Errorf("script: %s", strings.TrimSpace(text))
	}
	return out.Result.Value, nil
}
