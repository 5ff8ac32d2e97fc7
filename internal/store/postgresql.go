package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"gathering"
)

const (
	maxAttempts   = 5                // of a transaction that PostgreSQL wants repeated
	commitTimeout = 10 * time.Second // until a commit without an answer is ambiguous
)

// postgresBackend is a pool of connections.
type postgresBackend struct {
	dialect Dialect
	config  *pgx.ConnConfig
	pool    *sql.DB
	logger  *slog.Logger
	hook    func(ctx context.Context, commit func() error) error
}

func openPostgreSQL(ctx context.Context, o Options) (*postgresBackend, error) {
	config, err := postgresConfig(o.URL)
	if err != nil {
		return nil, err
	}
	p := &postgresBackend{config: config, pool: newPool(config, o.Connections), logger: o.Logger, hook: o.Commit}
	if err := p.open(ctx, o); err != nil {
		_ = p.close()
		return nil, server{o.URL, config}.named(ctx, err)
	}
	return p, nil
}

func (p *postgresBackend) open(ctx context.Context, o Options) error {
	var version string
	if err := p.pool.QueryRowContext(ctx, `SHOW server_version`).Scan(&version); err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	version, _, _ = strings.Cut(version, " ")
	p.dialect = Dialect{Database: PostgreSQL, Version: version}
	if o.ReadOnly {
		return checkSchema(ctx, p.pool, PostgreSQL)
	}
	return p.migrate(ctx)
}

// postgresConfig reads the URL and adds what every session is to have.
func postgresConfig(url string) (*pgx.ConnConfig, error) {
	config, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	if config.ConnectTimeout == 0 || config.ConnectTimeout > 10*time.Second {
		config.ConnectTimeout = 10 * time.Second
	}
	config.RuntimeParams["synchronous_commit"] = "on"
	config.RuntimeParams["lock_timeout"] = "5s"
	config.RuntimeParams["idle_in_transaction_session_timeout"] = "5s"
	// Every statement looks rows up by an index. A plan made while a table was
	// small would otherwise read all of it, and be kept until the next ANALYZE.
	for _, off := range []string{"enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"} {
		config.RuntimeParams[off] = "off"
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "gathering"
	}
	return config, nil
}

func parseURL(url string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, gathering.NewError(gathering.KindInvalid, "the database URL cannot be read: write postgres://user@host:port/name").WithCause(err)
	}
	return config, nil
}

func newPool(config *pgx.ConnConfig, connections int) *sql.DB {
	pool := stdlib.OpenDB(*config)
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	return pool
}

// migrate takes the missing steps under a lock, so that of several instances
// that start together one does it and the others wait.
func (p *postgresBackend) migrate(ctx context.Context) error {
	if behind, err := pending(ctx, p.pool, PostgreSQL); err != nil || !behind {
		return err
	}
	tx, err := p.pool.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("lock the schema: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	for _, statement := range []string{
		`SET LOCAL lock_timeout = 0`,
		`SET LOCAL idle_in_transaction_session_timeout = 0`,
		`SELECT pg_advisory_xact_lock(5135603447292250113 + (SELECT oid::bigint FROM pg_namespace WHERE nspname = current_schema()) * 16)`,
	} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("lock the schema: %w", err)
		}
	}
	return migrate(ctx, p.pool, PostgreSQL, p.logger)
}

func (p *postgresBackend) reader() session { return postgresSession{p.pool} }

func (p *postgresBackend) close() error { return p.pool.Close() }

