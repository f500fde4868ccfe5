package threadline

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestParseFilter_refusesWhatItCannotMean(t *testing.T) {
	t.Parallel()
	cur := (&cursor{occurredAt: 1, auditID: uuid.Must(uuid.NewV7()).String()}).String()
	for _, c := range []struct{ query, param, says string }{
		{"acton=auth.logout", "acton", "no such parameter"},
		{"action=a&action=b", "action", "more than once"},
		{"action=" + strings.Repeat("x", 513), "action", "513 bytes"},
		{"action=%00", "action", "NUL"},
		{"actor=user", "actor", "type and an id"},
		{"target=:1", "target", "type and an id"},
		{"about=user:", "about", "type and an id"},
		{"relation=did", "relation", "needs about"},
		{"about=user:1&relation=both", "relation", `"did" or "done"`},
		{"outcome=maybe", "outcome", `"success"`},
		{"order=up", "order", `"desc"`},
		{"limit=0", "limit", "1 to 200"},
		{"limit=201", "limit", "1 to 200"},
		{"limit=ten", "limit", "1 to 200"},
		{"ip=192.0.2", "ip", "address or a network"},
		{"ip=192.0.2.0/33", "ip", "address or a network"},
		{"from=yesterday", "from", "2026-01-31"},
		{"from=1969-01-01", "from", "after 1970"},
		{"from=2026-02-01&to=2026-01-01", "to", "later than from"},
		{"after=%21", "after", "not a cursor"},
		{"before=AAAA", "before", "not a cursor"},
		{"after=" + cur + "&before=" + cur, "before", "not both"},
	} {
		q, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		_, err = parseFilter(q, 50)
		pe, ok := err.(*paramError)
		if !ok {
			t.Errorf("%.60s: got %v, want an error", c.query, err)
			continue
		}
		if pe.param != c.param || !strings.Contains(pe.detail, c.says) {
			t.Errorf("%.60s: %s: %s; want one about %s saying %q", c.query, pe.param, pe.detail, c.param, c.says)
		}
	}
}

func TestIPRange(t *testing.T) {
	t.Parallel()
	in := func(network, addr string) bool {
		low, high, err := ipRange(network)
		if err != nil {
			t.Fatal(err)
		}
		k := ipKey(addr)
		return low <= k && k <= high
	}
	for _, c := range []struct {
		network, addr string
		want          bool
	}{
		{"192.0.2.0/24", "192.0.2.0", true}, {"192.0.2.0/24", "192.0.2.255", true}, {"192.0.2.0/24", "192.0.3.0", false},
		{"192.0.2.7", "192.0.2.7", true}, {"192.0.2.7", "::ffff:192.0.2.7", true}, {"192.0.2.7", "192.0.2.8", false},
		{"2001:db8::/32", "2001:db8:ffff:ffff::1", true}, {"2001:db8::/32", "2001:db9::", false},
		{"0.0.0.0/0", "255.255.255.255", true}, {"0.0.0.0/0", "2001:db8::1", false}, {"::/0", "10.0.0.1", true},
	} {
		if got := in(c.network, c.addr); got != c.want {
			t.Errorf("%s in %s: %v", c.addr, c.network, got)
		}
	}
}

func FuzzParseFilter(f *testing.F) {
	f.Add("actor=user:1&after=" + (&cursor{occurredAt: 5, auditID: uuid.Nil.String()}).String())
	f.Add("ip=10.0.0.0/8&from=2026-01-01&to=2026-01-02&order=asc&limit=200")
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		fl, err := parseFilter(q, 50)
		if err != nil {
			if _, ok := err.(*paramError); !ok {
				t.Fatalf("%v does not name a parameter", err)
			}
			return
		}
		if fl.limit < 1 || fl.limit > maxPage {
			t.Fatalf("limit %d", fl.limit)
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add("AAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseCursor(s)
		if err == nil && c.occurredAt < 0 {
			t.Fatal("negative time")
		}
		if err == nil {
			back, err := parseCursor(c.String())
			if err != nil || *back != *c {
				t.Fatalf("%v does not survive the round trip: %v %v", c, back, err)
			}
		}
	})
}
