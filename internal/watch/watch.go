// Package watch is what is going on, for those who look on: the feed of
// everything, the logs of runs, and live deltas. What is new is read and
// written as JSON once for all who look on, and bears what one must be allowed
// to do to see it.
package watch

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/event"
	"gathering/internal/run"
	"gathering/internal/store"
)

// Told is an event as it is told.
type Told struct {
	gathering.Event

	JSON []byte // the event
	Owner
}

// Owner is what a stream belongs to: who may do Action in Project may see it.
type Owner struct {
	Action  auth.Action
	Project gathering.ProjectID // "" is everywhere
}

// Commit is what was committed at one position of the feed.
type Commit struct {
	Pos    int64
	Events []Told
	size   int
}

// Watch is what is going on.
type Watch struct {
	Feed   *event.Tail[Commit]
	Runs   *event.Tails[Told] // by the run's ID; positions are the numbers of events
	Deltas *event.Deltas      // of a run under "run:" and its ID

	db     *store.DB
	owners *otter.Cache[string, Owner]
}

const (
	maxOwners = 100_000
	feedPoll  = 100 * time.Millisecond // what rings no bell is told no later
)

// New returns what is going on in a database.
func New(db *store.DB, runs *run.Service, deltas *event.Deltas) (*Watch, error) {
	w := &Watch{db: db, Deltas: deltas}
	var err error
	if w.owners, err = otter.New(&otter.Options[string, Owner]{MaximumSize: maxOwners}); err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	w.Feed = event.NewTail(event.TailOptions[Commit]{
		Read:     w.Commits,
		Position: func(c Commit) int64 { return c.Pos },
		Size:     func(c Commit) int { return c.size },
		Oldest:   func(ctx context.Context) (int64, error) { return event.Oldest(ctx, db.Read()) },
		Bell:     runs.Bell(), Topic: event.TopicFeed, Poll: feedPoll,
	})
	w.Runs = event.NewTails(func(id string) event.TailOptions[Told] {
		return event.TailOptions[Told]{
			Read: func(ctx context.Context, after int64, limit int) ([]Told, error) {
				events, err := runs.Events(ctx, gathering.RunID(id), after, limit)
				if err != nil {
					return nil, err
				}
				return toldOf(events, Owner{})
			},
			Position: func(t Told) int64 { return t.Seq },
			Size:     func(t Told) int { return event.Size(t.Event) + len(t.JSON) },
			Bell:     runs.Bell(), Topic: run.TopicLog(gathering.RunID(id)),
		}
	})
	return w, nil
}

// Topic is that of a run's live deltas.
func Topic(id gathering.RunID) string { return "run:" + string(id) }

func toldOf(events []gathering.Event, o Owner) ([]Told, error) {
	told := make([]Told, len(events))
	for i, e := range events {
		text, err := gathering.EncodeJSON(e)
		if err != nil {
			return nil, fmt.Errorf("tell event %d of %s: %w", e.Seq, e.Stream, err)
		}
		told[i] = Told{e, text, o}
	}
	return told, nil
}

// Commits returns what was committed after a position of the feed, at most limit
// commits. What belongs to nothing that is still there is left out.
func (w *Watch) Commits(ctx context.Context, after int64, limit int) ([]Commit, error) {
	commits, err := event.Commits(ctx, w.db.Read(), after, limit)
	if err != nil {
		return nil, err
	}
	told := make([]Commit, len(commits))
	for i := range commits {
		c := &commits[i]
		told[i] = Commit{Pos: c.Pos, size: c.Size()}
		for _, e := range c.Events {
			o, ok, err := w.owner(ctx, e.Stream)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			one, err := toldOf([]gathering.Event{e}, o)
			if err != nil {
				return nil, err
			}
			told[i].Events = append(told[i].Events, one...)
		}
	}
	return told, nil
}

// owner returns what a stream belongs to; false is something that is gone.
func (w *Watch) owner(ctx context.Context, stream string) (Owner, bool, error) {
	switch prefix, rest, _ := strings.Cut(stream, ":"); prefix {
	case "project":
		return Owner{auth.ProjectsRead, gathering.ProjectID(rest)}, true, nil
	case "breaker":
		return Owner{Action: auth.BreakersRead}, true, nil
	}
	switch kind, _, _ := strings.Cut(stream, "_"); kind {
	case "run":
		return w.stored(ctx, stream, auth.RunsRead, `SELECT project FROM runs WHERE id = $1`)
	case "pip":
		return w.stored(ctx, stream, auth.PipelinesRead, `SELECT project FROM pipelines WHERE id = $1`)
	default:
		return Owner{Action: auth.UsersRead}, true, nil // what is not known is for those who may see everybody
	}
}

// stored is the owner of what has a project, in which it stays.
func (w *Watch) stored(ctx context.Context, id string, action auth.Action, query string) (Owner, bool, error) {
	if o, ok := w.owners.GetIfPresent(id); ok {
		return o, true, nil
	}
	o := Owner{Action: action}
	err := w.db.Read().QueryRow(ctx, query, id).Scan(&o.Project)
	if errors.Is(err, sql.ErrNoRows) {
		return o, false, nil
	}
	if err != nil {
		return o, false, fmt.Errorf("look what %s belongs to: %w", id, err)
	}
	w.owners.Set(id, o)
	return o, true, nil
}
