package provider_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/plugins/accrue/provider"
	"github.com/sigra-auth/sigra/pluginsdk/webhook"
)

type expectation struct {
	Result string         `json:"result"`
	Reason webhook.Reason `json:"reason"`
	Effect string         `json:"effect"`
}

func cases(t testing.TB, file string) []webhook.Case {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f, err := webhook.ReadFile(b)
	if err != nil {
		t.Fatal(err)
	}
	return f.Cases
}

func judge(t testing.TB, name string, c webhook.Case) (string, error) {
	t.Helper()
	var config struct {
		Secrets   []string `json:"secrets"`
		Tolerance int      `json:"tolerance_seconds"`
	}
	if err := json.Unmarshal(c.Config, &config); err != nil {
		t.Fatal(err)
	}
	v, err := provider.New(name, provider.Config{Secrets: config.Secrets, Tolerance: time.Duration(config.Tolerance) * time.Second})
	if err != nil {
		return "", err
	}
	r, err := c.Request()
	if err != nil {
		t.Fatal(err)
	}
	return v.Verify(r, c.At())
}

// TestVerify_cases judges every case of the conformance data of Stripe and of Paddle.
func TestVerify_cases(t *testing.T) {
	t.Parallel()
	for name, atLeast := range map[string]int{provider.Stripe: 42, provider.Paddle: 36} {
		list := cases(t, "testdata/"+name+"/signatures.json")
		seen := map[string]bool{}
		for _, c := range list {
			var want expectation
			if err := json.Unmarshal(c.Expect, &want); err != nil {
				t.Fatal(err)
			}
			id, err := judge(t, name, c)
			if (err == nil) != (want.Result == "accept") || webhook.ReasonOf(err) != want.Reason {
				t.Errorf("%s (%s): %v, want %s %s", c.ID, c.Title, err, want.Result, want.Reason)
			}
			if key := c.Sequence + " " + id; c.Sequence != "" {
				if seen[key] != (want.Effect == "duplicate") {
					t.Errorf("%s: the id %q was seen before: %v", c.ID, id, seen[key])
				}
				seen[key] = true
			}
		}
		if len(list) < atLeast {
			t.Errorf("%s: only %d cases", name, len(list))
		}
	}
}

// TestSigra verifies what another Sigra signs, with two secrets while one replaces the other.
func TestSigra(t *testing.T) {
	t.Parallel()
	now := time.Unix(1795435200, 0)
	sign := func(secret, text string) string {
		m := hmac.New(sha256.New, []byte(secret))
		_, _ = m.Write([]byte(text))
		return "v1=" + hex.EncodeToString(m.Sum(nil))
	}
	for name, c := range map[string]struct {
		id, at, signature string
		secrets           []string
		want              webhook.Reason
	}{
		"genuine":                {"evt_1", "1795435200", sign("new", `evt_1.1795435200.{}`), []string{"new"}, ""},
		"two secrets, two signs": {"evt_1", "1795435200", sign("new", `evt_1.1795435200.{}`) + "," + sign("old", `evt_1.1795435200.{}`), []string{"other", "old"}, ""},
		"another's":              {"evt_1", "1795435200", sign("x", `evt_1.1795435200.{}`), []string{"new"}, webhook.BadSignature},
		"old":                    {"evt_1", "1795434899", sign("new", `evt_1.1795434899.{}`), []string{"new"}, webhook.TimestampSkew},
		"the boundary moved":     {"evt_1.1795434899", "1795435200", sign("new", `evt_1.1795434899.1795435200.{}`), []string{"new"}, webhook.MalformedHeader},
		"no id":                  {"", "1795435200", sign("new", `.1795435200.{}`), []string{"new"}, webhook.MissingHeader},
		"no secret":              {"evt_1", "1795435200", sign("", `evt_1.1795435200.{}`), []string{""}, webhook.NotConfigured},
	} {
		v, err := provider.New(provider.Sigra, provider.Config{Secrets: c.secrets})
		if err == nil {
			h := http.Header{}
			h.Set("Sigra-Webhook-Id", c.id)
			h.Set("Sigra-Webhook-Timestamp", c.at)
			h.Set("Sigra-Webhook-Signature", c.signature)
			_, err = v.Verify(webhook.Request{Header: h, Body: []byte("{}")}, now)
		}
		if webhook.ReasonOf(err) != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func fuzz(f *testing.F, name, header string) {
	for _, c := range cases(f, "testdata/"+name+"/signatures.json") {
		if r, err := c.Request(); err == nil && len(r.Body) < 4096 {
			f.Add(r.Header.Get(header), r.Body)
		}
	}
	v, err := provider.New(name, provider.Config{Secrets: []string{"known to nobody who wrote these"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, h string, body []byte) {
		id, err := v.Verify(webhook.Request{Header: http.Header{http.CanonicalHeaderKey(header): {h}}, Body: body}, time.Unix(1795435200, 0))
		if err == nil || webhook.ReasonOf(err) == "" {
			t.Fatalf("%q %v", id, err)
		}
	})
}

// FuzzStripe: without the secret nothing is genuine.
func FuzzStripe(f *testing.F) { fuzz(f, provider.Stripe, "Stripe-Signature") }

// FuzzPaddle: without the secret nothing is genuine.
func FuzzPaddle(f *testing.F) { fuzz(f, provider.Paddle, "Paddle-Signature") }

// FuzzSigra: without the secret nothing is genuine.
func FuzzSigra(f *testing.F) {
	v, err := provider.New(provider.Sigra, provider.Config{Secrets: []string{"known to nobody who wrote these"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("evt_1", "1795435200", "v1=00", []byte("{}"))
	f.Fuzz(func(t *testing.T, id, at, signature string, body []byte) {
		h := http.Header{"Sigra-Webhook-Id": {id}, "Sigra-Webhook-Timestamp": {at}, "Sigra-Webhook-Signature": {signature}}
		if got, err := v.Verify(webhook.Request{Header: h, Body: body}, time.Unix(1795435200, 0)); err == nil || webhook.ReasonOf(err) == "" {
			t.Fatalf("%q %v", got, err)
		}
	})
}
