package roster

import (
	"context"
	"fmt"

	"gathering"
	"gathering/internal/store"
)

// Those that have not ended are owned, due some day, or parked until mail comes:
// each is an index of its own, in which nothing is that has ended. So what this
// takes does not grow with what there was, and no more is counted than a bound.
const (
	within   = ` AND ($1 = '' OR replace($1, '"' || project || '"', '') <> $1)`
	UnderWay = `SELECT state, count(*) FROM (
		SELECT CASE WHEN $2 LIKE '%,' || owner || ',%' THEN 'recovering' ELSE state END AS state FROM runs WHERE owner IS NOT NULL` + within + `
		UNION ALL SELECT state FROM runs WHERE owner IS NULL AND ready_at IS NOT NULL` + within + `
		UNION ALL SELECT state FROM runs WHERE owner IS NULL AND ready_at IS NULL AND finished_at IS NULL` + within + `
		LIMIT $3) AS under_way GROUP BY state`
	ToSeeTo = `SELECT (SELECT count(*) FROM (SELECT id FROM runs WHERE undecided > 0 AND finished_at IS NULL` + within + ` LIMIT $2) AS undecided),
		(SELECT count(*) FROM (SELECT id FROM runs WHERE dead_at IS NOT NULL` + within + ` LIMIT $2) AS dead)`
)

// Counts counts the runs of projects; nil is all. It counts no more than a bound
// of those under way, of those to be decided and of the dead letters, and tells
// where it stopped.
func Counts(ctx context.Context, q store.Querier, projects []gathering.ProjectID, bound int, dead Dead) (gathering.RunCounts, error) {
	var c gathering.RunCounts
	list, err := listed(projects)
	if err != nil {
		return c, err
	}
	owners, err := dead(ctx)
	if err != nil {
		return c, err
	}
	all := 0
	rows, err := q.Query(ctx, UnderWay, list, between(owners), bound)
	if err == nil {
		err = rows.Each(func(row store.Scanner) error {
			var (
				state gathering.RunState
				n     int
			)
			err := row.Scan(&state, &n)
			*place(&c, state) += n
			all += n
			return err
		})
	}
	if err == nil {
		err = q.QueryRow(ctx, ToSeeTo, list, bound).Scan(&c.Undecided, &c.Dead)
	}
	if err != nil {
		return c, fmt.Errorf("count runs: %w", err)
	}
	c.AtLeast = max(all, c.Undecided, c.Dead) >= bound
	return c, nil
}

// place is where runs of a state are counted.
func place(c *gathering.RunCounts, state gathering.RunState) *int {
	switch state {
	case gathering.RunQueued:
		return &c.Queued
	case gathering.RunRunning:
		return &c.Running
	case gathering.RunRecovering:
		return &c.Recovering
	case gathering.RunWaiting:
		return &c.Waiting
	case gathering.RunPaused:
		return &c.Paused
	case gathering.RunCancelling:
		return &c.Cancelling
	default:
		return new(int) // it has ended, and is in no index
	}
}
