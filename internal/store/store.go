package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"gathering"
)

// Options say which database to open and how. Dir or URL must be set.
type Options struct {
	// Dir is the data directory; it holds gathering.db unless URL is set. It
	// is made, for its owner alone, if it does not exist.
	Dir string
	// URL names a PostgreSQL database, as in postgres://user@host/name; a
	// search_path in it is kept. "" is SQLite in Dir.
	URL string
	// Logger hears of migrations and of transactions tried again. Default: nobody.
	Logger *slog.Logger
	// ReadOnly opens a SQLite database beside the process that holds its
	// directory, for reading alone. The schema must be current. On PostgreSQL
	// it means no migration and no writes.
	ReadOnly bool
	// Command is what this process is doing, told to whoever finds the
	// directory held. Default: the program's name.
	Command string
	// Connections is how many connections the PostgreSQL pool may open, at
	// least 2. Default: 10.
	Connections int
	// Commit wraps every commit of a write transaction or batch; nil commits
	// directly. Tests of recovery fail before or after it: an error returned
	// after commit was called and succeeded is an ambiguous one.
	Commit func(ctx context.Context, commit func() error) error

	busyTimeout time.Duration // how long SQLite waits for another process's lock; default 5 s
}

// DB is an open database. It is safe for use by many goroutines.
type DB struct {
	dialect   Dialect
	backend   backend
	directory *directory // nil on PostgreSQL and when read-only
	beside    string     // the directory that was opened to read, perhaps beside its holder
	logID     string
	readOnly  bool
	closed    atomic.Bool
}

// backend is what SQLite and PostgreSQL each do in their own way.
type backend interface {
	// tx runs fn in a write transaction.
	tx(ctx context.Context, fn func(tx *Tx) error) error
	// run carries out a batch that has statements.
	run(ctx context.Context, b *Batch) error
	// reader is the pool that reads outside transactions.
	reader() session
	// live holds a key for as long as this process and its connection live.
	live(ctx context.Context, key string) (Liveness, error)
	// alive reports whether another process holds the key.
	alive(ctx context.Context, key string) (bool, error)
	close() error
}

// Open opens the database, takes the lock of its directory (SQLite) and brings
// its schema up to date. A directory that another process holds is a
// [gathering.KindConflict] with [gathering.CodeDirectoryHeld]; a schema newer
// than this program, and a SQLite database of another, are conflicts too.
func Open(ctx context.Context, o Options) (*DB, error) {
	o = o.withDefaults()
	db := &DB{readOnly: o.ReadOnly}
	if err := db.open(ctx, o); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return db, nil
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Connections == 0 {
		o.Connections = 10
	}
	o.Connections = max(o.Connections, 2) // one of them holds the lock while another migrates
	if o.busyTimeout == 0 {
		o.busyTimeout = 5 * time.Second
	}
	return o
}

func (db *DB) open(ctx context.Context, o Options) error {
	switch {
	case o.URL != "":
		pg, err := openPostgreSQL(ctx, o)
		if err != nil {
			return err
		}
		db.backend, db.dialect = pg, pg.dialect
	case o.Dir != "":
		if err := db.openDirectory(ctx, o); err != nil {
			return err
		}
	default:
		return gathering.NewError(gathering.KindInvalid, "no database is named: give a data directory or a database URL")
	}
	return db.identify(ctx)
}

func (db *DB) openDirectory(ctx context.Context, o Options) error {
	if !o.ReadOnly {
		directory, err := holdDirectory(ctx, o)
		if err != nil {
			return err
		}
		db.directory = directory
	} else {
		db.beside = o.Dir
	}
	lite, err := openSQLite(ctx, o)
	if err != nil {
		return err
	}
	db.backend, db.dialect = lite, lite.dialect
	return nil
}

// identify reads the log's identity and, the first time, makes it up.
func (db *DB) identify(ctx context.Context) error {
	const query = `SELECT value FROM meta WHERE key = 'log_id'`
	err := db.Read().QueryRow(ctx, query).Scan(&db.logID)
	if errors.Is(err, sql.ErrNoRows) {
		err = db.Tx(ctx, func(tx *Tx) error {
			const insert = `INSERT INTO meta (key, value) VALUES ('log_id', $1) ON CONFLICT (key) DO NOTHING`
			if _, err := tx.Exec(ctx, insert, rand.Text()); err != nil {
				return err
			}
			return tx.QueryRow(ctx, query).Scan(&db.logID)
		})
	}
	if err != nil {
		return fmt.Errorf("read the log's name: %w", err)
	}
	return nil
}

// Close refuses what is not under way and, on SQLite, waits for the transaction
// that is and gives the directory back. On PostgreSQL a transaction under way
// goes on, and its connection is closed when it ends. Close may be called more
// than once.
func (db *DB) Close() error {
	db.closed.Store(true)
	var err error
	if db.backend != nil {
		err = db.backend.close()
	}
	if db.directory != nil {
		db.directory.release()
	}
	return err
}

// Dialect says which database this is and what SQL it wants where the two differ.
func (db *DB) Dialect() Dialect { return db.dialect }

// LogID names this database's logs. It is part of every cursor into the feed
// and changes when the database is restored from a backup.
func (db *DB) LogID() string { return db.logID }

// Read is the pool that reads outside transactions: every query sees what was
// committed when it began.
func (db *DB) Read() Querier { return &reader{db} }

// Tx runs fn in a write transaction, which is committed when fn returns nil
// and durable when Tx returns nil. On any other outcome, a panic included,
// nothing fn did remains. fn must not wait for anything but the database, and
// not begin another write: on SQLite it holds up every other. It may run more
// than once, as PostgreSQL may ask for a transaction to be repeated. A
// transaction whose commit may or may not have happened is [Ambiguous].
func (db *DB) Tx(ctx context.Context, fn func(tx *Tx) error) error {
	if err := db.writable(); err != nil {
		return err
	}
	return db.backend.tx(ctx, fn)
}

// Run carries out the batch in one write transaction; it is durable when Run
// returns nil. A batch whose commit may or may not have happened is
// [Ambiguous]. An empty batch does nothing.
func (db *DB) Run(ctx context.Context, b *Batch) error {
	if b.err != nil {
		return b.err
	}
	if len(b.statements) == 0 {
		return nil
	}
	if err := db.writable(); err != nil {
		return err
	}
	return db.backend.run(ctx, b)
}

func (db *DB) writable() error {
	if db.closed.Load() {
		return errClosed()
	}
	if db.readOnly {
		return gathering.NewError(gathering.KindConflict, "the database is open for reading alone")
	}
	return nil
}

func errClosed() error {
	return gathering.NewError(gathering.KindUnavailable, "the database is closed")
}
