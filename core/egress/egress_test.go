package egress_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/sigra-auth/sigra/core/egress"
	twin "github.com/sigra-auth/sigra/pluginsdk/egress"
)

const table = "../../pluginsdk/egress/testdata/addresses.txt"

// verdict is what a policy says, in the words of the table.
func verdict(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return "public"
	}
	if r := (*egress.Refused)(nil); errors.As(err, &r) {
		return r.Why
	}
	if r := (*twin.Refused)(nil); errors.As(err, &r) {
		return r.Why
	}
	t.Fatalf("%v is no *Refused", err)
	return ""
}

// Both packages say of every address in the table what stands there.
func TestPolicy_table(t *testing.T) {
	t.Parallel()
	f, err := os.Open(table)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lines := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		lines++
		a, err := netip.ParseAddr(fields[0])
		if err != nil || len(fields) != 2 {
			t.Fatalf("%q: %v", s.Text(), err)
		}
		for name, got := range map[string]string{
			"core":   verdict(t, egress.Policy{}.Check(a)),
			"plugin": verdict(t, twin.Policy{}.Check(a)),
			"dialer": verdict(t, egress.Policy{}.Control("tcp", netip.AddrPortFrom(a, 443).String(), nil)),
		} {
			if got != fields[1] {
				t.Errorf("%s: %s is %s, want %s", name, a, got, fields[1])
			}
		}
	}
	if lines < 120 {
		t.Errorf("the table has only %d addresses", lines)
	}
}

func TestPolicy_allow(t *testing.T) {
	t.Parallel()
	p := egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("fe80::/10")}}
	for a, want := range map[string]string{
		"10.1.2.3": "public", "10.2.0.0": "private", "fd12::1": "public", "fc00::1": "private", "::ffff:10.1.2.3": "public", "::ffff:10.2.0.0": "mapped",
		"fe80::1%eth0": "public", "169.254.169.254": "link-local",
	} {
		if got := verdict(t, p.Check(netip.MustParseAddr(a))); got != want {
			t.Errorf("%s: %s, want %s", a, got, want)
		}
	}
	if got := verdict(t, p.Check(netip.Addr{})); got != "reserved" {
		t.Errorf("no address: %s", got)
	}
	for network, address := range map[string]string{"unix": "/run/x.sock", "ip4:icmp": "8.8.8.8", "tcp": "example.com:80"} {
		if err := p.Control(network, address, nil); err == nil {
			t.Errorf("%s %s is let through", network, address)
		}
	}
}

// FuzzCheck holds what must be true of every address: what is let through is global by the standard library's judgement, carries no
// IPv4 address in a form that a gateway takes out, and its other spellings are not let through; both packages agree.
func FuzzCheck(f *testing.F) {
	for _, a := range []string{"8.8.8.8", "10.0.0.1", "::1", "::ffff:8.8.8.8", "64:ff9b::1", "2002::1", "fe80::1", "2606::1", "169.254.169.254"} {
		b := netip.MustParseAddr(a).AsSlice()
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		got := verdict(t, egress.Policy{}.Check(a))
		if other := verdict(t, twin.Policy{}.Check(a)); other != got {
			t.Fatalf("%s is %s here and %s for plugins", a, got, other)
		}
		if got != "public" {
			return
		}
		if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || a.Is4In6() {
			t.Errorf("%s is let through", a)
		}
		if a.Is4() {
			in6 := netip.AddrFrom16(a.As16())
			nat, sixToFour := netip.MustParseAddr("64:ff9b::").As16(), netip.MustParseAddr("2002::").As16()
			v4 := a.As4()
			copy(nat[12:], v4[:])
			copy(sixToFour[2:], v4[:])
			for _, other := range []netip.Addr{in6, netip.AddrFrom16(nat), netip.AddrFrom16(sixToFour)} {
				if (egress.Policy{}).Check(other) == nil {
					t.Errorf("%s is let through as %s", a, other)
				}
			}
		}
	})
}

// local is a server on the loopback, which the client reaches only by exception.
func local(t *testing.T, h http.HandlerFunc) (base string, allow []netip.Prefix) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

func get(t *testing.T, c *http.Client, url string) (*http.Response, []byte, error) {
	t.Helper()
	defer c.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return res, b, err
}

// However the loopback is written, it is not reached; by exception it is.
func TestClient_refusesAtConnectTime(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	base, allow := local(t, func(w http.ResponseWriter, _ *http.Request) { reached.Add(1) })
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::1]", "0.0.0.0", "127.1", "2130706433", "0x7f.1", "[64:ff9b::7f00:1]"} {
		if _, _, err := get(t, egress.Client(egress.Config{}), "http://"+host+":"+u.Port()+"/"); err == nil {
			t.Errorf("%s was reached", host)
		}
	}
	_, _, err = get(t, egress.Client(egress.Config{}), base)
	if r := (*egress.Refused)(nil); !errors.As(err, &r) || r.Why != "loopback" || !strings.Contains(err.Error(), `egress { allow = ["127.0.0.1"] }`) {
		t.Errorf("%v", err)
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
	if _, _, err := get(t, egress.Client(egress.Config{Allow: allow}), base); err != nil || reached.Load() != 1 {
		t.Errorf("by exception: %v", err)
	}
}

