package federation

import (
	"encoding/json"

	"github.com/sigra-auth/sigra/core/config"
)

// ParseMetadata judges a discovery document and gives its endpoints.
func ParseMetadata(body []byte, base, tenant string) (named string, endpoints, algs []string, err error) {
	m, err := parseMetadata(body, issuer{base: base, tenant: tenant})
	return m.Issuer, []string{m.AuthorizeURL, m.TokenURL, m.JWKSURL, m.UserinfoURL}, m.Algorithms, err
}

// ReadClaims maps an ID token's claims and an API's answer as a provider of this configuration does.
func ReadClaims(c config.Provider, token, userinfo []byte) (Claims, error) {
	p, err := newProvider(c, "https://id.sigra.example", nil, nil)
	if err != nil {
		return Claims{}, err
	}
	var t, u answer
	if err := decode(token, &t); err != nil {
		return Claims{}, err
	}
	if err := decode(userinfo, &u); err != nil {
		return Claims{}, err
	}
	return p.read(t, u), nil
}

// ParseKeys gives how many keys of a set can verify signatures.
func ParseKeys(body []byte) (int, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := decode(body, &set); err != nil {
		return 0, err
	}
	return len(parseKeys(set.Keys)), nil
}
