package main

import (
	"context"
	"testing"

	"github.com/sigra-auth/sigra/core/web/browsertest"
)

// patient is how long a page may take on a machine that has much else to do.
const patient = browsertest.Patience

type step = browsertest.Step

// tab is a page in a browser.
type tab struct {
	*browsertest.Tab
	t   *testing.T
	ctx context.Context
}

// newTab opens a tab in a browser profile of its own: two tabs share no cookies, as two people's browsers do.
func newTab(t *testing.T, browser context.Context) *tab {
	t.Helper()
	b := browsertest.NewTab(t, browser)
	return &tab{b, t, b.Context}
}

func (b *tab) do(what string, steps ...step) { b.t.Helper(); b.Do(what, steps...) }
func (b *tab) text() string                  { b.t.Helper(); return b.Text() }
func (b *tab) count(css string) int          { b.t.Helper(); return b.Count(css) }

// entries is what the timeline on the page says.
func (b *tab) entries() string {
	b.t.Helper()
	return browsertest.Evaluate[string](b.Tab, `[...document.querySelectorAll(".timeline-entry")].map(e => e.innerText).join("\n\n")`)
}

// shots looks at the page in the ways that people do.
func (b *tab) shots(name string) step { return browsertest.Shots(b.t, name, browsertest.Looks, nil) }

var (
	open   = browsertest.Open
	click  = browsertest.Click
	typed  = browsertest.Typed
	there  = browsertest.There
	press  = browsertest.Press
	submit = browsertest.Submit
	arrive = browsertest.Arrive
	until  = browsertest.Until
)
