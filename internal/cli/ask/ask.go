// Package ask is the commands that ask a service, wherever it is: the one that
// --server names, the process that holds the data directory, or this process.
package ask

import (
	"context"
	"time"

	"gathering/internal/progress"
	"gathering/internal/remote"
)

// Console is what the commands have of the command line around them.
type Console interface {
	// Say writes a line on standard output.
	Say(format string, args ...any)
	// Table writes rows under a heading whose columns are separated by tabs.
	Table(heading string, rows [][]string) error
	// Document writes a JSON document.
	Document(document any) error
	// Service calls ask with a client of the service. Where there is none yet,
	// it is an error unless it is to be made.
	Service(ctx context.Context, making Making, ask func(ctx context.Context, client *remote.Client) error) error
	// Secret reads a secret from standard input.
	Secret(what string) (string, error)
}

// Making says whether an installation is made where there is none.
type Making bool

// Whether an installation is made.
const (
	Existing Making = false
	Made     Making = true
)

func clockTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// moment is a time that may not have been.
func moment(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return clockTime(*t)
}

func printable(text string) string {
	if text == "" {
		return "-"
	}
	return progress.OneLine(text)
}
