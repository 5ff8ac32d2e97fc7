package cli

import (
	"context"
	"iter"
	"slices"
	"strings"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/node"
	"gathering/internal/remote"
	"gathering/internal/run"
)

// book is what is known of runs: by the database here, or by a service elsewhere.
type book interface {
	Run(ctx context.Context, id gathering.RunID) (gathering.Run, error)
	Runs(ctx context.Context, f gathering.RunFilter) ([]gathering.Run, error)
	DeadLetters(ctx context.Context, f gathering.RunFilter) ([]api.DeadLetter, error)
	history
	Report(ctx context.Context, id gathering.RunID) (gathering.RunReport, error)
	Why(ctx context.Context, id gathering.RunID) (gathering.Why, error)
	Definition(ctx context.Context, id gathering.PipelineID, version int) (*gathering.Definition, error)
}

// history is what happened in runs.
type history interface {
	Events(ctx context.Context, id gathering.RunID, after int64, limit int) ([]gathering.Event, error)
	Watch(ctx context.Context, id gathering.RunID, after int64) iter.Seq2[gathering.Event, error]
}

var _ book = (*remote.Client)(nil)

// stored is the book of the database here.
type stored struct {
	*run.Service
	*node.Catalog
}

// DeadLetters implements [book].
func (b stored) DeadLetters(ctx context.Context, f gathering.RunFilter) ([]api.DeadLetter, error) {
	dead, err := b.Service.DeadLetters(ctx, f)
	letters := make([]api.DeadLetter, len(dead))
	for i, d := range dead {
		letters[i] = api.DeadLetter{Run: d.Run, Error: d.Failure}
	}
	return letters, err
}

// page is how many runs are read at a time.
const page = 500

// list returns the runs that a filter selects, as they are. Limit 0 is all.
func (x *session) list(ctx context.Context, f gathering.RunFilter) ([]gathering.Run, error) {
	limit, states := f.Limit, f.States
	if len(states) > 0 {
		// A run whose owner died is told to be recovering, whatever its row says.
		f.States = append(slices.Clone(states), gathering.RunRunning, gathering.RunCancelling)
	}
	all := []gathering.Run{}
	f.Limit = page
	for {
		runs, err := x.book.Runs(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, r := range runs {
			f.Before = r.ID
			if r, err = x.settled(ctx, r); err != nil {
				return nil, err
			}
			if len(states) == 0 || slices.Contains(states, r.State) {
				all = append(all, r)
			}
			if len(all) == limit {
				return all, nil
			}
		}
		if len(runs) < page {
			return all, nil
		}
	}
}

// deadLetters returns the dead letters that a filter selects. Limit 0 is all.
func (x *session) deadLetters(ctx context.Context, f gathering.RunFilter) ([]api.DeadLetter, error) {
	limit := f.Limit
	all := []api.DeadLetter{}
	f.Limit = page
	for {
		letters, err := x.book.DeadLetters(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, l := range letters {
			f.Before = l.ID
			if len(f.States) == 0 || slices.Contains(f.States, l.State) {
				all = append(all, l)
			}
			if len(all) == limit {
				return all, nil
			}
		}
		if len(letters) < page {
			return all, nil
		}
	}
}

// minShort is how many characters of an ID are needed to look for it.
const minShort = 4

// resolve finds the run that somebody means: by its ID, or by the beginning or
// the end of it, where only one run's is so.
func (x *session) resolve(ctx context.Context, given string) (gathering.Run, error) {
	r, err := x.book.Run(ctx, gathering.RunID(given))
	if gathering.KindOf(err) != gathering.KindNotFound || len(given) < minShort {
		return r, err
	}
	var found []gathering.Run
	filter := gathering.RunFilter{Limit: page}
	for {
		runs, err := x.book.Runs(ctx, filter)
		if err != nil {
			return gathering.Run{}, err
		}
		for _, r := range runs {
			filter.Before = r.ID
			id := strings.TrimPrefix(string(r.ID), "run_")
			part := strings.TrimPrefix(given, "run_")
			if strings.HasPrefix(id, part) || strings.HasSuffix(id, part) {
				found = append(found, r)
			}
		}
		if len(found) > 1 {
			return gathering.Run{}, gathering.NewError(gathering.KindInvalid, "%q begins or ends the IDs of several runs, such as %s and %s",
				given, found[0].ID, found[1].ID)
		}
		if len(runs) < page {
			break
		}
	}
	if len(found) == 0 {
		return gathering.Run{}, err
	}
	return found[0], nil
}

// events are those of a run after a number that are there.
func (x *session) events(ctx context.Context, id gathering.RunID, after int64) iter.Seq2[gathering.Event, error] {
	return func(yield func(gathering.Event, error) bool) {
		for {
			events, err := x.book.Events(ctx, id, after, page)
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
			if len(events) == 0 {
				return
			}
		}
	}
}
