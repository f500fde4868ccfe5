package lockspire

import (
	"net/http"
	"strconv"

	"github.com/go-jose/go-jose/v4"
)

// metadata is what clients find out by themselves (RFC 8414 §2, OpenID Connect Discovery §3, RFC 9207 §3).
func (in *programs) metadata() map[string]any {
	at := in.issuer()
	methods := []string{authBasic, authPost, authNone}
	return map[string]any{
		"issuer":                                         at,
		"authorization_endpoint":                         at + "/authorize",
		"token_endpoint":                                 at + "/token",
		"userinfo_endpoint":                              at + "/userinfo",
		"jwks_uri":                                       at + "/jwks",
		"revocation_endpoint":                            at + "/revoke",
		"introspection_endpoint":                         at + "/introspect",
		"scopes_supported":                               []string{"openid", "profile", "email", "offline_access"},
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       modes,
		"grant_types_supported":                          []string{grantCode, grantRefresh, grantClient},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          algorithms,
		"token_endpoint_auth_methods_supported":          methods,
		"revocation_endpoint_auth_methods_supported":     methods,
		"introspection_endpoint_auth_methods_supported":  []string{authBasic, authPost},
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": true,
		"prompt_values_supported":                        prompts,
		"acr_values_supported":                           acrs,
		"claims_supported": []string{
			"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "azp", "sid",
			"name", "preferred_username", "locale", "email", "email_verified",
		},
		"claims_parameter_supported":      false,
		"request_parameter_supported":     false,
		"request_uri_parameter_supported": false,
	}
}

// forEverybody is what stands before a document that any page may read.
func forEverybody(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return false
	}
	w.Header().Set("Cache-Control", "public, max-age="+strconv.Itoa(int(jwksMaxAge.Seconds())))
	return true
}

func (in *programs) discovery(w http.ResponseWriter, r *http.Request) {
	if forEverybody(w, r) {
		_ = writeJSON(w, http.StatusOK, in.metadata())
	}
}

func (in *programs) jwks(w http.ResponseWriter, r *http.Request) {
	if !forEverybody(w, r) {
		return
	}
	keys, err := in.keys.published(r.Context())
	if err != nil {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Retry-After", "5")
		_ = writeJSON(w, in.trouble(r, err), map[string]string{"error": "temporarily_unavailable"})
		return
	}
	_ = writeJSON(w, http.StatusOK, jose.JSONWebKeySet{Keys: keys})
}
