package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
)

// Refused says that an address is none to connect to.
type Refused struct {
	Addr netip.Addr
	Why  string // "private", "loopback" …
}

func (e *Refused) Error() string {
	return fmt.Sprintf("%s is not a public address (%s); an operator can allow it with egress { allow = [%q] }", e.Addr, e.Why, e.Addr.Unmap().WithZone(""))
}

// errNetwork says that a connection is none over TCP or UDP to an IP address.
var errNetwork = errors.New("egress: only TCP and UDP to an IP address")

// named are the ranges inside of what is or looks like public space that are not, and the names of others. The first that fits counts. IANA's
// registries of special-purpose addresses (RFC 6890) list them; the metadata address is Azure's.
var named = []struct {
	prefix netip.Prefix
	why    string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("168.63.129.16/32"), "metadata"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "tunnel"}, // 6to4 relays
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("198.18.0.0/15"), "reserved"}, // benchmarking
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},

	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("64:ff9b::/96"), "nat64"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "nat64"},
	{netip.MustParsePrefix("2001::/32"), "tunnel"}, // Teredo
	{netip.MustParsePrefix("2001::/23"), "reserved"},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation"},
	{netip.MustParsePrefix("2002::/16"), "tunnel"}, // 6to4
	{netip.MustParsePrefix("3fff::/20"), "documentation"},
	{netip.MustParsePrefix("fc00::/7"), "private"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fec0::/10"), "private"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

// globalUnicast is all of IPv6 that has been given out (RFC 4291 §2.4, IANA's registry): what lies outside is refused without a name.
var globalUnicast = netip.MustParsePrefix("2000::/3")

// Policy says which addresses may be connected to. The zero value lets public ones through and no others.
type Policy struct {
	Allow []netip.Prefix // the operator's exceptions
}

// Check returns a *Refused for an address that is not public and that no exception names.
func (p Policy) Check(a netip.Addr) error {
	plain := a.Unmap().WithZone("")
	if slices.ContainsFunc(p.Allow, func(allowed netip.Prefix) bool { return allowed.Contains(plain) }) {
		return nil
	}
	if why := refuse(a); why != "" {
		return &Refused{a, why}
	}
	return nil
}

// refuse says why an address is not public; empty: it is.
func refuse(a netip.Addr) string {
	if !a.IsValid() {
		return "reserved"
	}
	if a.Is4In6() { // a second way to write an address is a way around a list
		return "mapped"
	}
	a = a.WithZone("")
	for _, n := range named {
		if n.prefix.Contains(a) {
			return n.why
		}
	}
	if a.Is6() && !globalUnicast.Contains(a) {
		return "reserved"
	}
	return ""
}

// Control is for net.Dialer.Control: it sees each address after the name was resolved, right before the connection is made. Nothing can change
// between the check and the use, so a name that resolves to another address the second time (DNS rebinding) gains nothing.
func (p Policy) Control(network, address string, _ syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") && !strings.HasPrefix(network, "udp") {
		return errNetwork
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return errNetwork
	}
	return p.Check(at.Addr())
}
