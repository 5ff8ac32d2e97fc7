// Package roster reads the rows of runs: one, lists of them, and those that
// ended badly.
package roster

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"gathering"
	"gathering/internal/codec"
	"gathering/internal/event"
	"gathering/internal/store"
)

// Columns are those of a run, for [Scan]: its own and the name of its pipeline.
const Columns = `id, project, pipeline, (SELECT p.name FROM pipelines AS p WHERE p.id = pipeline) AS pipeline_name, version, state, coalesce(owner, '') AS owner, epoch, crashes, priority, labels,
	coalesce(parent_run, '') AS parent_run, root_run, depth, created_at, finished_at, ready_at, deadline`

// Scan reads a run, and into more what columns there are beside its own.
func Scan(row store.Scanner, more ...any) (gathering.Run, error) {
	var (
		r                         gathering.Run
		labels                    string
		name                      sql.NullString
		created                   int64
		finished, ready, deadline sql.NullInt64
	)
	err := row.Scan(append([]any{
		&r.ID, &r.Project, &r.Pipeline, &name, &r.Version, &r.State, &r.Owner, &r.Epoch, &r.Crashes, &r.Priority,
		&labels, &r.Parent, &r.Root, &r.Depth, &created, &finished, &ready, &deadline,
	}, more...)...)
	if err != nil {
		return gathering.Run{}, err
	}
	if err := json.Unmarshal([]byte(labels), &r.Labels); err != nil {
		return gathering.Run{}, fmt.Errorf("read the labels of %s: %w", r.ID, err)
	}
	r.PipelineName = name.String
	r.CreatedAt = time.UnixMicro(created).UTC()
	r.FinishedAt, r.ReadyAt, r.Deadline = nullTime(finished), nullTime(ready), nullTime(deadline)
	return r, nil
}

func nullTime(micros sql.NullInt64) *time.Time {
	if !micros.Valid {
		return nil
	}
	t := time.UnixMicro(micros.Int64).UTC()
	return &t
}

