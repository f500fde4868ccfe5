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
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
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

// step is one thing done in the browser.
type step = chromedp.Action[chromedp.Void]

// tab is a page in a browser profile of its own, with virtual authenticators instead of whatever the machine has.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
	dropped    []string // credentials that the Signal API removed
}

// newTab opens a tab. Exceptions and violations of the page's policy fail the test.
func newTab(t *testing.T, browser context.Context) *tab {
	t.Helper()
	b := &tab{t: t}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(b.listen))
	t.Cleanup(cancel)
	b.ctx = ctx
	b.do("open a tab", command(log.Enable, cdp.Empty{}), command(webauthn.Enable, webauthn.EnableParams{}))
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
	case *webauthn.EventCredentialDeleted:
		b.dropped = append(b.dropped, b64.EncodeToString(ev.CredentialID))
	}
}

// command is a command of the DevTools protocol as a step.
func command[P, R any](c cdp.Command[P, R], params P) step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, c, params)
		return err
	})
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

// beforePages runs a script before those of every page from here on.
func beforePages(js string) step {
	return command(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: js})
}

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

// virtual is an authenticator that the browser makes up.
type virtual struct {
	b  *tab
	id webauthn.AuthenticatorID
}

// laptop verifies people, keeps passkeys and backs them up; usbKey does none of that.
var (
	laptop = webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		DefaultBackupEligibility: true, DefaultBackupState: true,
	}
	usbKey = webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap20, Transport: webauthn.AuthenticatorTransportUsb,
		AutomaticPresenceSimulation: true,
	}
)

// plug gives the tab an authenticator.
func (b *tab) plug(o webauthn.VirtualAuthenticatorOptions) *virtual {
	b.t.Helper()
	return &virtual{b, ask(b, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &o}).AuthenticatorID}
}

// ask is a command whose answer matters.
func ask[P, R any](b *tab, c cdp.Command[P, R], params P) (out R) {
	b.t.Helper()
	b.do("ask the browser", chromedp.Func(func(ctx context.Context, target *chromedp.Target) (err error) {
		out, err = cdp.Call(ctx, target, c, params)
		return err
	}))
	return out
}

func (v *virtual) unplug() {
	v.b.t.Helper()
	ask(v.b, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: v.id})
}

// keeps gives what the authenticator keeps, private keys and all.
func (v *virtual) keeps() []*webauthn.Credential {
	v.b.t.Helper()
	return ask(v.b, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: v.id}).Credentials
}

// forget deletes a passkey on the device.
func (v *virtual) forget(c *webauthn.Credential) {
	v.b.t.Helper()
	ask(v.b, webauthn.RemoveCredential, webauthn.RemoveCredentialParams{AuthenticatorID: v.id, CredentialID: c.CredentialID})
}

// learn puts a passkey onto the device, such as one copied from another.
func (v *virtual) learn(c webauthn.Credential) {
	v.b.t.Helper()
	// The generated parameters name an extension that few authenticators have, even where it is not used.
	add := cdp.Command[map[string]any, cdp.Empty]{Method: webauthn.CommandAddCredential}
	ask(v.b, add, map[string]any{"authenticatorId": v.id, "credential": map[string]any{
		"credentialId": c.CredentialID, "isResidentCredential": c.IsResidentCredential, "rpId": c.RpID, "privateKey": c.PrivateKey, "userHandle": c.UserHandle,
		"signCount": c.SignCount, "backupEligibility": c.BackupEligibility, "backupState": c.BackupState, "userName": c.UserName, "userDisplayName": c.UserDisplayName,
	}})
}

// recognize says whether the person's finger is the right one from here on.
func (v *virtual) recognize(yes bool) {
	v.b.t.Helper()
	ask(v.b, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: v.id, IsUserVerified: yes})
}

// touch says whether the person touches it at once from here on, or never.
func (v *virtual) touch(yes bool) {
	v.b.t.Helper()
	ask(v.b, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: v.id, Enabled: yes})
}

// spoil makes it answer wrongly.
func (v *virtual) spoil(signature, uv, up bool) {
	v.b.t.Helper()
	ask(v.b, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: v.id, IsBogusSignature: &signature, IsBadUV: &uv, IsBadUP: &up})
}
