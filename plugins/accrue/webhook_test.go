package accrue_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
)

const stripeSecret = "whsec_of_the_test"

// stripe posts an event as Stripe does, and gives the status and the answer.
func (w *world) stripe(secret, id, typ, object string) (int, string) {
	w.Helper()
	body := fmt.Sprintf(`{"id": %q, "object": "event", "type": %q, "created": %d, "livemode": true, "data": {"object": %s}}`, id, typ, time.Now().Unix(), object)
	at := strconv.FormatInt(time.Now().Unix(), 10)
	m := hmac.New(sha256.New, []byte(secret))
	_, _ = m.Write([]byte(at + "." + body))
	r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, "https://sigra.example/accrue/webhooks/stripe", strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Stripe-Signature", "t="+at+",v1="+hex.EncodeToString(m.Sum(nil)))
	resp, err := w.Client(nil).Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out bytes.Buffer
	_, _ = out.ReadFrom(resp.Body)
	return resp.StatusCode, out.String()
}

// command runs one of Accrue's and gives what it printed.
func (w *world) command(name string, arguments ...string) (string, error) {
	var out bytes.Buffer
	err := w.Command(w.Context(), pluginsdk.CommandCall{Name: name, Arguments: arguments, JSON: true, Operator: "test", Stdout: &out, Stderr: &out})
	return out.String(), err
}

// settled waits until a webhook is no longer pending, and gives it.
func (w *world) settled(id string) (out struct {
	State, Effect string
	Alerts        []string
	Error         string
}) {
	w.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		list, err := w.command("events")
		if err != nil {
			w.Fatal(err)
		}
		for line := range strings.Lines(list) {
			if strings.Contains(line, `"`+id+`"`) && !strings.Contains(line, `"pending"`) {
				if err := json.Unmarshal([]byte(line), &out); err != nil {
					w.Fatal(err)
				}
				return out
			}
		}
	}
	w.Fatalf("%s was not applied", id)
	return out
}

// TestWebhook: what Stripe signed decides on seats, once; what it did not sign leaves nothing.
func TestWebhook(t *testing.T) {
	onBoth(t, `{"plan": {"team": {"prices": ["price_team"]}}, "webhook": {"stripe": {"secrets": ["`+stripeSecret+`"]}}}`, func(w *world) {
		subscription := func(customer, account, price string, seats int) string {
			return fmt.Sprintf(`{"id": "sub_%s", "customer": %q, "status": "active", "metadata": {"sigra_account": %q}, "items": {"data": [{"price": {"id": %q}, "quantity": %d}]}}`, customer, customer, account, price, seats)
		}
		if status, out := w.stripe("whsec_another", "evt_0", "customer.subscription.created", subscription("cus_a", acme, "price_team", 9)); status != http.StatusUnauthorized || !strings.Contains(out, "bad_signature") {
			w.Errorf("a forgery: %d %s", status, out)
		}
		if status, out := w.stripe(stripeSecret, "evt_1", "customer.subscription.created", subscription("cus_a", acme, "price_team", 2)); status != http.StatusOK || !strings.Contains(out, `"duplicate":false`) {
			w.Errorf("%d %s", status, out)
		}
		if status, out := w.stripe(stripeSecret, "evt_1", "customer.subscription.created", subscription("cus_a", acme, "price_team", 2)); status != http.StatusOK || !strings.Contains(out, `"duplicate":true`) {
			w.Errorf("again: %d %s", status, out)
		}
		if got := w.settled("evt_1"); got.State != "done" || got.Effect != "applied" || len(got.Alerts) > 0 {
			w.Errorf("%+v", got)
		}
		for i, want := range []string{"", "", "seat_limit_reached"} {
			if got := w.join(person()); got != want {
				w.Errorf("member %d: %q, want %q", i+1, got, want)
			}
		}
		// Somebody else's customer names the same account, and another a price that nobody knows.
		w.stripe(stripeSecret, "evt_2", "customer.subscription.created", subscription("cus_evil", acme, "price_team", 100))
		if got := w.settled("evt_2"); got.Effect != "deferred" || fmt.Sprint(got.Alerts) != "[account_already_linked]" {
			w.Errorf("%+v", got)
		}
		if got := w.join(person()); got != "seat_limit_reached" {
			w.Errorf("a stranger's subscription made room: %q", got)
		}
		w.stripe(stripeSecret, "evt_3", "customer.subscription.created", subscription("cus_b", "user:"+acme, "price_unknown", 1))
		if got := w.settled("evt_3"); fmt.Sprint(got.Alerts) != "[unmapped_plan]" {
			w.Errorf("%+v", got)
		}
		// One that can't be read is given up, kept, and can be put back.
		w.stripe(stripeSecret, "evt_4", "customer.subscription.created", `{"id": "sub_x", "customer": "cus_x", "status": "teleported"}`)
		if got := w.settled("evt_4"); got.State != "dead" || !strings.Contains(got.Error, "teleported") {
			w.Errorf("%+v", got)
		}
		if out, err := w.command("events replay", "--dead", "--dry-run"); err != nil || strings.TrimSpace(out) != "stripe/evt_4" {
			w.Errorf("%q %v", out, err)
		}
		if out, err := w.command("events replay", "stripe/evt_4"); err != nil {
			w.Errorf("%q %v", out, err)
		}
		if got := w.settled("evt_4"); got.State != "dead" {
			w.Errorf("%+v", got)
		}
		if list, err := w.command("events"); err != nil || strings.Contains(list, "evt_0") || strings.Count(list, "\n") != 4 {
			w.Errorf("a forgery left something behind, or there are not four: %s %v", list, err)
		}
		if n, err := w.Metric(w.Context(), "webhooks_rejected_total", "provider=stripe", "reason=bad_signature"); err != nil || n != 1 {
			w.Errorf("counted %v %v", n, err)
		}
		// An operator says whose the stranger's customer is; the account's own is let go.
		if out, err := w.command("link", "stripe", "cus_evil", acme); err != nil {
			w.Errorf("%q %v", out, err)
		}
		if out, err := w.command("explain", acme); err != nil || !strings.Contains(out, `"seats":100`) {
			w.Errorf("%s %v", out, err)
		}
		if out, err := w.command("customers"); err != nil || !strings.Contains(out, `"customer":"cus_a","account":""`) {
			w.Errorf("%s %v", out, err)
		}
		page, err := w.Client(&pluginsdk.Principal{UserID: acme, Administrator: true}).Get("https://sigra.example/accrue/events")
		if err != nil {
			w.Fatal(err)
		}
		_ = page.Body.Close()
		if page.StatusCode != http.StatusOK {
			w.Errorf("the page answers %d", page.StatusCode)
		}
	})
}
