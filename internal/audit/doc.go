// Package audit keeps who did and tried what, so that nobody can change it
// unnoticed.
//
// An entry is a row that commits with the change it tells of. Every half second
// the [Sealer] takes the entries that are not sealed and binds them into a seal:
// how many there are, a hash over all of them, the hash of the seal before, and
// a signature by a key that is not in the database.
//
//	entries  1 2 3   4   5 6          7 8
//	seals    └─1─┘◀──2──◀─3─┘         not sealed yet
//	anchor, beside the keys: "3 is the last, and its hash"
//
// [Verify] finds an entry that was changed, taken away or put under a seal, a
// seal that is missing, and by the anchor a trail that was cut at its end. What
// was taken away before it was sealed it cannot find, and so names how many
// entries are not sealed yet.
//
// Old entries are deleted by whole seals, which stay themselves. A seal says up
// to which the entries may be gone before any of them is, so that nobody else
// can claim that, and whoever verifies at that moment is not misled.
package audit
