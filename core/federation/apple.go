package federation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/sigra-auth/sigra/core/config"
)

// appleKey makes client secrets: JWTs that say which team asks for which client, signed with the team's key
// (Apple, "Creating a client secret").
type appleKey struct {
	team, client string
	signer       jose.Signer
}

// appleSecretLife is short, as a secret is made for each exchange; Apple allows six months.
const appleSecretLife = 5 * time.Minute

func newAppleKey(c config.Provider) (*appleKey, error) {
	block, _ := pem.Decode([]byte(c.PrivateKey.Reveal()))
	if block == nil || c.TeamID == "" || c.KeyID == "" {
		return nil, errors.New("team_id, key_id and a private key in PEM are needed")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the private key is not PKCS #8")
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, errors.New("the private key is not on the curve P-256")
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: ec}, (&jose.SignerOptions{}).WithHeader(jose.HeaderKey("kid"), c.KeyID))
	if err != nil {
		return nil, err
	}
	return &appleKey{team: c.TeamID, client: c.ClientID, signer: signer}, nil
}

// secret makes one.
func (a *appleKey) secret(audience string, now time.Time) (string, error) {
	s, err := jwt.Signed(a.signer).Claims(jwt.Claims{
		Issuer: a.team, Subject: a.client, Audience: jwt.Audience{audience}, IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(appleSecretLife)),
	}).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign the client secret: %w", err)
	}
	return s, nil
}

// appleName reads the name out of the JSON that Apple posts beside the code, at somebody's first sign-in only. It comes through
// the browser, unsigned: good enough to greet with. Its address is not read at all.
func appleName(userJSON string) string {
	if len(userJSON) > maxUserJSON {
		return ""
	}
	var u struct {
		Name struct {
			First string `json:"firstName"`
			Last  string `json:"lastName"`
		} `json:"name"`
	}
	if json.Unmarshal([]byte(userJSON), &u) != nil {
		return ""
	}
	return CleanName(strings.TrimSpace(u.Name.First + " " + u.Name.Last))
}
