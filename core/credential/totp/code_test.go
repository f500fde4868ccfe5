package totp_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	pquerna "github.com/pquerna/otp/totp"

	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// The vectors of RFC 6238 Appendix B for SHA-1, with the secret they are made with.
var (
	rfcSecret  = "12345678901234567890"
	rfcBase32  = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	rfcVectors = []struct {
		unix int64
		code string
	}{
		{59, "94287082"}, {1111111109, "07081804"}, {1111111111, "14050471"}, {1234567890, "89005924"}, {2000000000, "69279037"}, {20000000000, "65353130"},
	}
)

func TestRFC6238_vectors(t *testing.T) {
	t.Parallel()
	for _, v := range rfcVectors {
		got, err := pquerna.GenerateCodeCustom(rfcBase32, time.Unix(v.unix, 0), pquerna.ValidateOpts{Period: 30, Digits: otp.DigitsEight, Algorithm: otp.AlgorithmSHA1})
		if got != v.code || err != nil {
			t.Errorf("the library at %d: %s, %v; want %s", v.unix, got, err, v.code)
		}
	}
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		root := keyring.NewRoot()
		for _, v := range rfcVectors {
			w := newWorld(t, db, root, strings.NewReader(rfcSecret))
			id := w.account()
			w.set(v.unix)
			if got := w.mustEnroll(id); got != rfcBase32 {
				t.Fatalf("secret %s", got)
			}
			if ok, err := w.confirm(id, v.code[2:]); !ok || err != nil {
				t.Errorf("at %d %s: %v, %v", v.unix, v.code[2:], ok, err)
			}
		}
	})
}

// oathtool is another's reading of the same standard: what it says is what people's apps show.
func TestOathtool_agrees(t *testing.T) {
	t.Parallel()
	exe, err := exec.LookPath("oathtool")
	if err != nil {
		t.Fatal("no oathtool here: apt-get install -y oathtool")
	}
	oathtool := func(at int64, secret string, more ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), exe, append([]string{"--totp", "--base32", "--now", fmt.Sprintf("@%d", at)}, append(more, "--", secret)...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("oathtool: %v: %s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for _, v := range rfcVectors {
		if got := oathtool(v.unix, rfcBase32, "--digits=8"); got != v.code {
			t.Errorf("oathtool itself at %d: %s", v.unix, got)
		}
	}
	w := newWorld(t, storetest.Open(t, store.SQLite, sources...), keyring.NewRoot(), nil)
	for range 10 { // ten secrets, since each has codes that begin with zeros at other times
		id := w.account()
		w.set(start)
		secret := w.enrolled(id)
		for _, at := range []int64{start - 30, start + 59, start + 86_399, 1 << 31, 1<<32 + 7} { // an earlier step's code and this one's, and years beyond 32 bits
			if at == start-30 {
				w.set(start + 29)
			} else {
				w.set(at)
			}
			if out, err := w.spend(id, oathtool(at, secret)); out != totp.Right || err != nil {
				t.Errorf("oathtool's code of %d: %v, %v", at, out, err)
			}
		}
	}
}
