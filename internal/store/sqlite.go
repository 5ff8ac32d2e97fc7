package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"gathering"
)

const (
	sqliteFile    = "gathering.db"
	sqliteReaders = 16 // connections that read: many hold one while they wait for a processor
)

// sqliteBackend is one writer, fed by a queue, and a pool of readers.
type sqliteBackend struct {
	dialect Dialect
	pool    *sql.DB // of the writer's one connection
	readers *sql.DB
	reading *statements
	writer  *writer // nil when read-only
	keys    liveKeys
}

func openSQLite(ctx context.Context, o Options) (*sqliteBackend, error) {
	s := &sqliteBackend{}
	if err := s.open(ctx, o); err != nil {
		_ = s.close()
		return nil, s.dialect.named(err)
	}
	return s, nil
}

func (s *sqliteBackend) open(ctx context.Context, o Options) error {
	if err := s.openReaders(ctx, o); err != nil {
		return err
	}
	file := s.dialect.file
	if o.ReadOnly {
		return checkSchema(ctx, s.readers, SQLite)
	}
	pool, err := sql.Open("sqlite", o.sqliteName(file, "rwc",
		"auto_vacuum(incremental)", // takes effect before the first table alone
		"journal_mode(wal)",
		"synchronous(full)",
		"foreign_keys(on)",
		"journal_size_limit(67108864)",
		"cache_size(-16384)",
		"wal_autocheckpoint(4000)", // pages: what many runs write again and again is copied less often
	))
	if err != nil {
		return fmt.Errorf("open %s: %w", sqliteFile, err)
	}
	pool.SetMaxOpenConns(1)
	s.pool = pool
	if err := migrate(ctx, pool, SQLite, o.Logger); err != nil {
		return err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("open the writer: %w", err)
	}
	s.writer = newWriter(conn, s.dialect, o.Commit)
	return nil
}

// openReaders finds the file, made if need be, and holds that it is GatheRing's.
func (s *sqliteBackend) openReaders(ctx context.Context, o Options) error {
	file, err := filepath.Abs(filepath.Join(o.Dir, sqliteFile))
	if err != nil {
		return fmt.Errorf("find the data directory: %w", err)
	}
	s.dialect = Dialect{Database: SQLite, file: file}
	if err := checkFile(file, o.ReadOnly); err != nil {
		return err
	}
	mode := "rw"
	if o.ReadOnly {
		mode = "ro"
	}
	readers, err := sql.Open("sqlite", o.sqliteName(file, mode, "query_only(on)"))
	if err != nil {
		return fmt.Errorf("open %s: %w", sqliteFile, err)
	}
	readers.SetMaxOpenConns(sqliteReaders)
	readers.SetMaxIdleConns(sqliteReaders)
	s.readers, s.reading = readers, poolStatements(readers)
	if err := readers.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&s.dialect.Version); err != nil {
		return fmt.Errorf("open %s: %w", sqliteFile, err)
	}
	return s.checkOwn(ctx)
}

// checkFile makes the file where it may, and refuses what is none.
func checkFile(file string, readOnly bool) error {
	info, err := os.Stat(file)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return gathering.NewError(gathering.KindConflict, "%s is not a file; name another directory with --data", file)
	case readOnly && errors.Is(err, fs.ErrNotExist):
		return gathering.NewError(gathering.KindNotFound, "there is no database in the data directory").WithCause(err)
	case readOnly:
		return nil // what else is the matter, opening it tells
	}
	// Whoever may read the file reads everything, so it is made here, for
	// its owner alone; SQLite gives the files beside it the same rights.
	made, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the directory is the operator's choice
	if err != nil {
		return gathering.NewError(gathering.KindUnavailable, "the data directory cannot be written").WithCause(err)
	}
	_ = made.Close()
	return nil
}

// checkOwn refuses the database of another program, before anything is changed
// in it. One that holds nothing, or no more than the beginning of a migration,
// may become GatheRing's.
func (s *sqliteBackend) checkOwn(ctx context.Context) error {
	const query = `SELECT count(*), count(CASE WHEN name IN ('meta', 'instances', 'runs') THEN 1 END) FROM sqlite_master
		WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'goose_db_version'`
	var tables, own int
	if err := s.readers.QueryRowContext(ctx, query).Scan(&tables, &own); err != nil {
		return fmt.Errorf("read what is in %s: %w", sqliteFile, err)
	}
	if tables > 0 && own < 3 {
		return gathering.NewError(gathering.KindConflict,
			"%s is a SQLite database, but not GatheRing's; name another directory with --data", s.dialect.file)
	}
	return nil
}

// sqliteName is the data source name of file.
func (o Options) sqliteName(file, mode string, pragmas ...string) string {
	busy := fmt.Sprintf("busy_timeout(%d)", o.busyTimeout.Milliseconds())
	query := url.Values{"mode": {mode}, "_pragma": append(pragmas, busy)}
	name := url.URL{Scheme: "file", Path: file, RawQuery: query.Encode()}
	return name.String()
}

func (s *sqliteBackend) tx(ctx context.Context, fn func(tx *Tx) error) error {
	return s.writer.tx(ctx, fn)
}

func (s *sqliteBackend) run(ctx context.Context, b *Batch) error {
	return s.writer.run(ctx, b)
}

func (s *sqliteBackend) reader() session { return s.reading }

func (s *sqliteBackend) close() error {
	if s.writer != nil {
		s.writer.close()
	}
	var err error
	if s.readers != nil {
		s.reading.close()
		err = s.readers.Close()
	}
	if s.pool != nil {
		err = errors.Join(err, s.pool.Close())
	}
	return err
}

func sqliteCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return sqlite3.SQLITE_OK
}

func sqliteUniqueViolation(err error) bool {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return true
	}
	return false
}

// sqliteNamed is [Dialect.named] for SQLite in a file.
func sqliteNamed(err error, file string) error {
	unavailable := func(message string) error {
		return gathering.NewError(gathering.KindUnavailable, "%s", message).WithCause(err)
	}
	if gathering.KindOf(err) != gathering.KindInternal {
		return err
	}
	switch sqliteCode(err) & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return unavailable("the database is locked by another process")
	case sqlite3.SQLITE_FULL:
		return unavailable("the disk is full")
	case sqlite3.SQLITE_IOERR:
		return unavailable("the disk reports an error")
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return unavailable("the database file cannot be opened")
	case sqlite3.SQLITE_READONLY:
		return unavailable("the database file cannot be written")
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return gathering.NewError(gathering.KindInternal,
			"the database file %s is damaged: restore a backup of it, or name another directory with --data", file).WithCause(err)
	}
	return err
}
