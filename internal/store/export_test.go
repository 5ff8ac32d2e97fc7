package store

import "time"

// WithBusyTimeout sets how long SQLite waits for another process's lock.
func (o Options) WithBusyTimeout(d time.Duration) Options {
	o.busyTimeout = d
	return o
}
