// Package keyring holds the keys of an installation: what encrypts stored
// secrets, signs access tokens and seals the audit trail.
//
// A ring is one or more root keys of 32 random bytes, the last of which is the
// current one; the others are kept to read what was made with them. For each
// purpose a key of its own is derived from a root key by HKDF (RFC 5869), so
// that nothing made for one purpose is good for another.
//
// The ring is in the file keys.json of the data directory, made at first use
// and for its owner alone, or in the environment where several machines share a
// database. A database knows which root keys it was used with: see
// [Ring.Agree].
package keyring
