package audit

import (
	"context"
	"fmt"

	"gathering"
	"gathering/internal/event"
	"gathering/internal/store"
)

// Tell writes that something happened, in the transaction in which it does:
// into the audit trail, as far as somebody asked for it, and into the log of
// the object. It must be the transaction's last statement, see [event.Append].
// The entry's action is the event's type, and its object the event's stream
// unless it names another.
func Tell(ctx context.Context, tx *store.Tx, e gathering.Event, data any, entry gathering.AuditEntry) error {
	entry.Action = string(e.Type)
	if entry.Object == "" {
		entry.Object = e.Stream
	}
	if err := Record(ctx, tx, entry, e.At); err != nil {
		return err
	}
	return event.Append(ctx, tx, e, data)
}

// Pending reports whether there are entries that are not sealed.
func Pending(ctx context.Context, q store.Querier) (bool, error) {
	var n int
	err := q.QueryRow(ctx, `SELECT count(*) FROM (SELECT id FROM audit WHERE seal IS NULL LIMIT 1) AS unsealed`).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look what is not sealed: %w", err)
	}
	return n > 0, nil
}

// Nobody returns a context of what the program does by itself, which is not
// audited.
func Nobody(ctx context.Context) context.Context {
	return context.WithValue(ctx, callerKey{}, nil)
}
