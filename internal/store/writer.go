package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"
)

const (
	// maxGroup is how many functions one transaction of the writer takes.
	maxGroup = 64
	// afresh is for how long the writer writes with one page cache. The
	// connections of a process share the room of theirs: one that lost pages to
	// others while there was no more room never gets them back, and reads from
	// the file what it has just let go of. Emptied, the caches fill with what is
	// in use.
	afresh = 2 * time.Second
)

// writer is the one goroutine through which everything is written to SQLite. It
// gathers what waits into one transaction, hands the connection to each caller
// in turn and answers all of them once the commit is on disk:
//
//	caller                     writer
//	  │── job ──────────────────▶│ BEGIN IMMEDIATE
//	  │                          │ SAVEPOINT      (when several wait)
//	  │◀──────────────── turn ───│
//	  │ fn(tx)                   │
//	  │── ran(error) ───────────▶│ RELEASE, or ROLLBACK TO
//	  │                          │ … the next caller …
//	  │                          │ COMMIT
//	  │◀─────────────── done ────│
//
// The function runs in its caller's goroutine, so a panic climbs where it
// belongs. A batch has no function: the writer carries it out itself.
type writer struct {
	conn       *sql.Conn
	statements *statements
	batches    *sqliteBatches
	dialect    Dialect
	hook       func(ctx context.Context, commit func() error) error
	queue      chan *job
	closing    chan struct{}
	closeOnce  sync.Once
	ended      chan struct{}
}

// job is one function that waits to be written.
type job struct {
	cancelled <-chan struct{} // its caller's
	batch     *Batch          // is carried out by the writer itself; nil gives its caller a turn
	turn      chan *Tx        // unbuffered: taken, or the caller is gone
	ran       chan error
	done      chan error
}

// errUnwound is what the writer is told of a function that did not return.
var errUnwound = errors.New("the function did not return")

func newWriter(conn *sql.Conn, d Dialect, hook func(context.Context, func() error) error) *writer {
	w := &writer{
		conn:       conn,
		statements: connStatements(conn),
		batches:    newSQLiteBatches(conn),
		dialect:    d,
		hook:       hook,
		queue:      make(chan *job),
		closing:    make(chan struct{}),
		ended:      make(chan struct{}),
	}
	go w.loop()
	return w
}

func (w *writer) close() {
	w.closeOnce.Do(func() { close(w.closing) })
	<-w.ended
}

// tx gives fn its turn in a transaction.
func (w *writer) tx(ctx context.Context, fn func(tx *Tx) error) error {
	j := &job{cancelled: ctx.Done(), turn: make(chan *Tx), ran: make(chan error, 1), done: make(chan error, 1)}
	if err := w.enqueue(ctx, j); err != nil {
		return err
	}
	select {
	case tx := <-j.turn:
		return j.run(tx, fn)
	case err := <-j.done: // there was no transaction to be had
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run carries a batch out. Once it is with the writer it is waited for.
func (w *writer) run(ctx context.Context, b *Batch) error {
	j := &job{cancelled: ctx.Done(), batch: b, done: make(chan error, 2)} // its own failure, and that of the transaction
	if err := w.enqueue(ctx, j); err != nil {
		return err
	}
	if err := <-j.done; !errors.Is(err, errGone) {
		return err
	}
	return ctx.Err()
}

func (w *writer) enqueue(ctx context.Context, j *job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case w.queue <- j:
		return nil
	case <-w.closing:
		return errClosed()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run is the caller's turn.
func (j *job) run(tx *Tx, fn func(tx *Tx) error) error {
	returned := false
	defer func() {
		if !returned {
			_ = tx.end(nil)
			j.ran <- errUnwound
		}
	}()
	err := tx.end(fn(tx))
	returned = true
	j.ran <- err
	if err != nil {
		return err
	}
	return <-j.done
}

func (w *writer) loop() {
	defer close(w.ended)
	defer w.conn.Close()
	defer w.statements.close()
	defer w.batches.close()
	emptied := time.Now()
	for {
		select {
		case first := <-w.queue:
			w.write(w.gather(first))
			if now := time.Now(); now.Sub(emptied) > afresh {
				_ = w.do("PRAGMA shrink_memory") // what matters is written
				emptied = now
			}
		case <-w.closing:
			return
		}
	}
}

// gather takes what waits behind first.
func (w *writer) gather(first *job) []*job {
	jobs := []*job{first}
	for len(jobs) < maxGroup {
		select {
		case j := <-w.queue:
			jobs = append(jobs, j)
		default:
			return jobs
		}
	}
	return jobs
}

// write takes the jobs through one transaction, or through several if one of
// them brings the transaction down.
func (w *writer) write(jobs []*job) {
	for len(jobs) > 0 {
		jobs = jobs[w.transaction(jobs):]
	}
}

// transaction returns how many of the jobs it has dealt with: all of them, or
// those up to the one whose failure SQLite answered by undoing everything.
func (w *writer) transaction(jobs []*job) int {
	if err := w.do("BEGIN IMMEDIATE"); err != nil {
		answer(jobs, err)
		return len(jobs)
	}
	var written []*job
	for i, j := range jobs {
		err, fatal := w.turn(j, len(jobs))
		if fatal != nil {
			_ = w.do("ROLLBACK") // there may be nothing left to undo
			answer(append(written, j), fatal)
			return i + 1
		}
		if err == nil {
			written = append(written, j)
		}
	}
	if len(written) == 0 {
		_ = w.do("ROLLBACK")
		return len(jobs)
	}
	err := commitThrough(context.Background(), w.hook, func() error { return w.do("COMMIT") })
	if err != nil {
		_ = w.do("ROLLBACK") // nothing is left to undo if the commit happened after all
	}
	answer(written, err)
	return len(jobs)
}

// errGone is what the writer is told of a job whose caller has gone.
var errGone = errors.New("the caller has gone")

// turn lets one caller write. err means that nothing of it remains; fatal that
// nothing of the whole transaction does.
func (w *writer) turn(j *job, of int) (err, fatal error) {
	if of > 1 {
		if err := w.do("SAVEPOINT job"); err != nil {
			return err, err
		}
	}
	err = w.let(j, &Tx{session: w.statements, dialect: w.dialect})
	switch {
	case of == 1:
		return err, nil // the whole transaction is undone or committed
	case err != nil:
		if undo := w.do("ROLLBACK TO job"); undo != nil {
			return err, w.dialect.named(err)
		}
	}
	return err, w.do("RELEASE job")
}

// let has the job write.
func (w *writer) let(j *job, tx *Tx) error {
	if j.batch != nil {
		select {
		case <-j.cancelled:
			j.done <- errGone
			return errGone
		default:
		}
		err := tx.end(w.batches.run(context.Background(), tx, j.batch))
		if err != nil {
			j.done <- err
		}
		return err
	}
	select {
	case j.turn <- tx:
		w.batches.age++
		return <-j.ran
	case <-j.cancelled:
		return errGone
	}
}

func (w *writer) do(query string) error {
	return w.dialect.named(w.batches.exec(query))
}

func answer(jobs []*job, err error) {
	for _, j := range jobs {
		j.done <- err
	}
}
