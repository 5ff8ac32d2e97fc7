// Package event keeps what happened: how events are packed into rows, the feed
// that tells in which order they were committed, and the bell that wakes those
// who wait for more.
//
// The rows are the truth and the bell only a hint: a reader always reads on
// from its last position, so a lost ring makes it slower, never wrong.
package event
