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
	"slices"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"gathering"
)

const (
	sqliteFile    = "gathering.db"
	sqliteReaders = 4 // connections that read
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
		return nil, sqliteNamed(err)
	}
	return s, nil
}

func (s *sqliteBackend) open(ctx context.Context, o Options) error {
	file, err := filepath.Abs(filepath.Join(o.Dir, sqliteFile))
	if err != nil {
		return fmt.Errorf("find the data directory: %w", err)
	}
	if err := s.openReaders(ctx, file, o); err != nil {
		return err
	}
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

func (s *sqliteBackend) openReaders(ctx context.Context, file string, o Options) error {
	mode := "ro"
	if !o.ReadOnly {
		mode = "rw"
		// Whoever may read the file reads everything, so it is made here, for
		// its owner alone; SQLite gives the files beside it the same rights.
		made, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the directory is the operator's choice
		if err != nil {
			return gathering.NewError(gathering.KindUnavailable, "the data directory cannot be written").WithCause(err)
		}
		_ = made.Close()
	} else if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return gathering.NewError(gathering.KindNotFound, "there is no database in the data directory").WithCause(err)
	}
	readers, err := sql.Open("sqlite", o.sqliteName(file, mode, "query_only(on)"))
	if err != nil {
		return fmt.Errorf("open %s: %w", sqliteFile, err)
	}
	readers.SetMaxOpenConns(sqliteReaders)
	readers.SetMaxIdleConns(sqliteReaders)
	s.readers, s.reading = readers, poolStatements(readers)
	s.dialect = Dialect{Database: SQLite}
	if err := readers.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&s.dialect.Version); err != nil {
		return fmt.Errorf("open %s: %w", sqliteFile, err)
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
	return s.writer.tx(ctx, func(tx *Tx) error { return b.runEach(ctx, tx) })
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

// runEach carries the batch out statement by statement.
func (b *Batch) runEach(ctx context.Context, tx *Tx) error {
	var members sqliteMembers
	for i := range b.statements {
		if err := b.statements[i].runOn(ctx, tx, &members); err != nil {
			return err
		}
	}
	return nil
}

// sqliteMembers are the verdicts on the members of a batch, the first one's first.
type sqliteMembers []int64

func (m sqliteMembers) held(row []any) bool {
	member, ok := row[0].(int64)
	return ok && (member == 0 || member <= int64(len(m)) && m[member-1] == Held)
}

func (s *statement) runOn(ctx context.Context, tx *Tx, members *sqliteMembers) error {
	switch s.kind {
	case single:
		return tx.runStatement(ctx, s.query, s.args, s.scan)
	case joined:
		return tx.runStatement(ctx, joinedSource(s.query, len(s.args)), append(slices.Clip(s.args), s.join(*members)), nil)
	case guard:
		return s.judge(ctx, tx, members)
	case many, guarded:
	}
	query := oneRowSource(s.query, s.columns, len(s.args))
	args := make([]any, len(s.args)+len(s.columns))
	copy(args, s.args)
	for _, row := range s.rows {
		if s.kind == guarded && !members.held(row) {
			continue
		}
		copy(args[len(s.args):], row)
		if err := tx.runStatement(ctx, query, args, s.scan); err != nil {
			return err
		}
	}
	return nil
}

// judge asks for the verdict on each member.
func (s *statement) judge(ctx context.Context, tx *Tx, members *sqliteMembers) error {
	*members = make(sqliteMembers, s.members)
	query := oneRowSource(s.query, s.columns, 0)
	for _, row := range s.rows {
		if row[0] == int64(0) {
			continue // to be locked alone, and everything is
		}
		err := tx.runStatement(ctx, query, row, func(answer Scanner) error {
			var member, verdict int64
			if err := answer.Scan(&member, &verdict); err != nil {
				return err
			}
			if member > 0 && member <= int64(s.members) {
				(*members)[member-1] = verdict
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	s.verdicts(*members)
	return nil
}

// join is the texts of the members who are held, with commas between them; nil
// where there is none.
func (s *statement) join(members sqliteMembers) any {
	var b strings.Builder
	for _, row := range s.rows {
		if text, ok := row[1].(string); ok && members.held(row) {
			if b.Len() > 0 {
				b.WriteByte(',')
			}
			b.WriteString(text)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	return b.String()
}

// runStatement runs one statement whose parameters are portable already.
func (tx *Tx) runStatement(ctx context.Context, query string, args []any, scan func(Scanner) error) error {
	if tx.err != nil {
		return tx.err
	}
	if scan == nil {
		_, err := tx.session.exec(ctx, query, args)
		return tx.failed(err)
	}
	rows, err := tx.session.query(ctx, query, args)
	if err != nil {
		return tx.failed(err)
	}
	rows.named = tx.failed
	return rows.Each(scan)
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

// sqliteNamed is [Dialect.named] for SQLite.
func sqliteNamed(err error) error {
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
		return gathering.NewError(gathering.KindInternal, "the database file is damaged").WithCause(err)
	}
	return err
}
