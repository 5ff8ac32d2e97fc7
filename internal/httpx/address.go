package httpx

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/realclientip/realclientip-go"

	"gathering"
)

// forwardedFor is the header of addresses that every proxy appends to.
const forwardedFor = "X-Forwarded-For"

// maxHops is how many proxies are seen through.
const maxHops = 32

// Proxies are the networks of trusted proxies. The zero value trusts nobody.
//
// A trusted proxy must append the address of its own peer to X-Forwarded-For
// or Forwarded, or replace them: what it lets through untouched, a client
// chose. A peer over a unix socket has no address and is never trusted.
type Proxies struct {
	networks []netip.Prefix
	strategy realclientip.RightmostTrustedRangeStrategy
}

// ParseProxies reads a list of networks and addresses such as "10.0.0.0/8,
// ::1". Nothing is no proxies. Its error is KindInvalid and names each entry
// that is wrong by its place in the list.
func ParseProxies(list string) (Proxies, error) {
	if strings.TrimSpace(list) == "" {
		return Proxies{}, nil
	}
	var (
		p      Proxies
		ranges []net.IPNet
		faults []gathering.FieldError
	)
	for i, entry := range strings.Split(list, ",") {
		network, problem := parseNetwork(strings.TrimSpace(entry))
		if problem != "" {
			faults = append(faults, entryFault("proxies", i, problem))
			continue
		}
		p.networks = append(p.networks, network)
		ranges = append(ranges, net.IPNet{
			IP:   network.Addr().AsSlice(),
			Mask: net.CIDRMask(network.Bits(), network.Addr().BitLen()),
		})
	}
	if len(faults) > 0 {
		return Proxies{}, gathering.NewError(gathering.KindInvalid, "the trusted proxies cannot be read").WithFields(faults...)
	}
	strategy, err := realclientip.NewRightmostTrustedRangeStrategy(forwardedFor, ranges)
	if err != nil {
		return Proxies{}, err
	}
	p.strategy = strategy
	return p, nil
}

func entryFault(field string, index int, problem string) gathering.FieldError {
	return gathering.FieldError{Field: field, Problem: "entry " + strconv.Itoa(index+1) + " " + problem}
}

// parseNetwork reads a network or an address, or says what is wrong with it.
func parseNetwork(text string) (network netip.Prefix, problem string) {
	if text == "" {
		return network, "is empty; remove the comma"
	}
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		network = netip.PrefixFrom(address, address.BitLen())
	} else if network, err = netip.ParsePrefix(text); err != nil {
		return network, `is neither a network such as "10.0.0.0/8" nor an address such as "::1"`
	}
	switch {
	case network.Addr().Is4In6():
		return network, `is IPv4 written as IPv6; write it as "10.0.0.0/8" or "10.0.0.1"`
	case network != network.Masked():
		return network, "does not begin where a network of its size does; make the bits behind its length 0"
	}
	return network, ""
}

// Trusted reports whether the peer of a request is a trusted proxy.
func (p Proxies) Trusted(r *http.Request) bool { return p.trusts(peer(r)) }

func (p Proxies) trusts(address netip.Addr) bool {
	for _, network := range p.networks {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// peer is the address at the other end of the connection, the zero Addr if it
// has none.
func peer(r *http.Request) netip.Addr {
	address, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return plain(address.Addr())
}

// plain is an address in the one form in which addresses are compared: IPv4 as
// such, and without the zone, which means something to one machine alone.
func plain(address netip.Addr) netip.Addr { return address.Unmap().WithZone("") }

// Client returns the address of the client, an IPv4 address never as IPv6 and
// never with a zone. It is the peer's, unless the peer is a trusted proxy: then
// it is the first address from the right in X-Forwarded-For or Forwarded (RFC
// 7239) that is not a trusted proxy's.
//
// It is the peer's all the same where the headers name no such address among
// the last 32, where something else than an address is met on the way to it,
// and where both headers are there and differ, as one of them then is the
// client's own. Over a unix socket it is the zero Addr.
func (p Proxies) Client(r *http.Request) netip.Addr {
	address := peer(r)
	if !p.trusts(address) {
		return address
	}
	var claims []netip.Addr
	if lines := r.Header[forwardedFor]; len(lines) > 0 {
		claims = append(claims, p.claim(tail(lines)))
	}
	if lines := r.Header[forwarded]; len(lines) > 0 {
		claims = append(claims, p.claim(nodes(parseForwarded(tail(lines)))))
	}
	if len(claims) == 0 || !claims[0].IsValid() || claims[0] != claims[len(claims)-1] {
		return address
	}
	return claims[0]
}

// tail returns what the last proxies appended to the lines of a header.
func tail(lines []string) string {
	list := strings.Join(lines, ",")
	comma := len(list)
	for range maxHops {
		comma = strings.LastIndexByte(list[:comma], ',')
		if comma < 0 {
			return list
		}
	}
	return list[comma+1:]
}

// claim returns the first address from the right of a list that is not a
// trusted proxy's, or the zero Addr.
func (p Proxies) claim(list string) netip.Addr {
	address, err := netip.ParseAddr(p.strategy.ClientIP(http.Header{forwardedFor: {list}}, ""))
	if err != nil {
		return netip.Addr{}
	}
	return plain(address)
}

// Scheme returns "https" for a request that its client made by TLS, as the
// connection or a trusted proxy says in X-Forwarded-Proto or Forwarded, and
// "http" otherwise, also where they contradict one another.
func (p Proxies) Scheme(r *http.Request) string {
	const plaintext, secure = "http", "https"
	if r.TLS != nil {
		return secure
	}
	if !p.Trusted(r) {
		return plaintext
	}
	var said []string
	for _, line := range r.Header["X-Forwarded-Proto"] {
		said = append(said, strings.Split(line, ",")...)
	}
	said = append(said, p.forwardedProto(r)...)
	for _, protocol := range said {
		if !strings.EqualFold(strings.TrimSpace(protocol), secure) {
			return plaintext
		}
	}
	if len(said) == 0 {
		return plaintext
	}
	return secure
}

// forwardedProto returns what Forwarded says of the client's own connection,
// if anything.
func (p Proxies) forwardedProto(r *http.Request) []string {
	lines := r.Header[forwarded]
	if len(lines) == 0 {
		return nil
	}
	elements, client := parseForwarded(tail(lines)), p.Client(r)
	for _, e := range slices.Backward(elements) {
		node, err := realclientip.ParseIPAddr(e.node)
		if err != nil {
			return nil
		}
		if address, ok := netip.AddrFromSlice(node.IP); !ok || plain(address) != client {
			continue
		}
		if e.proto == "" {
			return nil
		}
		return []string{e.proto}
	}
	return nil
}

// prefixV6 is how many bits of an IPv6 address one client can be sure to share
// with itself: it moves freely within them.
const prefixV6 = 64

// Bucket returns the name under which an address is limited: an IPv4 address
// as a whole, an IPv6 address by its /64, and "local" where there is none.
func Bucket(address netip.Addr) string {
	address = plain(address)
	switch {
	case !address.IsValid():
		return "local"
	case address.Is4():
		return address.String()
	}
	return netip.PrefixFrom(address, prefixV6).Masked().String()
}
