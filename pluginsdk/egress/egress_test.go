package egress_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/pluginsdk/egress"
)

func TestPolicy_table(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/addresses.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		got := "public"
		if r := (*egress.Refused)(nil); errors.As(egress.Policy{}.Check(netip.MustParseAddr(fields[0])), &r) {
			got = r.Why
		}
		if got != fields[1] {
			t.Errorf("%s is %s, want %s", fields[0], got, fields[1])
		}
	}
}

func TestClient(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			_, _ = io.WriteString(w, strings.Repeat("x", 101))
		case "/elsewhere":
			http.Redirect(w, r, "/", http.StatusFound)
		}
	}))
	defer s.Close()
	get := func(cfg egress.Config, path string) (int, error) {
		c := egress.Client(cfg)
		defer c.CloseIdleConnections()
		res, err := c.Get(s.URL + path)
		if err != nil {
			return 0, err
		}
		defer func() { _ = res.Body.Close() }()
		_, err = io.ReadAll(res.Body)
		return res.StatusCode, err
	}
	if _, err := get(egress.Config{}, "/"); !errors.As(err, new(*egress.Refused)) {
		t.Errorf("the loopback: %v", err)
	}
	allowed := egress.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, MaxBody: 100}
	if code, err := get(allowed, "/"); code != http.StatusOK || err != nil {
		t.Errorf("by exception: %d, %v", code, err)
	}
	if _, err := get(allowed, "/large"); !errors.Is(err, egress.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if code, err := get(allowed, "/elsewhere"); code != http.StatusFound || err != nil {
		t.Errorf("a redirect: %d, %v", code, err)
	}
}
