package store

import (
	"context"
	"database/sql"
	"sync"
)

// maxStatements is how many prepared statements a cache holds. Their texts are
// constants of the program, so it is not reached; what comes after is run
// without being kept.
const maxStatements = 512

// pooledStatements runs statements on a pool and keeps them prepared.
type pooledStatements struct {
	pool     *sql.DB
	mu       sync.Mutex
	prepared map[string]*sql.Stmt
}

func newPooledStatements(pool *sql.DB) *pooledStatements {
	return &pooledStatements{pool: pool, prepared: make(map[string]*sql.Stmt)}
}

// statement returns query prepared, or nil when the cache is full.
func (p *pooledStatements) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	p.mu.Lock()
	stmt, full := p.prepared[query], len(p.prepared) >= maxStatements
	p.mu.Unlock()
	if stmt != nil || full {
		return stmt, nil
	}
	stmt, err := p.pool.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first := p.prepared[query]; first != nil {
		_ = stmt.Close()
		return first, nil
	}
	p.prepared[query] = stmt
	return stmt, nil
}

func (p *pooledStatements) exec(ctx context.Context, query string, args []any) (int64, error) {
	result, err := p.pool.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (p *pooledStatements) query(ctx context.Context, query string, args []any) (*sql.Rows, func(), error) {
	stmt, err := p.statement(ctx, query)
	if err != nil {
		return nil, nil, err
	}
	if stmt == nil {
		rows, err := p.pool.QueryContext(ctx, query, args...)
		return rows, nil, err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	return rows, nil, err
}

func (p *pooledStatements) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, stmt := range p.prepared {
		_ = stmt.Close()
	}
}

// connStatements runs statements on one connection, for one goroutine at a
// time, and keeps them prepared. Statements are not interrupted: in SQLite an
// interrupt takes the whole transaction with it, that of others too.
type connStatements struct {
	conn     *sql.Conn
	prepared map[string]*keptStatement
}

type keptStatement struct {
	stmt    *sql.Stmt
	reading bool // its rows are open, so that running it again would end them
}

func newConnStatements(conn *sql.Conn) *connStatements {
	return &connStatements{conn: conn, prepared: make(map[string]*keptStatement)}
}

// statement returns query prepared, or nil when it is being read from or the
// cache is full.
func (c *connStatements) statement(ctx context.Context, query string) (*keptStatement, error) {
	if kept := c.prepared[query]; kept != nil {
		if kept.reading {
			return nil, nil
		}
		return kept, nil
	}
	if len(c.prepared) >= maxStatements {
		return nil, nil
	}
	stmt, err := c.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	kept := &keptStatement{stmt: stmt}
	c.prepared[query] = kept
	return kept, nil
}

func (c *connStatements) exec(ctx context.Context, query string, args []any) (int64, error) {
	ctx = context.WithoutCancel(ctx)
	kept, err := c.statement(ctx, query)
	if err != nil {
		return 0, err
	}
	var result sql.Result
	if kept == nil {
		result, err = c.conn.ExecContext(ctx, query, args...)
	} else {
		result, err = kept.stmt.ExecContext(ctx, args...)
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (c *connStatements) query(ctx context.Context, query string, args []any) (*sql.Rows, func(), error) {
	ctx = context.WithoutCancel(ctx)
	kept, err := c.statement(ctx, query)
	if err != nil {
		return nil, nil, err
	}
	if kept == nil {
		rows, err := c.conn.QueryContext(ctx, query, args...)
		return rows, nil, err
	}
	rows, err := kept.stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, nil, err
	}
	kept.reading = true
	return rows, func() { kept.reading = false }, nil
}

func (c *connStatements) close() {
	for _, kept := range c.prepared {
		_ = kept.stmt.Close()
	}
	_ = c.conn.Close()
}
