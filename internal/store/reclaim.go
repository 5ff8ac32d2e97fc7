package store

import (
	"context"
	"fmt"
)

// Reclaim gives the room that deleted rows left back to the file system. It
// does so in short steps, and others write in between. The file grows shorter
// once nobody reads what it held before, which is now, or at one of the next
// checkpoints. On PostgreSQL the server does it by itself.
func (db *DB) Reclaim(ctx context.Context) error {
	if db.dialect.Database != SQLite {
		return nil
	}
	var free, before int64
	for first := true; first || free > 0 && free < before; first = false {
		before = free
		err := db.Tx(ctx, func(tx *Tx) error {
			rows, err := tx.Query(ctx, `PRAGMA incremental_vacuum(256)`)
			if err != nil {
				return err
			}
			if err := rows.Each(func(Scanner) error { return nil }); err != nil { // a page at each step
				return err
			}
			return tx.QueryRow(ctx, `PRAGMA freelist_count`).Scan(&free)
		})
		if err != nil {
			return fmt.Errorf("give room back: %w", err)
		}
		if first {
			before = free + 1
		}
	}
	// The file is cut short when the log of what was written is worked into it.
	var busy, pages, done int64
	if err := db.Read().QueryRow(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &pages, &done); err != nil {
		return fmt.Errorf("give room back: %w", err)
	}
	return nil
}
