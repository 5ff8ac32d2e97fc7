package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Channel carries short messages between the processes that use a PostgreSQL
// database, on connections of its own. What it loses is lost.
type Channel struct {
	config *pgx.ConnConfig
	name   string
	sender *pgx.Conn
}

// MaxMessage is how long a message on a channel may be, in bytes.
const MaxMessage = 7900

// Channel returns the channel that all users of this database share, and no
// user of another database or schema; false where there are no others.
func (db *DB) Channel() (*Channel, bool) {
	p, ok := db.backend.(*postgresBackend)
	if !ok {
		return nil, false
	}
	return &Channel{config: p.config, name: "gathering_" + db.logID}, true
}

// listenCheck is how often a connection on which nothing came is tried.
const listenCheck = 30 * time.Second

// Listen calls heard with every message until ctx ends or the connection is
// lost, and returns why. The first call, with an empty message, says that it
// listens from now on. What this process sends is heard too.
func (c *Channel) Listen(ctx context.Context, heard func(message string)) error {
	conn, err := pgx.ConnectConfig(ctx, c.config)
	if err != nil {
		return fmt.Errorf("listen: %w", postgresNamed(err))
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{c.name}.Sanitize()); err != nil {
		return fmt.Errorf("listen: %w", postgresNamed(err))
	}
	heard("")
	for {
		wait, cancel := context.WithTimeout(ctx, listenCheck)
		n, err := conn.WaitForNotification(wait)
		cancel()
		if err == nil {
			heard(n.Payload)
			continue
		}
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			wait, cancel := context.WithTimeout(ctx, c.config.ConnectTimeout)
			err = conn.Ping(wait)
			cancel()
		}
		if err != nil {
			return fmt.Errorf("listen: %w", postgresNamed(err))
		}
	}
}

// Notify sends a message to everybody who listens. It belongs to one goroutine.
func (c *Channel) Notify(ctx context.Context, message string) error {
	if c.sender == nil || c.sender.IsClosed() {
		conn, err := pgx.ConnectConfig(ctx, c.config)
		if err != nil {
			return fmt.Errorf("notify: %w", postgresNamed(err))
		}
		c.sender = conn
	}
	if _, err := c.sender.Exec(ctx, `SELECT pg_notify($1, $2)`, c.name, message); err != nil {
		_ = c.sender.Close(context.WithoutCancel(ctx))
		return fmt.Errorf("notify: %w", postgresNamed(err))
	}
	return nil
}

// Close closes the connection on which messages were sent.
func (c *Channel) Close(ctx context.Context) error {
	if c.sender == nil {
		return nil
	}
	return c.sender.Close(ctx)
}
