package recoverycode_test

import (
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/credential/recoverycode"
)

func TestClean_whatPeopleType(t *testing.T) {
	t.Parallel()
	const code = "K7QM2XVD9RTA4H01"
	for typed, want := range map[string]string{
		"K7QM-2XVD-9RTA-4H01":                   code,
		"k7qm-2xvd-9rta-4h01":                   code,
		"K7QM2XVD9RTA4H01":                      code,
		" k7Qm 2xVd\t9RtA 4h01 \r\n":            code,
		"K7QM–2XVD—9RTA‐4H01":                   code, // dashes that word processors make
		"K7QM\u00a0-\u00a02XVD-9RTA-4H01":       code,
		"K7QM-2XVD-9RTA-4HO1":                   code,
		"K7QM-2XVD-9RTA-4HoI":                   code,
		"K7QM-2XVD-9RTA-4HOl":                   code,
		"----K7QM2XVD9RTA4H0L----":              code,
		"":                                      "",
		"K7QM-2XVD-9RTA-4H0":                    "",
		"K7QM-2XVD-9RTA-4H011":                  "",
		"K7QM-2XVD-9RTA-4H0U":                   "", // there is no U
		"K7QM.2XVD.9RTA.4H01":                   "",
		"K7QM-2XVD-9RTA-4H0\x00":                "",
		"K7QM-2XVD-9RTA-4H0\xff":                "",
		"Ｋ7QM-2XVD-9RTA-4H01":                   code, // typed wide
		"K7QM-2XVD-9RTA-4H0ı":                   "",   // a dotless i is no I
		code + strings.Repeat(" ", 200):         code,
		strings.Repeat("A", 1<<20):              "",
		"K7QM2XVD9RTA4H01K7QM2XVD9RTA4H01":      "",
		strings.Repeat("-", 16):                 "",
		strings.Repeat("０", 16):                 "0000000000000000",
		"1. K7QM-2XVD-9RTA-4H01":                "",
		"'; DROP TABLE credential_recovery; --": "",
	} {
		got, ok := recoverycode.Clean(typed)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%.40q: %q, %v; want %q", typed, got, ok, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"K7QM-2XVD-9RTA-4H01", "k7qm 2xvd\u00a09rta\u20134hol", "", "U", "\xff", strings.Repeat("0", 17)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		code, ok := recoverycode.Clean(s)
		if !ok {
			return
		}
		if len(code) != 16 || strings.Trim(code, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") != "" {
			t.Fatalf("%q became %q", s, code)
		}
		for _, again := range []string{code, strings.ToLower(code), " " + code[:5] + "-" + code[5:], strings.NewReplacer("0", "o", "1", "l").Replace(code)} {
			if got, ok := recoverycode.Clean(again); !ok || got != code {
				t.Fatalf("%q became %q, and %q %q", s, code, again, got)
			}
		}
	})
}
