package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

// newSchema makes a schema of its own in the test server, and returns the URL
// that leads into it and what drops it.
func newSchema(ctx context.Context) (where string, drop func(context.Context) error, err error) {
	server, err := serverURL()
	if err != nil {
		return "", nil, err
	}
	name := "test_" + strings.ToLower(rand.Text())
	if err := runAlone(ctx, server, "CREATE SCHEMA "+name); err != nil {
		return "", nil, err
	}
	u, err := url.Parse(server)
	if err != nil {
		return "", nil, fmt.Errorf("read the test server's URL: %w", err)
	}
	query := u.Query()
	query.Set("search_path", name)
	u.RawQuery = query.Encode()
	return u.String(), func(ctx context.Context) error {
		return runAlone(ctx, server, "DROP SCHEMA "+name+" CASCADE")
	}, nil
}

// serverURL is TEST_DATABASE_URL, or a server started for this test binary.
func serverURL() (string, error) {
	if url := os.Getenv("TEST_DATABASE_URL"); url != "" {
		return url, nil
	}
	s, err := theServer()
	if err != nil {
		return "", err
	}
	return s.url(), nil
}

func runAlone(ctx context.Context, server, statement string) (err error) {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("connect to the test server: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	_, err = conn.Exec(ctx, statement)
	return err
}
