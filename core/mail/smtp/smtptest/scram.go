package smtptest

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// scram is the server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677).
func (c *conversation) scram(initial string) (user string, ok, alive bool) {
	cfg := c.server.cfg
	if initial == "" {
		if initial, alive = c.ask(""); !alive {
			return "", false, false
		}
	}
	b, _ := base64.StdEncoding.DecodeString(initial)
	bare, found := strings.CutPrefix(string(b), "n,,")
	if !found {
		return "", false, true
	}
	attrs := attributes(bare)
	user = attrs["n"]
	nonce := attrs["r"] + rand.Text()
	salt, iterations := []byte("salt of the server"), 4096
	first := "r=" + nonce + ",s=" + base64.StdEncoding.EncodeToString(salt) + ",i=4096"
	line, alive := c.ask(first)
	if !alive {
		return user, false, false
	}
	b, _ = base64.StdEncoding.DecodeString(line)
	final := string(b)
	without, proof, found := strings.Cut(final, ",p=")
	if !found || attributes(final)["r"] != nonce {
		return user, false, true
	}
	salted, err := pbkdf2.Key(sha256.New, cfg.Password, salt, iterations, sha256.Size)
	if err != nil {
		return user, false, true
	}
	mac := func(key []byte, s string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(s))
		return h.Sum(nil)
	}
	clientKey := mac(salted, "Client Key")
	stored := sha256.Sum256(clientKey)
	message := bare + "," + first + "," + without
	signature := mac(stored[:], message)
	want := make([]byte, len(clientKey))
	for i := range clientKey {
		want[i] = clientKey[i] ^ signature[i]
	}
	if user != cfg.User || proof != base64.StdEncoding.EncodeToString(want) {
		return user, false, true
	}
	_, alive = c.ask("v=" + base64.StdEncoding.EncodeToString(mac(mac(salted, "Server Key"), message)))
	return user, true, alive
}

func attributes(s string) map[string]string {
	out := map[string]string{}
	for _, p := range strings.Split(s, ",") {
		if k, v, ok := strings.Cut(p, "="); ok {
			out[k] = v
		}
	}
	return out
}