// tx runs fn, and again when PostgreSQL asks for the transaction to be repeated.
func (p *postgresBackend) tx(ctx context.Context, fn func(tx *Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := p.attempt(ctx, fn)
		if attempt == maxAttempts || !repeatable(err) {
			return p.dialect.named(err)
		}
		p.logger.DebugContext(ctx, "transaction repeated", slog.Int("attempt", attempt), slog.Any("error", err))
		pause := time.NewTimer(time.Duration(attempt) * 10 * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
}

func (p *postgresBackend) attempt(ctx context.Context, fn func(tx *Tx) error) error {
	conn, err := p.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	tx := &Tx{session: postgresSession{conn}, dialect: p.dialect}
	committed := false
	defer func() {
		if !committed {
			_ = tx.end(nil)
			p.rollback(ctx, conn)
		}
	}()
	if err := tx.end(fn(tx)); err != nil {
		return err
	}
	err = commitThrough(ctx, p.hook, func() error { return commitOn(ctx, conn) })
	committed = err == nil
	return err
}

// rollback ends the transaction whatever became of ctx. A connection on which
// that does not work is not used again: the driver looks at its state.
func (p *postgresBackend) rollback(ctx context.Context, conn *sql.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	_, _ = conn.ExecContext(ctx, "ROLLBACK")
}

// commitOn commits. Once sent, a commit is waited for even if ctx ends.
func commitOn(ctx context.Context, conn *sql.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	return rawConn(conn, func(c *pgx.Conn) error {
		return committing(c, func() error {
			tag, err := c.Exec(ctx, "COMMIT")
			if err == nil && tag.String() == "ROLLBACK" {
				return errors.New("PostgreSQL rolled the transaction back: a statement in it had failed")
			}
			return err
		})
	})
}

// run sends the whole batch at once; PostgreSQL takes it as one transaction.
func (p *postgresBackend) run(ctx context.Context, b *Batch) error {
	queued := &pgx.Batch{}
	var scanned error
	for i := range b.statements {
		b.statements[i].queue(queued, &scanned)
	}
	conn, err := p.pool.Conn(ctx)
	if err != nil {
		return p.dialect.named(err)
	}
	defer conn.Close()
	err = commitThrough(ctx, p.hook, func() error {
		return rawConn(conn, func(c *pgx.Conn) error {
			err := committing(c, func() error { return c.SendBatch(ctx, queued).Close() })
			if err == nil && scanned != nil {
				return &AmbiguousError{Err: scanned}
			}
			return err
		})
	})
	return p.dialect.named(err)
}

// queue adds the statement to a batch. An error of its scan function is put
// into scanned: by then the server has been told to commit.
func (s *statement) queue(batch *pgx.Batch, scanned *error) {
	if s.kind == guard && len(s.rows) == 0 {
		s.guard.Verdicts(make([]int64, s.guard.Members), 0)
		return
	}
	query, args := s.query, s.args
	if s.kind != single {
		query = postgresQuery(query, s.shape())
		args = append(slices.Clip(args), s.columnArrays()...)
	}
	if s.kind == guard {
		args = append(args, int64(s.guard.Members))
	}
	queued := batch.Queue(query, args...)
	scan := s.scan
	if s.kind == guard {
		scan = func(row Scanner) error {
			var answers []int64
			err := row.Scan(&answers)
			s.guard.Verdicts(answers, 0)
			return err
		}
	}
	if scan == nil {
		return
	}
	queued.Query(func(rows pgx.Rows) error {
		for *scanned == nil && rows.Next() {
			*scanned = scan(rows)
		}
		return nil
	})
}

// rawConn lends the driver's connection to fn.
func rawConn(conn *sql.Conn, fn func(c *pgx.Conn) error) error {
	return conn.Raw(func(driverConn any) error {
		c, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("a %T is no PostgreSQL connection", driverConn)
		}
		return fn(c.Conn())
	})
}

// committing runs fn, which sends c a commit, and marks its error if the commit
// may have happened all the same. An error that the server reported and lived
// on after means that it did not; so does one that left the connection as it
// was. A connection that broke may have done so after the commit: the driver
// calls some such errors safe to retry, which is not believed.
func committing(c *pgx.Conn, fn func() error) error {
	if c.IsClosed() {
		return pgconn.ErrConnClosed
	}
	err := fn()
	e, reported := errors.AsType[*pgconn.PgError](err)
	switch {
	case err == nil:
		return nil
	case reported && (e.Code == "40003" || e.Code == "08007"): // the server itself does not know
		return &AmbiguousError{Err: err}
	case reported && e.Severity == "ERROR", !c.IsClosed():
		return err
	}
	return &AmbiguousError{Err: err}
}

// postgresSession runs statements on a pool or on one connection; the driver
// keeps them prepared.
type postgresSession struct {
	on interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}
}

func (s postgresSession) exec(ctx context.Context, query string, args []any) (int64, error) {
	result, err := s.on.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (s postgresSession) query(ctx context.Context, query string, args []any) (*Rows, error) {
	return newRows(s.on.QueryContext(ctx, query, args...))
}

func postgresCode(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

func postgresUniqueViolation(err error) bool { return postgresCode(err) == "23505" }

// repeatable reports whether PostgreSQL undid a transaction only because of
// what others were doing.
func repeatable(err error) bool {
	code := postgresCode(err)
	return (code == "40001" || code == "40P01") && !Ambiguous(err)
}

// postgresNamed is [Dialect.named] for PostgreSQL.
func postgresNamed(err error) error {
	if gathering.KindOf(err) != gathering.KindInternal {
		return err
	}
	message := postgresOutage(postgresCode(err))
	if message == "" && postgresCode(err) == "" && disconnected(err) {
		message = "the database cannot be reached"
	}
	if message == "" {
		return err
	}
	return gathering.NewError(gathering.KindUnavailable, "%s", message).WithCause(err)
}

// postgresOutage is what is the matter with the database, by SQLSTATE; "" if
// the matter is the statement.
func postgresOutage(code string) string {
	switch code {
	case "53100":
		return "the disk is full"
	case "53300":
		return "the database takes no more connections"
	case "55P03", "40001", "40P01":
		return "the database is locked by others"
	case "25006":
		return "the database cannot be written"
	case "28000", "28P01":
		return "the database refuses the user or the password"
	case "3D000":
		return "there is no such database on the server"
	case "25P03":
		return "the transaction waited too long"
	}
	switch {
	case strings.HasPrefix(code, "08"), strings.HasPrefix(code, "57P"):
		return "the database cannot be reached"
	case strings.HasPrefix(code, "53"), strings.HasPrefix(code, "58"):
		return "the database's host is out of order"
	}
	return ""
}

// disconnected reports whether err means that there is no connection.
func disconnected(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	for _, lost := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, driver.ErrBadConn, sql.ErrConnDone, pgconn.ErrConnClosed} {
		if errors.Is(err, lost) {
			return true
		}
	}
	return false
}
