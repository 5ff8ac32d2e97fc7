package store

import (
	"context"
	"database/sql"
	"sync"
)

// maxStatements is how many prepared statements a cache holds. Their texts are
// constants of the program, so it is not reached; what comes after is prepared
// each time.
const maxStatements = 512

// statements runs statements on SQLite and keeps them prepared.
type statements struct {
	db interface {
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	}
	// alone says that db is one connection, used by one goroutine at a time. Its
	// statements are not interrupted: in SQLite an interrupt takes the whole
	// transaction with it, that of others too.
	alone bool

	mu    sync.Mutex
	cache map[string]*prepared
}

// prepared is one statement, to be released after it has run and its rows are
// closed.
type prepared struct {
	stmt    *sql.Stmt
	owner   *statements
	kept    bool // in the cache; otherwise it ends when released
	reading bool // on one connection: running it again would end its open rows
}

func poolStatements(pool *sql.DB) *statements {
	return &statements{db: pool, cache: make(map[string]*prepared)}
}

func connStatements(conn *sql.Conn) *statements {
	return &statements{db: conn, alone: true, cache: make(map[string]*prepared)}
}

func (s *statements) prepare(ctx context.Context, query string) (*prepared, error) {
	if p := s.take(query); p != nil {
		return p, nil
	}
	stmt, err := s.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p := &prepared{stmt: stmt, owner: s}
	s.keep(query, p)
	return p, nil
}

// take returns the statement if it is in the cache and free.
func (s *statements) take(query string) *prepared {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.cache[query]
	if p == nil || p.reading {
		return nil
	}
	p.reading = s.alone
	return p
}

// keep puts the statement into the cache if there is room for it.
func (s *statements) keep(query string, p *prepared) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cache[query] == nil && len(s.cache) < maxStatements {
		s.cache[query] = p
		p.kept, p.reading = true, s.alone
	}
}

func (p *prepared) release() {
	if !p.kept {
		_ = p.stmt.Close()
		return
	}
	p.owner.mu.Lock()
	defer p.owner.mu.Unlock()
	p.reading = false
}

func (s *statements) exec(ctx context.Context, query string, args []any) (int64, error) {
	if s.alone {
		ctx = context.WithoutCancel(ctx)
	}
	p, err := s.prepare(ctx, query)
	if err != nil {
		return 0, err
	}
	defer p.release()
	result, err := p.stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (s *statements) query(ctx context.Context, query string, args []any) (*Rows, error) {
	if s.alone {
		ctx = context.WithoutCancel(ctx)
	}
	p, err := s.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := newRows(p.stmt.QueryContext(ctx, args...))
	if err != nil {
		p.release()
		return nil, err
	}
	rows.release = p.release
	return rows, nil
}

func (s *statements) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.cache {
		_ = p.stmt.Close()
	}
}