// Run returns a run, or an error of kind not_found. A run whose owner died may
// still look running.
func Run(ctx context.Context, q store.Querier, id gathering.RunID) (gathering.Run, error) {
	r, err := Scan(q.QueryRow(ctx, `SELECT `+Columns+` FROM runs WHERE id = $1`, string(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return r, gathering.NewError(gathering.KindNotFound, "there is no run %s", id)
	}
	if err != nil {
		return r, fmt.Errorf("read run %s: %w", id, err)
	}
	return r, nil
}

// The statements of lists. Lists are parameters as one text each, because they differ between the
// databases: states and dead owners between commas, projects as JSON, which is
// another text with one of them replaced. A run's children and its Family are
// found by indexes of their own.
const (
	selected = ` AND ($1 = '' OR replace($1, '"' || project || '"', '') <> $1) AND ($7 = '' OR pipeline = $7) AND ($2 = '' OR $2 LIKE '%,' ||
			CASE WHEN owner IS NOT NULL AND $6 LIKE '%,' || owner || ',%' THEN 'recovering' ELSE state END || ',%')
		AND id < $3 ORDER BY id DESC LIMIT $4`
	AllRuns   = `SELECT ` + Columns + ` FROM runs WHERE $5 = ''` + selected
	DeadRuns  = `SELECT ` + Columns + ` FROM runs WHERE $5 = '' AND dead_at IS NOT NULL` + selected
	Undecided = `SELECT ` + Columns + ` FROM runs WHERE $5 = '' AND undecided > 0 AND finished_at IS NULL` + selected
	ChildRuns = `SELECT ` + Columns + ` FROM runs WHERE parent_run = $5` + selected
	Family    = `SELECT ` + Columns + ` FROM runs WHERE root_run = $5 AND depth > 0` + selected
	// With the last row of each one's log, which tells how it ended.
	deadLetters = `SELECT ` + Columns + `, log_seq, log_at, log_version, log_rows FROM (` + DeadRuns + `) AS r
		JOIN (SELECT run_id AS log_run, seq AS log_seq, at AS log_at, version AS log_version, rows AS log_rows FROM run_log) AS l
		ON log_run = id AND log_seq = (SELECT max(seq) FROM run_log WHERE run_id = id) ORDER BY id DESC`
)

// maxRuns is how many runs a list holds at most: one more than a page does, to
// tell whether there is another.
const maxRuns = 501

// Dead lists the owners of runs that are not alive. A run of theirs counts as
// recovering.
type Dead func(ctx context.Context) ([]gathering.InstanceID, error)

// Runs returns the runs that the filter selects, newest first, as their rows
// have them.
func Runs(ctx context.Context, q store.Querier, f gathering.RunFilter, dead Dead) ([]gathering.Run, error) {
	query, of := AllRuns, ""
	switch {
	case f.Dead:
		query = DeadRuns
	case f.Undecided:
		query = Undecided
	case f.Parent != "":
		query, of = ChildRuns, string(f.Parent)
	case f.Root != "":
		query, of = Family, string(f.Root)
	}
	s := selection{q, query, of, f, dead}
	var runs []gathering.Run
	err := s.each(ctx, func(row store.Scanner) error {
		r, err := Scan(row)
		runs = append(runs, r)
		return err
	})
	return runs, err
}

// DeadLetter is a run that ended badly, with why it did.
type DeadLetter struct {
	gathering.Run

	Failure *gathering.Failure
}

// DeadLetters returns those runs that ended badly and that nobody has seen to
// which the filter selects, newest first.
func DeadLetters(ctx context.Context, q store.Querier, f gathering.RunFilter) ([]DeadLetter, error) {
	s := selection{q: q, query: deadLetters, filter: f, dead: func(context.Context) ([]gathering.InstanceID, error) { return nil, nil }}
	var letters []DeadLetter
	err := s.each(ctx, func(row store.Scanner) error {
		var last event.Row
		r, err := Scan(row, &last.Seq, &last.At, &last.Version, &last.Rows)
		if err != nil {
			return err
		}
		last.Stream = string(r.ID)
		failure, err := failureOf(ctx, last)
		letters = append(letters, DeadLetter{r, failure})
		return err
	})
	return letters, err
}

// failureOf is how a run ended, by the last row of its log.
func failureOf(ctx context.Context, last event.Row) (*gathering.Failure, error) {
	// What is too long to stand in the row itself is of other events.
	nothing := func(context.Context, string) ([]byte, error) { return codec.Encode([]byte("null")), nil }
	events, err := event.Unpack(ctx, last, nothing)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		if e.Type.EndState() == "" {
			continue
		}
		var ended gathering.RunEndedData
		if err := json.Unmarshal(e.Data, &ended); err != nil {
			return nil, fmt.Errorf("read how %s ended: %w", last.Stream, err)
		}
		return ended.Failure, nil
	}
	return nil, nil //nolint:nilnil // it ended without a failure, or was never one
}

// beyond comes after the ID of every run, however the database sorts. A page of
// a list is a range of IDs, also the first: one that might be left open would
// be found by looking at every run before it.
const beyond = "s"

// selection is a list as it is asked for.
type selection struct {
	q         store.Querier
	query, of string
	filter    gathering.RunFilter
	dead      Dead
}

func (s selection) each(ctx context.Context, scan func(row store.Scanner) error) error {
	f := s.filter
	limit := f.Limit
	if limit <= 0 {
		limit = 50
	}
	dead := ""
	projects, err := listed(f.Projects)
	if err != nil {
		return err
	}
	if len(f.States) > 0 {
		owners, err := s.dead(ctx)
		if err != nil {
			return err
		}
		dead = between(owners)
	}
	rows, err := s.q.Query(ctx, s.query,
		projects, between(f.States), string(cmp.Or(f.Before, beyond)), min(limit, maxRuns), s.of, dead, string(f.Pipeline))
	if err == nil {
		err = rows.Each(scan)
	}
	if err != nil {
		return fmt.Errorf("list runs: %w", err)
	}
	return nil
}

// listed are projects as the statements take them.
func listed(projects []gathering.ProjectID) (string, error) {
	if projects == nil {
		return "", nil
	}
	list, err := json.Marshal(projects)
	if err != nil {
		return "", fmt.Errorf("list projects: %w", err)
	}
	return string(list), nil
}

// between is words between commas; "" is none.
func between[T ~string](words []T) string {
	if len(words) == 0 {
		return ""
	}
	var b strings.Builder
	for _, word := range words {
		b.WriteString("," + string(word))
	}
	return b.String() + ","
}
