// Package event keeps what happened: how events are packed into rows, the feed
// that tells in which order they were committed, and the bell that wakes those
// who wait for more.
//
// The rows are the truth and the bell only a hint: a reader always reads on
// from its last position, so a lost ring makes it slower, never wrong.
//
// Many readers of one log share a [Tail], which reads what is new once for all
// of them:
//
//	commit ─▶ rows, feed ─▶ bell ─▶ follower ─▶ the last items ─▶ readers
//	               └──────────── what is older ──────────────────────▶┘
//
// Beside that there are [Deltas], which pass on what is going on and is not
// stored: a subscriber that is slow is told how much it missed.
package event
