package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
)

// NewSchema makes an empty schema in a PostgreSQL database. It returns the URL
// that leads into it, and what drops it with everything in it. Its name begins
// with the given one.
func NewSchema(ctx context.Context, database, name string) (where string, drop func(context.Context) error, err error) {
	u, err := url.Parse(database)
	if err != nil {
		return "", nil, fmt.Errorf("read the database URL: %w", err)
	}
	name += "_" + strings.ToLower(rand.Text())
	if err := alone(ctx, database, createSchema(name)); err != nil {
		return "", nil, fmt.Errorf("make a schema: %w", err)
	}
	query := u.Query()
	query.Set("search_path", name)
	u.RawQuery = query.Encode()
	return u.String(), func(ctx context.Context) error {
		if err := alone(ctx, database, dropSchema(name)); err != nil {
			return fmt.Errorf("drop schema %s: %w", name, err)
		}
		return nil
	}, nil
}

// alone runs a statement on a connection of its own.
func alone(ctx context.Context, database, statement string) (err error) {
	config, err := parseURL(database)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return server{database, config}.named(ctx, err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	_, err = conn.Exec(ctx, statement)
	return postgresNamed(err)
}
