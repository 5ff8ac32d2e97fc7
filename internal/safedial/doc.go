// Package safedial makes HTTP clients for addresses that somebody else chose:
// in a pipeline, by a model, in an answer's redirect.
//
// They connect to the public internet alone. Every address is judged when the
// connection is made, after the name was looked up and after every redirect,
// so that no way of writing an address and no change of what a name means gets
// around it. Special networks are those of the IANA registries
//
//   - https://www.iana.org/assignments/iana-ipv4-special-registry
//   - https://www.iana.org/assignments/iana-ipv6-special-registry
//   - https://www.iana.org/assignments/ipv6-address-space
//
// without those that are meant to be reached from anywhere, and addresses at
// which clouds tell machines their secrets. What an operator lists as allowed
// is reached all the same, see [ParseNetworks].
//
// An IPv6 network may translate a prefix of its own to IPv4 (RFC 6052, section
// 3). Only the well-known prefix is seen through; where there is another, a
// packet filter has to keep it from leading inside.
package safedial
