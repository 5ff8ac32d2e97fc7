package safedial

import "net/netip"

// Refuse says why an address is not reached; "" means that it is.
func Refuse(allowed []netip.Prefix, address netip.Addr) string {
	return newJudge(allowed).refuse(address)
}
