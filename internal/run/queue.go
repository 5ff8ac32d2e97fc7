package run

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"gathering"
	"gathering/internal/fair"
	"gathering/internal/store"
)

// MaxPriority is the highest priority of a run, and its negative the lowest.
const MaxPriority = 100

// queueOf is where a run stands in line: queues sort by priority, the highest
// first, and then by project.
func queueOf(priority int, project gathering.ProjectID) string {
	priority = min(max(priority, -MaxPriority), MaxPriority)
	return fmt.Sprintf("%03d/%s", MaxPriority-priority, project)
}

// suspects stands for the queue of runs that may be what took their hosts down.
const suspects = ""

// suspicious is from how many crashes in a row on a run is a suspect. The same
// number is in the statements and in the index runs_suspect.
const suspicious = 2

// spot is a queue with runs that are due some time.
type spot struct {
	queue string
	ready time.Time // when the first of them is
}

// urgency is what spots of one priority have in common.
func (p spot) urgency() string {
	urgency, _, _ := strings.Cut(p.queue, "/")
	return urgency
}

func (p spot) project() gathering.ProjectID {
	_, project, _ := strings.Cut(p.queue, "/")
	return gathering.ProjectID(project)
}

// The queues are found by leaps through the index, one for each, however many
// runs are in them. A run and those it led to are found by their own indexes.
const (
	wholeLine = `WITH RECURSIVE line(queue) AS (
			SELECT (SELECT r.queue FROM runs r WHERE r.owner IS NULL AND r.ready_at IS NOT NULL AND r.crashes < 2 AND r.min_engine <= $1
				ORDER BY r.queue LIMIT 1)
			UNION ALL SELECT (SELECT r.queue FROM runs r WHERE r.owner IS NULL AND r.ready_at IS NOT NULL AND r.crashes < 2 AND r.min_engine <= $1
				AND r.queue > line.queue ORDER BY r.queue LIMIT 1) FROM line WHERE line.queue IS NOT NULL)
		SELECT line.queue, (SELECT r.ready_at FROM runs r WHERE r.owner IS NULL AND r.ready_at IS NOT NULL AND r.crashes < 2 AND r.min_engine <= $1
			AND r.queue = line.queue ORDER BY r.ready_at LIMIT 1) FROM line WHERE line.queue IS NOT NULL
		UNION ALL SELECT '', (SELECT r.ready_at FROM runs r WHERE r.owner IS NULL AND r.ready_at IS NOT NULL AND r.crashes >= 2
			AND r.min_engine <= $1 ORDER BY r.ready_at LIMIT 1)`
	familyLine = `SELECT CASE WHEN crashes < 2 THEN queue ELSE '' END, min(ready_at) FROM runs
		WHERE (id = $2 OR root_run = $2 AND depth > 0) AND owner IS NULL AND ready_at IS NOT NULL AND min_engine <= $1 GROUP BY 1`
)

// line returns the queues in which runs are due now or later, in no order, with
// only set those of that run and of those it led to.
func (s *Service) line(ctx context.Context, only gathering.RunID) ([]spot, error) {
	query, args := wholeLine, []any{EngineVersion}
	if only != "" {
		query, args = familyLine, append(args, string(only))
	}
	rows, err := s.db.Read().Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("look for runs that are due: %w", err)
	}
	var line []spot
	err = rows.Each(func(row store.Scanner) error {
		var (
			p     spot
			ready sql.NullInt64
		)
		err := row.Scan(&p.queue, &ready)
		if p.ready = time.UnixMicro(ready.Int64); ready.Valid {
			line = append(line, p)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for runs that are due: %w", err)
	}
	return line, nil
}

// projectTurns are the turns of projects at slots.
type projectTurns = fair.Turns[gathering.ProjectID]

func projects(line []spot) []gathering.ProjectID {
	list := make([]gathering.ProjectID, len(line))
	for i, p := range line {
		list[i] = p.project()
	}
	return list
}
