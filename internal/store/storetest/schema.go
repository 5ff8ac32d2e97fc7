package storetest

import (
	"context"
	"os"

	"gathering/internal/store"
)

// newSchema makes a schema of its own in the test server, and returns the URL
// that leads into it and what drops it.
func newSchema(ctx context.Context) (where string, drop func(context.Context) error, err error) {
	server, err := serverURL()
	if err != nil {
		return "", nil, err
	}
	return store.NewSchema(ctx, server, "test")
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
