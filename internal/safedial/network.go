package safedial

import (
	"net/netip"
	"strconv"
	"strings"

	"gathering"
)

// Setting is the name of the setting that lists the special networks outgoing
// calls may reach, as errors tell it.
const Setting = "GATHERING_ALLOW_PRIVATE_NETWORKS"

// ParseNetworks reads a list of networks such as "10.0.0.0/8, 127.0.0.1/32,
// fd00::/8". Nothing is no networks. Its error names each entry that is wrong
// by its place in the list.
func ParseNetworks(list string) ([]netip.Prefix, error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	var (
		networks []netip.Prefix
		faults   []gathering.FieldError
	)
	for i, entry := range strings.Split(list, ",") {
		network, problem := parseNetwork(strings.TrimSpace(entry))
		if problem != "" {
			faults = append(faults, gathering.FieldError{Field: Setting, Problem: "entry " + strconv.Itoa(i+1) + " " + problem})
			continue
		}
		networks = append(networks, network)
	}
	if len(faults) > 0 {
		return nil, gathering.NewError(gathering.KindInvalid, "the networks cannot be read").WithFields(faults...)
	}
	return networks, nil
}

// parseNetwork reads one network, or says what is wrong with it.
func parseNetwork(text string) (network netip.Prefix, problem string) {
	if text == "" {
		return network, "is empty; remove the comma"
	}
	network, err := netip.ParsePrefix(text)
	switch address, single := netip.ParseAddr(text); {
	case err != nil && single == nil && address.Is4():
		return network, "is a single address; write /32 behind it"
	case err != nil && single == nil && address.Zone() == "":
		return network, "is a single address; write /128 behind it"
	case err != nil:
		return network, `is not a network such as "10.0.0.0/8" or "fd00::/8"`
	case network.Addr().Is4In6():
		return network, `is an IPv4 network written as IPv6; write it as "10.0.0.0/8"`
	case network != network.Masked():
		return network, "does not begin where a network of its size does; make the bits behind its length 0"
	}
	return network, ""
}

// block is a network that outgoing calls do not reach.
type block struct {
	network netip.Prefix
	name    string
}

// special returns the networks refused in IPv4, and in IPv6 those refused of
// the range for global unicast. Everything outside that range is refused too.
func special() []block {
	table := []struct{ network, name string }{
		{"0.0.0.0/8", "this network"},
		{"10.0.0.0/8", "private use"},
		{"100.64.0.0/10", "shared address space"},
		{"127.0.0.0/8", "loopback"},
		{"168.63.129.16/32", "a cloud's own service"},
		{"169.254.0.0/16", "link-local"},
		{"172.16.0.0/12", "private use"},
		{"192.0.0.0/24", "protocol assignments"},
		{"192.0.2.0/24", "documentation"},
		{"192.88.99.0/24", "6to4 relays"},
		{"192.168.0.0/16", "private use"},
		{"198.18.0.0/15", "benchmarking"},
		{"198.51.100.0/24", "documentation"},
		{"203.0.113.0/24", "documentation"},
		{"224.0.0.0/4", "multicast"},
		{"240.0.0.0/4", "reserved and broadcast"},
		{"2001::/23", "protocol assignments and Teredo"},
		{"2001:db8::/32", "documentation"},
		{"2002::/16", "6to4"},
		{"3fff::/20", "documentation"},
	}
	blocks := make([]block, 0, len(table))
	for _, line := range table {
		blocks = append(blocks, block{netip.MustParsePrefix(line.network), line.name})
	}
	return blocks
}

// judge tells special addresses from others.
type judge struct {
	allowed  []netip.Prefix
	special  []block
	global   netip.Prefix // IPv6 global unicast
	embedded netip.Prefix // IPv6 addresses that stand for IPv4 ones
}

func newJudge(allowed []netip.Prefix) *judge {
	return &judge{allowed, special(), netip.MustParsePrefix("2000::/3"), netip.MustParsePrefix("64:ff9b::/96")}
}

// refuse says why an address is not reached; "" means that it is.
func (j *judge) refuse(address netip.Addr) string {
	zone := address.Zone()
	address = address.WithZone("").Unmap()
	for _, network := range j.allowed {
		if network.Contains(address) {
			return ""
		}
	}
	if zone != "" {
		return "of one interface"
	}
	if j.embedded.Contains(address) {
		bytes := address.As16()
		address = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	for _, b := range j.special {
		if b.network.Contains(address) {
			return b.name
		}
	}
	if address.Is6() && !j.global.Contains(address) {
		return "not global unicast"
	}
	return ""
}

// number reports whether a host is neither a name nor an address as it is
// commonly written, but a number or several, which some resolvers take for an
// address: 2130706433, 0x7f.1, 0177.0.0.1. So are hosts read by
// https://url.spec.whatwg.org/#ends-in-a-number-checker.
func number(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	last := strings.ToLower(labels[len(labels)-1])
	if digits, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}
