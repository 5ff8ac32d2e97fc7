// Package place grants places to runs whose pipelines bound how many are under
// way at once.
//
// A run that waits for a place has a concurrency key and was never granted one;
// it holds its place from then on until it ends, whoever owns it and parked or
// not. So everything follows from the rows, whoever dies.
package place

import (
	"context"
	"fmt"
	"slices"

	"gathering/internal/store"
)

const (
	// Vacancies selects the keys with a place for a run that waits.
	Vacancies = `WITH RECURSIVE waiting(name) AS (
			SELECT (SELECT r.concurrency_key FROM runs r WHERE r.concurrency_key IS NOT NULL AND r.granted_at IS NULL
				AND r.owner IS NULL AND r.finished_at IS NULL ORDER BY r.concurrency_key LIMIT 1)
			UNION ALL SELECT (SELECT r.concurrency_key FROM runs r WHERE r.concurrency_key IS NOT NULL AND r.granted_at IS NULL
				AND r.owner IS NULL AND r.finished_at IS NULL AND r.concurrency_key > waiting.name ORDER BY r.concurrency_key LIMIT 1)
			FROM waiting WHERE waiting.name IS NOT NULL)
		SELECT waiting.name FROM waiting WHERE waiting.name IS NOT NULL
			AND (SELECT count(*) FROM runs h WHERE h.concurrency_key = waiting.name AND h.granted_at IS NOT NULL AND h.finished_at IS NULL)
			< (SELECT r.concurrency_max FROM runs r WHERE r.concurrency_key IS NOT NULL AND r.granted_at IS NULL
				AND r.owner IS NULL AND r.finished_at IS NULL AND r.concurrency_key = waiting.name ORDER BY r.queue, r.created_at LIMIT 1)`
	holding = `SELECT count(*) FROM runs WHERE concurrency_key = $1 AND granted_at IS NOT NULL AND finished_at IS NULL`
	// Waiting selects up to $2 runs that wait for a place of key $1, the next first.
	Waiting = `SELECT id, concurrency_max FROM runs WHERE concurrency_key IS NOT NULL AND granted_at IS NULL
		AND owner IS NULL AND finished_at IS NULL AND concurrency_key = $1 ORDER BY queue, created_at, id LIMIT $2`
)

const (
	grantKeys = 32 // that one transaction looks at
	grantRuns = 64 // of one key that one transaction makes due
)

// Vacant lists the keys with a place for a run that waits.
func Vacant(ctx context.Context, q store.Querier) ([]string, error) {
	rows, err := q.Query(ctx, Vacancies)
	if err != nil {
		return nil, fmt.Errorf("look for free places: %w", err)
	}
	var keys []string
	err = rows.Each(func(row store.Scanner) error {
		var key string
		err := row.Scan(&key)
		keys = append(keys, key)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for free places: %w", err)
	}
	return keys, nil
}

// Grant makes runs that wait for a place due at now, in microseconds, as many
// as there are places, and returns how many.
func Grant(ctx context.Context, db *store.DB, now int64) (granted int, err error) {
	for more := true; more; {
		keys, err := Vacant(ctx, db.Read())
		if err != nil {
			return granted, err
		}
		more = false
		for some := range slices.Chunk(keys, grantKeys) {
			n, err := grantSome(ctx, db, some, now)
			if err != nil {
				return granted, err
			}
			granted += n
			more = more || n > 0
		}
	}
	return granted, nil
}

func grantSome(ctx context.Context, db *store.DB, keys []string, now int64) (granted int, err error) {
	err = db.Tx(ctx, func(tx *store.Tx) error {
		granted = 0
		// One at a time grants, and sees what the others did.
		var name string
		if err := tx.QueryRow(ctx, `SELECT value FROM meta WHERE key = 'log_id'`+tx.Dialect().ForUpdate()).Scan(&name); err != nil {
			return err
		}
		for _, key := range keys {
			n, err := grantKey(ctx, tx, key, now)
			if err != nil {
				return err
			}
			granted += n
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("grant places: %w", err)
	}
	return granted, nil
}

// grantKey grants places to the runs of one key, the most urgent first and then
// the oldest. One that has to wait has all behind it wait.
func grantKey(ctx context.Context, tx *store.Tx, key string, now int64) (granted int, err error) {
	var held int64
	if err := tx.QueryRow(ctx, holding, key).Scan(&held); err != nil {
		return 0, err
	}
	rows, err := tx.Query(ctx, Waiting, key, grantRuns)
	if err != nil {
		return 0, err
	}
	var next []string
	open := true
	err = rows.Each(func(row store.Scanner) error {
		var (
			id   string
			most int64
		)
		err := row.Scan(&id, &most)
		if open = open && held+int64(len(next)) < most; open {
			next = append(next, id)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, id := range next {
		n, err := tx.Exec(ctx, `UPDATE runs SET granted_at = $2, ready_at = $2
			WHERE id = $1 AND granted_at IS NULL AND owner IS NULL AND finished_at IS NULL`, id, now)
		if err != nil {
			return 0, err
		}
		granted += int(n)
	}
	return granted, nil
}