// rebinding is a name server that answers a public address to the first question and the loopback to those after it.
func rebinding(t *testing.T) (*net.Resolver, *atomic.Int32) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	var asked atomic.Int32
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.Additionals = true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				a := [4]byte{127, 0, 0, 1}
				if asked.Add(1) == 1 {
					a = [4]byte{93, 184, 215, 14}
				}
				m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: &dnsmessage.AResource{A: a}}}
			}
			if b, err := m.Pack(); err == nil {
				_, _ = pc.WriteTo(b, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}, &asked
}

// A name that is public when it is looked at and the loopback when it is used is not reached.
func TestClient_rebinding(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	base, _ := local(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	resolver, asked := rebinding(t)
	first, err := resolver.LookupNetIP(t.Context(), "ip4", "rebind.example.")
	if err != nil || len(first) != 1 || (egress.Policy{}).Check(first[0]) != nil {
		t.Fatalf("the first answer should look public: %v, %v", first, err)
	}
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = get(t, egress.Client(egress.Config{Resolver: resolver}), "http://rebind.example:"+u.Port()+"/")
	if r := (*egress.Refused)(nil); !errors.As(err, &r) || r.Why != "loopback" {
		t.Errorf("%v", err)
	}
	if asked.Load() < 2 || reached.Load() != 0 {
		t.Errorf("asked %d times, reached %d times", asked.Load(), reached.Load())
	}
}

func TestClient_redirects(t *testing.T) {
	t.Parallel()
	var outside string // not allowed
	var landed atomic.Int32
	base, allow := local(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/once":
			http.Redirect(w, r, "/end", http.StatusTemporaryRedirect)
		case "/twice":
			http.Redirect(w, r, "/once", http.StatusFound)
		case "/inside":
			http.Redirect(w, r, outside, http.StatusFound)
		case "/end":
			landed.Add(1)
		}
	})
	outside = strings.Replace(base, "127.0.0.1", "127.0.0.2", 1)
	narrow := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	if res, _, err := get(t, egress.Client(egress.Config{Allow: allow}), base+"/once"); err != nil || res.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("without being asked to: %v, %v", res, err)
	}
	if res, _, err := get(t, egress.Client(egress.Config{Allow: allow, Redirects: 1}), base+"/once"); err != nil || res.StatusCode != http.StatusOK || landed.Load() != 1 {
		t.Errorf("one: %v, %v", res, err)
	}
	if _, _, err := get(t, egress.Client(egress.Config{Allow: allow, Redirects: 1}), base+"/twice"); !errors.Is(err, egress.ErrRedirect) {
		t.Errorf("two for one: %v", err)
	}
	_, _, err := get(t, egress.Client(egress.Config{Allow: narrow, Redirects: 5}), base+"/inside")
	if r := (*egress.Refused)(nil); !errors.As(err, &r) {
		t.Errorf("to an address that is not allowed: %v", err)
	}
	c := egress.Client(egress.Config{Allow: allow, Redirects: 5})
	defer c.CloseIdleConnections()
	if res, err := c.Post(base+"/once", "text/plain", strings.NewReader("secret")); !errors.Is(err, egress.ErrRedirect) {
		if err == nil {
			_ = res.Body.Close()
		}
		t.Errorf("a POST: %v", err)
	}
	secure := httptest.NewTLSServer(http.RedirectHandler(base+"/end", http.StatusFound))
	defer secure.Close()
	c = egress.Client(egress.Config{Allow: allow, Redirects: 5})
	c.Transport = secure.Client().Transport
	if _, _, err := get(t, c, secure.URL); !errors.Is(err, egress.ErrRedirect) {
		t.Errorf("from https to http: %v", err)
	}
}

func TestClient_bounds(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	base, allow := local(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/said":
			_, _ = w.Write(bytes.Repeat([]byte("x"), 1001))
		case "/fits":
			_, _ = w.Write(bytes.Repeat([]byte("x"), 1000))
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte("x"), 512)); err != nil {
					return
				}
				w.(http.Flusher).Flush()
			}
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(make([]byte, 1<<20))
			_ = z.Close()
		case "/headers":
			w.Header().Set("X-Large", strings.Repeat("x", 128<<10))
		case "/drips":
			w.(http.Flusher).Flush()
			select {
			case <-stop:
			case <-r.Context().Done():
			}
		}
	})
	c := egress.Client(egress.Config{Allow: allow, MaxBody: 1000})
	for path, want := range map[string]error{"/said": egress.ErrTooLarge, "/fits": nil, "/endless": egress.ErrTooLarge, "/bomb": egress.ErrTooLarge} {
		if _, _, err := get(t, c, base+path); !errors.Is(err, want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, _, err := get(t, c, base+"/headers"); err == nil {
		t.Error("128 KiB of headers were taken")
	}
	start := time.Now()
	_, _, err := get(t, egress.Client(egress.Config{Allow: allow, Timeout: 100 * time.Millisecond}), base+"/drips")
	if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() || time.Since(start) > 5*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
}

// A proxy is the operator's: it is reached wherever it is. Addresses in URLs are checked all the same.
func TestClient_proxy(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	base, _ := local(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, r.URL.Host)
	})
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	c := egress.Client(egress.Config{Proxy: http.ProxyURL(u)})
	if _, b, err := get(t, c, "http://hooks.example/x"); err != nil || string(b) != "hooks.example" {
		t.Errorf("%q, %v", b, err)
	}
	if _, _, err := get(t, c, "http://169.254.169.254/latest/meta-data/"); err == nil {
		t.Error("an address that is written out went through the proxy")
	}
	if asked.Load() != 1 {
		t.Errorf("the proxy was asked %d times", asked.Load())
	}
}
