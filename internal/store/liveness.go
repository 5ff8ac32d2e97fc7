package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
)

// Liveness is a key held for as long as this process, and on PostgreSQL its
// connection, lives. It belongs to one goroutine.
type Liveness interface {
	// Beat runs a statement and returns how many rows it changed: on
	// PostgreSQL on the connection that holds the key. If that connection was
	// lost Beat makes a new one, takes the key and runs the statement again, and
	// fails only if it cannot.
	Beat(ctx context.Context, query string, args ...any) (int64, error)
	// Close lets the key go.
	Close(ctx context.Context) error
}

// HoldLiveness takes the key, which must be this process's alone. On SQLite
// the lock on the data directory is the proof of life, so nothing is taken.
func (db *DB) HoldLiveness(ctx context.Context, key string) (Liveness, error) {
	l, err := db.backend.live(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("hold %s: %w", key, err)
	}
	return l, nil
}

// Alive reports whether a process holds the key. On SQLite that is the one that
// holds the directory: of another one, beside which the database was opened to
// read, not more is known than that there is one. A lost connection frees a key
// before its process may have noticed, so false is a hint and a fence is needed.
func (db *DB) Alive(ctx context.Context, key string) (bool, error) {
	if db.beside != "" {
		_, held, err := HolderOf(db.beside)
		return held, err
	}
	alive, err := db.backend.alive(ctx, key)
	if err != nil {
		return false, fmt.Errorf("ask for %s: %w", key, db.dialect.named(err))
	}
	return alive, nil
}

// liveKeys are the keys held by this process on SQLite.
type liveKeys struct {
	mu   sync.Mutex
	held map[string]bool
}

type sqliteLiveness struct {
	backend *sqliteBackend
	key     string
}

func (s *sqliteBackend) live(_ context.Context, key string) (Liveness, error) {
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	if s.keys.held == nil {
		s.keys.held = make(map[string]bool)
	}
	s.keys.held[key] = true
	return &sqliteLiveness{backend: s, key: key}, nil
}

func (s *sqliteBackend) alive(_ context.Context, key string) (bool, error) {
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	return s.keys.held[key], nil
}

func (l *sqliteLiveness) Beat(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = l.backend.tx(ctx, func(tx *Tx) error {
		n, err = tx.Exec(ctx, query, args...)
		return err
	})
	return n, err
}

func (l *sqliteLiveness) Close(context.Context) error {
	l.backend.keys.mu.Lock()
	defer l.backend.keys.mu.Unlock()
	delete(l.backend.keys.held, l.key)
	return nil
}

// postgresLiveness is a session advisory lock on a connection of its own.
type postgresLiveness struct {
	config *pgx.ConnConfig
	key    int64
	conn   *pgx.Conn
}

func (p *postgresBackend) live(ctx context.Context, key string) (Liveness, error) {
	l := &postgresLiveness{config: p.config, key: livenessKey(key)}
	if err := l.connect(ctx); err != nil {
		return nil, postgresNamed(err)
	}
	return l, nil
}

func (p *postgresBackend) alive(ctx context.Context, key string) (free bool, err error) {
	// Shared, so that two who ask at once do not take each other for the holder.
	err = p.pool.QueryRowContext(ctx, `SELECT NOT pg_try_advisory_xact_lock_shared($1)`, livenessKey(key)).Scan(&free)
	return free, err
}

func livenessKey(key string) int64 {
	sum := sha256.Sum256([]byte(key))
	return int64(binary.BigEndian.Uint64(sum[:8])) //nolint:gosec // any 64 bits will do
}

func (l *postgresLiveness) connect(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, l.config)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, l.key); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return err
	}
	l.conn = conn
	return nil
}

func (l *postgresLiveness) Beat(ctx context.Context, query string, args ...any) (int64, error) {
	args, err := portable(args)
	if err != nil {
		return 0, err
	}
	if l.conn.IsClosed() {
		if err := l.connect(ctx); err != nil {
			return 0, postgresNamed(err)
		}
	}
	tag, err := l.conn.Exec(ctx, query, args...)
	if err != nil && l.conn.IsClosed() && ctx.Err() == nil {
		if connectErr := l.connect(ctx); connectErr != nil {
			return 0, postgresNamed(connectErr)
		}
		tag, err = l.conn.Exec(ctx, query, args...)
	}
	return tag.RowsAffected(), postgresNamed(err)
}

func (l *postgresLiveness) Close(ctx context.Context) error {
	if l.conn.IsClosed() {
		return nil
	}
	// The server takes a moment to notice a closed connection; this it does at once.
	_, err := l.conn.Exec(ctx, `SELECT pg_advisory_unlock($1)`, l.key)
	return postgresNamed(errors.Join(err, l.conn.Close(ctx)))
}
