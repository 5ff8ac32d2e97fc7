package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Querier reads. Both a [Tx] and the pool of readers do.
type Querier interface {
	// Query runs a statement that returns rows. Close them.
	Query(ctx context.Context, query string, args ...any) (*Rows, error)
	// QueryRow runs a statement of which one row matters. Its error, and
	// [sql.ErrNoRows] when there is no row, come from Scan.
	QueryRow(ctx context.Context, query string, args ...any) *Row
}

// Scanner is one row of a result. Scan copies its columns into dest.
type Scanner interface {
	Scan(dest ...any) error
}

// session runs statements on one connection or on a pool, with parameters that
// are portable already, and returns the driver's errors.
type session interface {
	exec(ctx context.Context, query string, args []any) (int64, error)
	// query leaves it to the caller to set who names the errors of the rows.
	query(ctx context.Context, query string, args []any) (*Rows, error)
}

// Tx is a write transaction. It belongs to the goroutine it was given to and is
// over when the function it was given to returns. After a statement has failed
// every other fails with the same error, and the transaction is rolled back.
type Tx struct {
	session session
	dialect Dialect
	open    []*Rows
	err     error // the first failure
	over    bool
}

var errOver = errors.New("the transaction is over")

// Dialect says what SQL this database wants where the two differ.
func (tx *Tx) Dialect() Dialect { return tx.dialect }

// Exec runs a statement and returns how many rows it changed.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	args, err := tx.ready(ctx, args)
	if err != nil {
		return 0, err
	}
	n, err := tx.session.exec(ctx, query, args)
	return n, tx.failed(err)
}

// Query runs a statement that returns rows. They must be closed before the next
// statement: PostgreSQL has one at a time on a connection. What is still open at
// the end of the transaction is closed then.
func (tx *Tx) Query(ctx context.Context, query string, args ...any) (*Rows, error) {
	args, err := tx.ready(ctx, args)
	if err != nil {
		return nil, err
	}
	rows, err := tx.session.query(ctx, query, args)
	if err != nil {
		return nil, tx.failed(err)
	}
	rows.named = tx.failed
	tx.open = append(tx.open, rows)
	return rows, nil
}

// QueryRow runs a statement of which one row matters.
func (tx *Tx) QueryRow(ctx context.Context, query string, args ...any) *Row {
	rows, err := tx.Query(ctx, query, args...)
	return &Row{rows: rows, err: err}
}

func (tx *Tx) ready(ctx context.Context, args []any) ([]any, error) {
	switch {
	case tx.over:
		return nil, errOver
	case tx.err != nil:
		return nil, tx.err
	case ctx.Err() != nil:
		return nil, tx.failed(ctx.Err())
	}
	args, err := portable(args)
	return args, tx.failed(err)
}

// failed notes the first failure and names it.
func (tx *Tx) failed(err error) error {
	if err == nil {
		return nil
	}
	err = tx.dialect.named(err)
	if tx.err == nil {
		tx.err = err
	}
	return err
}

// end closes what was left open and returns why the transaction may not be
// committed: the function's own error, or a failure it passed over.
func (tx *Tx) end(err error) error {
	for _, rows := range tx.open {
		_ = rows.Close()
	}
	tx.open, tx.over = nil, true
	if err == nil {
		err = tx.err
	}
	return err
}

// reader reads outside transactions.
type reader struct{ db *DB }

func (r *reader) Query(ctx context.Context, query string, args ...any) (*Rows, error) {
	if r.db.closed.Load() {
		return nil, errClosed()
	}
	args, err := portable(args)
	if err != nil {
		return nil, err
	}
	rows, err := r.db.backend.reader().query(ctx, query, args)
	if err != nil {
		return nil, r.db.dialect.named(err)
	}
	rows.named = r.db.dialect.named
	return rows, nil
}

func (r *reader) QueryRow(ctx context.Context, query string, args ...any) *Row {
	rows, err := r.Query(ctx, query, args...)
	return &Row{rows: rows, err: err}
}

// Rows is the result of a query, read with Next and Scan and ended with Close,
// or read whole with Each.
type Rows struct {
	rows    *sql.Rows
	release func() // nil: there is nothing to release
	named   func(error) error
}

func newRows(rows *sql.Rows, err error) (*Rows, error) {
	if err != nil {
		return nil, err
	}
	return &Rows{rows: rows}, nil
}

// Next moves to the next row and reports whether there is one. After the last,
// ask Err whether all were read.
func (r *Rows) Next() bool { return r.rows.Next() }

// Scan copies the columns of the current row into dest.
func (r *Rows) Scan(dest ...any) error { return r.named(r.rows.Scan(dest...)) }

// Err is why the rows ended before their end; nil if they did not.
func (r *Rows) Err() error { return r.named(r.rows.Err()) }

// Close ends the reading. It may be called more than once.
func (r *Rows) Close() error {
	err := r.rows.Close()
	if r.release != nil {
		r.release()
		r.release = nil
	}
	return r.named(err)
}

// Each calls scan for every row and closes the rows. It stops at the first error.
func (r *Rows) Each(scan func(row Scanner) error) error {
	defer r.Close()
	for r.Next() {
		if err := scan(r); err != nil {
			return err
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	return r.Close()
}

// Row is the first row of a result.
type Row struct {
	rows *Rows
	err  error
}

// Scan copies the row's columns into dest and ends the reading. Its error is
// [sql.ErrNoRows] when there is no row.
func (r *Row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return sql.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	return r.rows.Close()
}

// commitThrough commits by way of hook, which may be nil.
func commitThrough(ctx context.Context, hook func(context.Context, func() error) error, commit func() error) error {
	if hook == nil {
		return commit()
	}
	called := false
	var result error
	err := hook(ctx, func() error {
		called = true
		result = commit()
		return result
	})
	switch {
	case !called && err == nil:
		return errors.New("the commit was left out")
	case !called || result != nil && err != nil:
		return err
	case result != nil:
		return result
	case err != nil:
		return &AmbiguousError{Err: fmt.Errorf("after the commit: %w", err)}
	}
	return nil
}
