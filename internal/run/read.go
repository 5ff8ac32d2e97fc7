package run

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"gathering"
	"gathering/internal/codec"
	"gathering/internal/engine"
	"gathering/internal/event"
	"gathering/internal/store"
)

const runColumns = `id, project, pipeline, version, state, coalesce(owner, ''), epoch, crashes, priority, labels,
	coalesce(parent_run, ''), root_run, depth, created_at, finished_at, ready_at, deadline`

func scanRun(row store.Scanner) (gathering.Run, error) {
	var (
		r                         gathering.Run
		labels                    string
		created                   int64
		finished, ready, deadline sql.NullInt64
	)
	err := row.Scan(&r.ID, &r.Project, &r.Pipeline, &r.Version, &r.State, &r.Owner, &r.Epoch, &r.Crashes, &r.Priority,
		&labels, &r.Parent, &r.Root, &r.Depth, &created, &finished, &ready, &deadline)
	if err != nil {
		return gathering.Run{}, err
	}
	if err := json.Unmarshal([]byte(labels), &r.Labels); err != nil {
		return gathering.Run{}, fmt.Errorf("read the labels of %s: %w", r.ID, err)
	}
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

func readRun(ctx context.Context, q store.Querier, id gathering.RunID) (gathering.Run, error) {
	r, err := scanRun(q.QueryRow(ctx, `SELECT `+runColumns+` FROM runs WHERE id = $1`, string(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return r, gathering.NewError(gathering.KindNotFound, "there is no run %s", id)
	}
	if err != nil {
		return r, fmt.Errorf("read run %s: %w", id, err)
	}
	return r, nil
}

// Run returns a run, or an error of kind not_found.
func (s *Service) Run(ctx context.Context, id gathering.RunID) (gathering.Run, error) {
	r, err := readRun(ctx, s.db.Read(), id)
	if err == nil {
		err = s.show(ctx, &r)
	}
	return r, err
}

// States are a comma-separated parameter, because lists differ between the
// databases, and so are the owners that are dead. A run's children and its family are found by indexes of their own.
const (
	selected = ` AND ($1 = '' OR project = $1) AND ($2 = '' OR $2 LIKE '%,' ||
			CASE WHEN owner IS NOT NULL AND $6 LIKE '%,' || owner || ',%' THEN 'recovering' ELSE state END || ',%')
		AND ($3 = '' OR id < $3) ORDER BY id DESC LIMIT $4`
	allRuns   = `SELECT ` + runColumns + ` FROM runs WHERE $5 = ''` + selected
	deadRuns  = `SELECT ` + runColumns + ` FROM runs WHERE $5 = '' AND dead_at IS NOT NULL` + selected
	childRuns = `SELECT ` + runColumns + ` FROM runs WHERE parent_run = $5` + selected
	family    = `SELECT ` + runColumns + ` FROM runs WHERE root_run = $5 AND depth > 0` + selected
)

// Runs returns the runs that the filter selects, newest first.
func (s *Service) Runs(ctx context.Context, f gathering.RunFilter) ([]gathering.Run, error) {
	states := make([]string, len(f.States))
	for i, state := range f.States {
		states[i] = string(state)
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 50
	}
	query, of := allRuns, ""
	switch {
	case f.Dead:
		query = deadRuns
	case f.Parent != "":
		query, of = childRuns, string(f.Parent)
	case f.Root != "":
		query, of = family, string(f.Root)
	}
	dead := ""
	if len(states) > 0 {
		var err error
		if dead, err = s.deadOwners(ctx); err != nil {
			return nil, err
		}
	}
	rows, err := s.db.Read().Query(ctx, query,
		string(f.Project), list(states), string(f.Before), min(limit, 500), of, dead)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var runs []gathering.Run
	err = rows.Each(func(row store.Scanner) error {
		r, err := scanRun(row)
		runs = append(runs, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	for i := range runs {
		if err := s.show(ctx, &runs[i]); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// list is words between commas; "" is none.
func list(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return "," + strings.Join(words, ",") + ","
}

// Events returns the events of a run after a sequence number, oldest first, at
// least one commit's worth if there is one and about limit of them (0 is all).
func (s *Service) Events(ctx context.Context, id gathering.RunID, after int64, limit int) ([]gathering.Event, error) {
	if limit <= 0 {
		limit = 1 << 30
	}
	rows, err := s.db.Read().Query(ctx, `SELECT seq, at, version, rows FROM run_log WHERE run_id = $1 AND seq >=
		(SELECT coalesce(max(seq), 0) FROM run_log WHERE run_id = $1 AND seq <= $2) ORDER BY seq LIMIT $3`,
		string(id), after+1, limit)
	if err != nil {
		return nil, fmt.Errorf("read the log of %s: %w", id, err)
	}
	var packed []event.Row
	err = rows.Each(func(row store.Scanner) error {
		r := event.Row{Stream: string(id)}
		err := row.Scan(&r.Seq, &r.At, &r.Version, &r.Rows)
		packed = append(packed, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the log of %s: %w", id, err)
	}
	var events []gathering.Event
	for _, row := range packed {
		unpacked, err := event.Unpack(ctx, row, func(ctx context.Context, hash string) ([]byte, error) {
			return s.blob(ctx, id, hash)
		})
		if err != nil {
			return nil, err
		}
		for _, e := range unpacked {
			if e.Seq > after && len(events) < limit {
				events = append(events, e)
			}
		}
	}
	return events, nil
}

func (s *Service) blob(ctx context.Context, id gathering.RunID, hash string) ([]byte, error) {
	var data []byte
	err := s.db.Read().QueryRow(ctx, `SELECT data FROM blobs WHERE run_id = $1 AND hash = $2`, string(id), hash).Scan(&data)
	if err != nil {
		return nil, fmt.Errorf("read blob %s of %s: %w", hash, id, err)
	}
	return data, nil
}

// watchPoll is how often a watcher looks for what another process wrote.
const watchPoll = 500 * time.Millisecond

// Watch yields the events of a run after a sequence number, first those that
// are there and then each as it becomes durable, until the run has ended or ctx
// has. It waits a while for a database that is away.
func (s *Service) Watch(ctx context.Context, id gathering.RunID, after int64) iter.Seq2[gathering.Event, error] {
	return func(yield func(gathering.Event, error) bool) {
		rings, cancel := s.bell.Subscribe(topicLog(id))
		defer cancel()
		poll := time.NewTicker(watchPoll)
		defer poll.Stop()
		for {
			var (
				events []gathering.Event
				over   bool
			)
			err := s.patiently(ctx, func() (err error) {
				events, over, err = s.more(ctx, id, after)
				return err
			})
			if err != nil {
				yield(gathering.Event{}, err)
				return
			}
			for _, e := range events {
				after = e.Seq
				if !yield(e, nil) {
					return
				}
			}
			switch {
			case over:
				return
			case len(events) > 0:
				continue
			}
			select {
			case <-rings:
			case <-poll.C:
			case <-ctx.Done():
				yield(gathering.Event{}, ctx.Err())
				return
			}
		}
	}
}

// more returns what follows in a log, and whether that is all there will ever be.
func (s *Service) more(ctx context.Context, id gathering.RunID, after int64) (events []gathering.Event, over bool, err error) {
	// The row comes first: of a run that had ended by then all events are there.
	r, err := readRun(ctx, s.db.Read(), id)
	if err != nil {
		return nil, false, err
	}
	events, err = s.Events(ctx, id, after, 1000)
	return events, r.State.Terminal() && len(events) == 0, err
}

// Report folds a run's log and tells where it and its nodes stand.
func (s *Service) Report(ctx context.Context, id gathering.RunID) (gathering.RunReport, error) {
	r, err := s.Run(ctx, id)
	if err != nil {
		return gathering.RunReport{}, err
	}
	state, err := s.fold(ctx, r)
	if err != nil {
		return gathering.RunReport{}, err
	}
	report := state.Report()
	if !r.State.Terminal() && !report.State.Terminal() {
		report.State = r.State // a run whose owner died still looks running in its log
	}
	return report, nil
}

func (s *Service) fold(ctx context.Context, r gathering.Run) (*engine.State, error) {
	graph, err := s.pipelines.Graph(ctx, r.Pipeline, r.Version)
	if err != nil {
		return nil, fmt.Errorf("load the pipeline of %s: %w", r.ID, err)
	}
	state := engine.NewState(graph, r.ID, r.Root, r.Project)
	if err := s.restore(ctx, state); err != nil {
		return nil, err
	}
	events, err := s.Events(ctx, r.ID, state.Seq, 0)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		if err := state.Fold(e); err != nil {
			return nil, err
		}
	}
	state.TakeProgress() // what ended before is no progress of who folds it
	return state, nil
}

// restore takes a state to the run's last snapshot, if it has one.
func (s *Service) restore(ctx context.Context, state *engine.State) error {
	var (
		version int
		stored  []byte
	)
	err := s.db.Read().QueryRow(ctx, `SELECT version, data FROM snapshots WHERE run_id = $1`, string(state.ID)).Scan(&version, &stored)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the snapshot of %s: %w", state.ID, err)
	}
	if version != engine.SnapshotVersion {
		return nil // another program's; the log has it all
	}
	data, err := codec.Decode(stored)
	if err != nil {
		return fmt.Errorf("read the snapshot of %s: %w", state.ID, err)
	}
	return engine.Restore(state, data, func(hash string) (json.RawMessage, error) {
		stored, err := s.blob(ctx, state.ID, hash)
		if err != nil {
			return nil, err
		}
		return codec.Decode(stored)
	})
}

// Wait returns when the run has ended or ctx has.
func (s *Service) Wait(ctx context.Context, id gathering.RunID) error {
	if here := s.ends.Of(string(id)); here != nil {
		select {
		case <-here.Over():
		case <-ctx.Done():
			return ctx.Err()
		}
		if here.Ended() {
			return nil
		}
	}
	rings, cancel := s.bell.Subscribe(topicEnd(id))
	defer cancel()
	poll := time.NewTicker(watchPoll)
	defer poll.Stop()
	for {
		r, err := readRun(ctx, s.db.Read(), id)
		if err != nil || r.State.Terminal() {
			return err
		}
		select {
		case <-rings:
		case <-poll.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
