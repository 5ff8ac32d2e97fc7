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
package run
