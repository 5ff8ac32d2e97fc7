package run

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"gathering"
	"gathering/internal/codec"
	"gathering/internal/engine"
	"gathering/internal/event"
	"gathering/internal/roster"
)

// Run returns a run, or an error of kind not_found.
func (s *Service) Run(ctx context.Context, id gathering.RunID) (gathering.Run, error) {
	r, err := roster.Run(ctx, s.db.Read(), id)
	if err == nil {
		err = s.show(ctx, &r)
	}
	return r, err
}

// Runs returns the runs that the filter selects, newest first.
func (s *Service) Runs(ctx context.Context, f gathering.RunFilter) ([]gathering.Run, error) {
	runs, err := roster.Runs(ctx, s.db.Read(), f, s.deadOwners)
	for i := range runs {
		if err == nil {
			err = s.show(ctx, &runs[i])
		}
	}
	return runs, err
}

// maxCounted is how many runs are counted of a kind.
const maxCounted = 10_000

// Counts counts the runs of projects; nil is all.
func (s *Service) Counts(ctx context.Context, projects []gathering.ProjectID) (gathering.RunCounts, error) {
	return roster.Counts(ctx, s.db.Read(), projects, maxCounted, s.deadOwners)
}

// DeadLetters returns those runs that ended badly and that nobody has seen to
// which the filter selects, newest first, and why they did.
func (s *Service) DeadLetters(ctx context.Context, f gathering.RunFilter) ([]roster.DeadLetter, error) {
	return roster.DeadLetters(ctx, s.db.Read(), f)
}

// Events returns the events of a run after a sequence number, oldest first, at
// most limit of them; 0 is all. Long ones come fewer at a time, but one at
// least: it is the end that none are left.
func (s *Service) Events(ctx context.Context, id gathering.RunID, after int64, limit int) ([]gathering.Event, error) {
	events, _, err := event.RunLog(ctx, s.db.Read(), id, after, limit)
	return events, err
}

// EventPage is Events that tells whether others follow.
func (s *Service) EventPage(ctx context.Context, id gathering.RunID, after int64, limit int) (events []gathering.Event, more bool, err error) {
	return event.RunLog(ctx, s.db.Read(), id, after, limit)
}

// watchPoll is how often a watcher looks for what another process wrote.
const watchPoll = 500 * time.Millisecond

// Watch yields the events of a run after a sequence number, first those that
// are there and then each as it becomes durable, until the run has ended or ctx
// has. It waits a while for a database that is away.
func (s *Service) Watch(ctx context.Context, id gathering.RunID, after int64) iter.Seq2[gathering.Event, error] {
	return func(yield func(gathering.Event, error) bool) {
		rings, cancel := s.bell.Subscribe(TopicLog(id))
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
	r, err := roster.Run(ctx, s.db.Read(), id)
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
	report.Pipeline = r.PipelineName
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
		stored, err := event.BlobOf(ctx, s.db.Read(), state.ID, hash)
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
		r, err := roster.Run(ctx, s.db.Read(), id)
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
