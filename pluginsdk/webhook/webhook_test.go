package webhook_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk/webhook"
)

type expectation struct {
	Result string         `json:"result"`
	Reason webhook.Reason `json:"reason"`
	Effect string         `json:"effect"`
}

func read(t testing.TB, name string) webhook.File {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := webhook.ReadFile(b)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func standard(t testing.TB, c webhook.Case) (string, error) {
	t.Helper()
	var config struct {
		Keys      []string `json:"keys"`
		Tolerance int      `json:"tolerance_seconds"`
	}
	if err := json.Unmarshal(c.Config, &config); err != nil {
		t.Fatal(err)
	}
	s, err := webhook.NewStandard(config.Keys, time.Duration(config.Tolerance)*time.Second)
	if err != nil {
		return "", err
	}
	r, err := c.Request()
	if err != nil {
		t.Fatal(err)
	}
	return s.Verify(r, c.At())
}

// TestStandard_cases judges every case of the conformance data.
func TestStandard_cases(t *testing.T) {
	t.Parallel()
	f := read(t, "testdata/standard-webhooks/verify.json")
	seen := map[string]bool{}
	for _, c := range f.Cases {
		var want expectation
		if err := json.Unmarshal(c.Expect, &want); err != nil {
			t.Fatal(err)
		}
		id, err := standard(t, c)
		if (err == nil) != (want.Result == "accept") || webhook.ReasonOf(err) != want.Reason {
			t.Errorf("%s (%s): %v, want %s %s", c.ID, c.Title, err, want.Result, want.Reason)
		}
		if c.Sequence != "" {
			key := c.Sequence + " " + id
			if (want.Effect == "duplicate") != seen[key] {
				t.Errorf("%s: the id %q makes it a duplicate: %v", c.ID, id, seen[key])
			}
			seen[key] = true
		}
	}
	if len(f.Cases) < 60 {
		t.Errorf("only %d cases", len(f.Cases))
	}
}

// TestSigner_cases signs the exact values of the conformance data.
func TestSigner_cases(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/standard-webhooks/sign.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Pairs []struct {
			Long  string `json:"whsk_64"`
			Short string `json:"whsk_32"`
		} `json:"ed25519_keys"`
		Cases []struct {
			ID        string            `json:"id"`
			Keys      []string          `json:"signing_keys"`
			MessageID string            `json:"webhook_id"`
			Timestamp int64             `json:"webhook_timestamp"`
			Body      string            `json:"body"`
			Expect    map[string]string `json:"expect"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	for _, c := range f.Cases {
		keys := c.Keys
		for range 2 { // the second time with the seeds alone
			s, err := webhook.NewSigner(keys...)
			if err != nil {
				t.Fatal(err)
			}
			h, err := s.Sign(c.MessageID, time.Unix(c.Timestamp, 0), []byte(c.Body))
			if err != nil {
				t.Fatal(err)
			}
			if got := h.Get("webhook-signature"); got != c.Expect["webhook-signature"] {
				t.Errorf("%s: %s, want %s", c.ID, got, c.Expect["webhook-signature"])
			}
			for i, k := range keys {
				for _, p := range f.Pairs {
					if k == p.Long {
						keys[i] = p.Short
					}
				}
			}
		}
	}
	if len(f.Cases) < 6 {
		t.Errorf("only %d cases", len(f.Cases))
	}
	if _, err := webhook.NewSigner(""); webhook.ReasonOf(err) != webhook.NotConfigured {
		t.Errorf("an empty key signs: %v", err)
	}
}

// FuzzStandard_verify: nothing that a sender may say is genuine unless it was signed, and nothing stops the receiver.
func FuzzStandard_verify(f *testing.F) {
	const secret = "whsec_uTzhgmyHxPPPmxWA7gHjyTruGs5o23fDCMCGS8nCaY4="
	f.Add("msg_1", "1795435200", "v1,AAAA v1a,AAAA", []byte("{}"))
	for _, c := range read(f, "testdata/standard-webhooks/verify.json").Cases {
		r, err := c.Request()
		if err != nil || len(r.Body) > 4096 {
			continue
		}
		f.Add(r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp"), r.Header.Get("webhook-signature"), r.Body)
	}
	signer, err := webhook.NewSigner(secret)
	if err != nil {
		f.Fatal(err)
	}
	s, err := webhook.NewStandard([]string{secret}, 5*time.Minute)
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1795435200, 0)
	f.Fuzz(func(t *testing.T, id, timestamp, signature string, body []byte) {
		r := webhook.Request{Header: map[string][]string{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signature}}, Body: body}
		got, err := s.Verify(r, now)
		if err != nil {
			if webhook.ReasonOf(err) == "" {
				t.Fatalf("refused without a reason: %v", err)
			}
			return
		}
		at, err := webhook.Timestamp(timestamp)
		if err != nil {
			t.Fatal(err)
		}
		// What was accepted is what the holder of the key signs.
		if _, err := signer.Sign(got, at, body); err != nil || got != id {
			t.Fatalf("accepted what nobody can have signed: %q %v", got, err)
		}
	})
}
