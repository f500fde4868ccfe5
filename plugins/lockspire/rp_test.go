package lockspire_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// TestRelyingParty: an independent library discovers, exchanges, verifies and refreshes.
func TestRelyingParty(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, secret := w.client("--redirect-uri", callback, "--id-token-alg", "ES256", "--claims-in-id-token")
		ctx := oidc.ClientContext(t.Context(), w.Client(nil))
		provider, err := oidc.NewProvider(ctx, issuer)
		if err != nil {
			t.Fatal(err)
		}
		conf := oauth2.Config{ClientID: id, ClientSecret: secret, Endpoint: provider.Endpoint(), RedirectURL: callback, Scopes: []string{"openid", "profile", "email", "offline_access"}}
		v := oauth2.GenerateVerifier()
		u, err := url.Parse(conf.AuthCodeURL("st-2", oauth2.S256ChallengeOption(v), oidc.Nonce("no-2")))
		if err != nil {
			t.Fatal(err)
		}
		token, err := conf.Exchange(ctx, w.authorized(u.Query()), oauth2.VerifierOption(v))
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := token.Extra("id_token").(string)
		idToken, err := provider.VerifierContext(ctx, &oidc.Config{ClientID: id, SupportedSigningAlgs: []string{oidc.ES256}, Now: w.clock.now}).Verify(ctx, raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := idToken.VerifyAccessToken(token.AccessToken); err != nil || idToken.Subject != w.ada.UserID || idToken.Nonce != "no-2" {
			t.Errorf("ID token: %v %+v", err, idToken)
		}
		var said struct{ Name, Email string }
		if err := idToken.Claims(&said); err != nil || said.Name != "Ada Lovelace" || said.Email != w.ada.Email {
			t.Errorf("claims: %v %+v", err, said)
		}
		info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil || info.Subject != w.ada.UserID || !info.EmailVerified {
			t.Errorf("userinfo: %v %+v", err, info)
		}
		if next := w.refresh(id, secret, token.RefreshToken); next.status != http.StatusOK {
			t.Errorf("refresh: %d %s", next.status, next.body)
		}
	})
}
