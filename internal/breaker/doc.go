// Package breaker keeps a circuit breaker for everything that many runs call:
// model providers, HTTP hosts and tools. While what is called is down, calls
// are refused at once, by an error that says for how long.
//
//	         5 failures in a row,
//	         or half of 20 in a minute,
//	         or somebody                            its time is up
//	closed ────────────────────────────────▶ open ────────────────▶ half open
//	   ▲                                      │ ▲                     │   │
//	   └──────────── somebody ────────────────┘ └── a call fails ─────┘   │
//	   └───────────────────────── a call succeeds ────────────────────────┘
//
// It is open for 30 s at first and twice as long after each call that fails
// while it is half open, up to 5 min, or for as long as what was called asks
// for within that. What somebody opened stays so until it is reset, or until
// the time given.
//
// A [Registry] judges in memory and never waits for the database to let a call
// through. That a breaker opened or closed is written after the fact to a row
// and to the log of its stream, its history; instances learn of each other's
// by reading the few rows of open ones. With the database away each judges for
// itself, and what happened is written when it is back. Half open is not
// written: it is an open breaker whose time is up, and each instance lets its
// own call through.
package breaker
