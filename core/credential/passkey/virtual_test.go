package passkey_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest/virtual"
	"github.com/sigra-auth/sigra/core/web/browsertest"
)

type step = browsertest.Step

// tab is a page in a browser profile of its own, with virtual authenticators instead of whatever the machine has.
type tab struct {
	*browsertest.Tab
	t   *testing.T
	ctx context.Context
}

func newTab(t *testing.T, browser context.Context) *tab {
	t.Helper()
	b := browsertest.NewTab(t, browser)
	b.Forgive("the server responded with a status of")
	b.Do("plug in nothing", virtual.Enable())
	return &tab{b, t, b.Context}
}

func (b *tab) do(what string, steps ...step) { b.t.Helper(); b.Do(what, steps...) }

// text is what a person reads on the page.
func (b *tab) text() string { b.t.Helper(); return b.Text() }

func evaluate[T any](b *tab, js string) T { b.t.Helper(); return browsertest.Evaluate[T](b.Tab, js) }

var (
	open   = browsertest.Open
	click  = browsertest.Click
	typed  = browsertest.Typed
	arrive = browsertest.Arrive
	until  = browsertest.Until
)

const patient = browsertest.Patience

// alert waits until the page tells the person so.
func alert(want string) step {
	return until(`[...document.querySelectorAll('[role="alert"]')].some(e => !e.hidden && e.textContent.includes(` + strconv.Quote(want) + `))`)
}

// plug gives the tab an authenticator.
func (b *tab) plug(o virtual.Options) *virtual.Authenticator {
	b.t.Helper()
	return virtual.Plug(b.do, o)
}
