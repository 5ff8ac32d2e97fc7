// Package run stores runs, hands them to owners and reads them back.
//
// A run is a row, a log and an inbox. Only its owner, which is an instance
// with the run's current epoch, appends to the log; everybody else speaks
// through the inbox.
//
//	Start ──insert──▶ queued ──claim (epoch+1)──▶ owner goroutine ──append──▶ log
//	                    ▲                              │     ▲
//	                    │ due, mail                    │     │ mail
//	                  parked ◀──────park───────────────┘   inbox ◀── cancel, child ended
//
// # Crash between any two lines
//
// A commit holds the events, the child runs they start, the mail they send and
// consume, and the run's row; it happened or it did not. What an effect did
// before its result was recorded is decided by the node's idempotency. A run
// whose owner is gone is put back as recovering and claimed like any other; an
// owner that lost its run fails its next append, because the epoch moved on.
//
// # Who is next
//
// Runs that are due wait in queues, one for each priority and project. A free
// slot goes to the highest priority, within it to the project that has the
// fewest slots of this instance, among equals to the one served longest ago,
// and there to the run that is due longest. A new run begins at once only where
// nobody waits. A run whose pipeline bounds how many are under way is not due
// before it was granted a place; it keeps it until it ends.
//
// # Whose it is
//
// An instance may act for its runs until four beats after its last good one
// began, on its own clock, and asks so before each attempt and each commit.
// Others take it for dead after five. Every run of a dead instance counts a
// crash; from the second in a row on it is a suspect, of which an instance works
// on one at a time, and at the fourth it is given up.
package run
