package main

import (
	"net/http"
	"testing"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

const settings = `{"company": {"example.com": {"name": "Example", "url": "https://sso.example.com/", "exclusive": true}}}`

func TestCompany(t *testing.T) {
	t.Parallel()
	run := plugintest.Start(t, plugin(), plugintest.Config{Settings: settings})
	offered, err := run.Offer(t.Context(), pluginsdk.OfferRequest{EmailDomain: "example.com", ReturnTo: "/account"})
	if err != nil || len(offered) != 1 || offered[0].Label != "Continue with Example" || !offered[0].Exclusive {
		t.Fatalf("offered %+v, %v", offered, err)
	}
	client := run.Client(nil)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Get("http://sigra" + offered[0].URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if to := resp.Header.Get("Location"); resp.StatusCode != http.StatusSeeOther || to != "https://sso.example.com/" {
		t.Errorf("%s leads to %q", resp.Status, to)
	}
	if others, err := run.Offer(t.Context(), pluginsdk.OfferRequest{EmailDomain: "example.net", ReturnTo: "/"}); err != nil || len(others) != 0 {
		t.Errorf("others are offered %+v, %v", others, err)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	plugintest.Conform(t, plugin, plugintest.Options{
		Settings:    settings,
		BadSettings: []string{`{"company": {"example.com": {"name": "Example", "url": "javascript:alert(1)"}}}`},
	})
}
