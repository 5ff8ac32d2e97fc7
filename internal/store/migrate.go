package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"

	"gathering"
)

// The migrations of the two databases have equal names.
//
//go:embed migrations
var migrations embed.FS

// Migration is one step of the schema.
type Migration struct {
	Version int64
	Name    string // of its file, as in "00001_initial.sql"
	Applied bool
}

// Migrate brings the schema up to date and returns the steps it took.
func Migrate(ctx context.Context, o Options) ([]Migration, error) {
	before, err := MigrationStatus(ctx, o)
	if err != nil {
		return nil, err
	}
	db, err := Open(ctx, o)
	if err != nil {
		return nil, err
	}
	var taken []Migration
	for _, m := range before {
		if !m.Applied {
			m.Applied = true
			taken = append(taken, m)
		}
	}
	return taken, db.Close()
}

// MigrationStatus lists the steps of the schema, those not applied yet too,
// and changes nothing. In a data directory without a database none is applied.
// A schema from the future is an error, as it is to whoever would migrate it.
func MigrationStatus(ctx context.Context, o Options) ([]Migration, error) {
	o = o.withDefaults()
	var version int64
	var err error
	database := SQLite
	if o.URL != "" {
		database = PostgreSQL
		version, err = postgresVersion(ctx, o)
	} else {
		version, err = sqliteVersion(ctx, o)
	}
	if err != nil {
		return nil, fmt.Errorf("read the schema's version: %w", err)
	}
	list, err := knownMigrations(database)
	if err != nil {
		return nil, err
	}
	if _, err := isBehind(version, list); err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Applied = list[i].Version <= version
	}
	return list, nil
}

func sqliteVersion(ctx context.Context, o Options) (int64, error) {
	s := &sqliteBackend{}
	defer func() { _ = s.close() }()
	o.ReadOnly = true
	err := s.openReaders(ctx, o)
	if gathering.KindOf(err) == gathering.KindNotFound {
		return 0, nil
	}
	var version int64
	if err == nil {
		version, err = schemaVersion(ctx, s.readers, SQLite)
	}
	return version, s.dialect.named(err)
}

func postgresVersion(ctx context.Context, o Options) (int64, error) {
	config, err := postgresConfig(o.URL)
	if err != nil {
		return 0, err
	}
	pool := newPool(config, o.Connections)
	defer pool.Close()
	version, err := schemaVersion(ctx, pool, PostgreSQL)
	return version, server{o.URL, config}.named(ctx, err)
}

// knownMigrations lists the steps this program has, in order.
func knownMigrations(database Database) ([]Migration, error) {
	files, err := fs.Glob(migrations, "migrations/"+string(database)+"/*.sql")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	list := make([]Migration, len(files))
	for i, file := range files {
		version, err := goose.NumericComponent(file)
		if err != nil {
			return nil, fmt.Errorf("read the number of migration %s: %w", file, err)
		}
		list[i] = Migration{Version: version, Name: file[len("migrations/"+string(database)+"/"):]}
	}
	return list, nil
}

// schemaVersion is the last step applied; 0 before the first.
func schemaVersion(ctx context.Context, pool *sql.DB, database Database) (int64, error) {
	exists := `SELECT count(*) FROM sqlite_master WHERE name = 'goose_db_version'`
	if database == PostgreSQL {
		exists = `SELECT count(*) FROM pg_class WHERE oid = to_regclass('goose_db_version')`
	}
	var n, version int64
	if err := pool.QueryRowContext(ctx, exists).Scan(&n); err != nil || n == 0 {
		return 0, err
	}
	const query = `SELECT coalesce(max(version_id), 0) FROM goose_db_version`
	err := pool.QueryRowContext(ctx, query).Scan(&version)
	return version, err
}

// pending reports whether steps are missing. A schema from the future is an error.
func pending(ctx context.Context, pool *sql.DB, database Database) (bool, error) {
	list, err := knownMigrations(database)
	if err != nil {
		return false, err
	}
	version, err := schemaVersion(ctx, pool, database)
	if err != nil {
		return false, fmt.Errorf("read the schema's version: %w", err)
	}
	return isBehind(version, list)
}

// isBehind reports whether a schema of this version lacks some of the steps.
func isBehind(version int64, steps []Migration) (bool, error) {
	newest := steps[len(steps)-1].Version
	if version > newest {
		return false, gathering.NewError(gathering.KindConflict,
			"the database has schema version %d, made by a newer GatheRing; this one knows versions up to %d", version, newest)
	}
	return version < newest, nil
}

// checkSchema refuses a schema that is not exactly what this program knows.
func checkSchema(ctx context.Context, pool *sql.DB, database Database) error {
	behind, err := pending(ctx, pool, database)
	if err == nil && behind {
		return gathering.NewError(gathering.KindConflict, "the database's schema is older than this GatheRing: run gathering migrate")
	}
	return err
}

// migrate takes the steps that are missing.
func migrate(ctx context.Context, pool *sql.DB, database Database, logger *slog.Logger) (err error) {
	behind, err := pending(ctx, pool, database)
	if err != nil || !behind {
		return err
	}
	files, err := fs.Sub(migrations, "migrations/"+string(database))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	dialect := goose.DialectSQLite3
	if database == PostgreSQL {
		dialect = goose.DialectPostgres
	}
	provider, err := goose.NewProvider(dialect, pool, files,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	results, err := provider.Up(ctx)
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		return fmt.Errorf("apply migration %d: %w", partial.Failed.Source.Version, partial.Err)
	}
	if err != nil {
		return fmt.Errorf("apply migrations: %w", err)
	}
	for _, r := range results {
		logger.InfoContext(ctx, "schema migrated", slog.Int64("version", r.Source.Version), slog.Duration("took", r.Duration))
	}
	return nil
}
