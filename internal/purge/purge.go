// Package purge deletes runs that have ended with everything that is kept of
// them, in short transactions. One that was broken off is completed by the next.
package purge

import (
	"context"
	"fmt"

	"gathering"
	"gathering/internal/store"
)

// led are the runs that a run led to, those that were started last first.
// A child of a run that did not wait for it is known by the root alone.
const led = `WITH RECURSIVE family(id, depth, finished_at) AS (
		SELECT id, depth, finished_at FROM runs WHERE root_run = $1 AND depth > 0
		UNION SELECT id, depth, finished_at FROM runs WHERE parent_run = $1
		UNION SELECT r.id, r.depth, r.finished_at FROM runs r JOIN family f ON r.parent_run = f.id)
	SELECT id, coalesce(finished_at, 0) FROM family ORDER BY depth DESC`

// Run deletes a run that has ended and all runs that it led to, and gives the
// room back. Where one of these has not ended it deletes nothing and returns an
// error of kind conflict. Last is called in the transaction that deletes the
// last of it.
func Run(ctx context.Context, db *store.DB, id gathering.RunID, last func(tx *store.Tx) error) error {
	ids, err := family(ctx, db, id)
	if err != nil {
		return err
	}
	for ids = append(ids, id); len(ids) > 0; {
		done, err := some(ctx, db, ids, last)
		if err != nil {
			return fmt.Errorf("delete %s: %w", id, err)
		}
		ids = ids[done:]
	}
	if err := db.Reclaim(ctx); err != nil {
		return fmt.Errorf("delete %s: %w", id, err)
	}
	return nil
}

// family lists the runs that a run led to, all of which must have ended.
func family(ctx context.Context, db *store.DB, id gathering.RunID) ([]gathering.RunID, error) {
	rows, err := db.Read().Query(ctx, led, string(id))
	if err != nil {
		return nil, fmt.Errorf("look what %s led to: %w", id, err)
	}
	var ids []gathering.RunID
	err = rows.Each(func(row store.Scanner) error {
		var (
			member   gathering.RunID
			finished int64
		)
		if err := row.Scan(&member, &finished); err != nil {
			return err
		}
		if finished == 0 {
			return gathering.NewError(gathering.KindConflict, "run %s led to run %s, which has not ended; cancel that one first", id, member)
		}
		ids = append(ids, member)
		return nil
	})
	if gathering.KindOf(err) == gathering.KindInternal {
		err = fmt.Errorf("look what %s led to: %w", id, err)
	}
	return ids, err
}

const (
	deleteRows  = 1000 // that one transaction deletes
	deleteBlobs = 8    // of a run, each up to 16 MB
)

// What is kept of a run, each in parts, before the run itself.
const (
	deleteBlob     = `DELETE FROM blobs WHERE run_id = $1 AND hash IN (SELECT hash FROM blobs WHERE run_id = $1 LIMIT $2)`
	deleteLog      = `DELETE FROM run_log WHERE run_id = $1 AND seq IN (SELECT seq FROM run_log WHERE run_id = $1 LIMIT $2)`
	deleteMail     = `DELETE FROM run_inbox WHERE run_id = $1 AND id IN (SELECT id FROM run_inbox WHERE run_id = $1 LIMIT $2)`
	deleteSnapshot = `DELETE FROM snapshots WHERE run_id = $1`
	deleteRow      = `DELETE FROM runs WHERE id = $1`
)

// some deletes what fits into one transaction and returns how many of the runs
// are gone. Last is called if all are.
func some(ctx context.Context, db *store.DB, ids []gathering.RunID, last func(tx *store.Tx) error) (done int, err error) {
	err = db.Tx(ctx, func(tx *store.Tx) error {
		done = 0
		room := int64(deleteRows)
		for _, id := range ids {
			spent, gone, err := part(ctx, tx, id, room)
			if err != nil {
				return err
			}
			if room -= spent; gone {
				done++
			}
			if done < len(ids) && (!gone || room <= 0) {
				return nil
			}
		}
		return last(tx)
	})
	return done, err
}

// part deletes up to limit rows of a run; gone is whether none is left.
func part(ctx context.Context, tx *store.Tx, id gathering.RunID, limit int64) (spent int64, gone bool, err error) {
	blobs, err := tx.Exec(ctx, deleteBlob, string(id), deleteBlobs)
	if err != nil || blobs == deleteBlobs {
		return limit, false, err
	}
	spent = 2 + blobs*deleteRows/deleteBlobs
	events, err := tx.Exec(ctx, deleteLog, string(id), limit)
	if spent += events; err != nil || events == limit {
		return spent, false, err
	}
	letters, err := tx.Exec(ctx, deleteMail, string(id), limit)
	if spent += letters; err != nil || letters == limit {
		return spent, false, err
	}
	if _, err := tx.Exec(ctx, deleteSnapshot, string(id)); err != nil {
		return spent, false, err
	}
	_, err = tx.Exec(ctx, deleteRow, string(id))
	return spent, err == nil, err
}
