package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/progress"
)

type runsCmd struct {
	List    runsListCmd    `cmd:"" help:"List runs, newest first, and those that they started below them."`
	Show    runsShowCmd    `cmd:"" help:"Tell where a run and its nodes stand."`
	Why     runsWhyCmd     `cmd:"" help:"Tell what a run waits for."`
	Events  runsEventsCmd  `cmd:"" help:"Tell what happened in a run, in order."`
	Cancel  runsCancelCmd  `cmd:"" help:"Stop a run."`
	Pause   runsPauseCmd   `cmd:"" help:"Let a run begin nothing more until it is resumed."`
	Resume  runsResumeCmd  `cmd:"" help:"Work until nothing is runnable, then list what waits; or end the pause of one run and work on that."`
	Decide  runsDecideCmd  `cmd:"" help:"Say what became of a node whose outcome nobody knows."`
	Redrive runsRedriveCmd `cmd:"" help:"Go on in new runs where others did not end well."`
	Fork    runsForkCmd    `cmd:"" help:"Repeat a run from some nodes on, in a new run."`
	Dismiss runsDismissCmd `cmd:"" help:"Take runs off the dead letters."`
	Delete  runsDeleteCmd  `cmd:"" help:"Delete runs that have ended, with all that is known of them."`
}

type runsListCmd struct {
	State   []gathering.RunState `placeholder:"STATE" help:"Only runs in these states, such as running,waiting."`
	Dead    bool                 `help:"Only dead letters: runs that ended badly and that nobody redrove or dismissed."`
	Project string               `help:"Only runs of this project."`
	Limit   int                  `default:"50" help:"How many at most."`
	JSON    bool                 `name:"json" help:"Print one JSON document."`
}

// Run lists runs.
func (c *runsListCmd) Run(ctx context.Context, s *shell) error {
	if err := c.check(); err != nil {
		return err
	}
	return s.reading(ctx, func(ctx context.Context, x *session) error {
		runs, err := x.list(ctx, gathering.RunFilter{Projects: projects(c.Project), States: c.State, Dead: c.Dead, Limit: c.Limit})
		if err != nil {
			return err
		}
		switch {
		case c.Dead:
			return c.letters(ctx, x, runs)
		case c.JSON:
			return writeDocument(s.Stdout, listing[gathering.Run]{runs})
		}
		return s.runTable(runs)
	})
}

// projects is the one that is wanted; nil is all.
func projects(wanted string) []gathering.ProjectID {
	if wanted == "" {
		return nil
	}
	return []gathering.ProjectID{gathering.ProjectID(wanted)}
}

// listing is a list as a document.
type listing[T any] struct {
	Items []T `json:"items"`
}

// letters lists dead letters with what went wrong in each.
func (c *runsListCmd) letters(ctx context.Context, x *session, runs []gathering.Run) error {
	letters, err := x.deadLetters(ctx, runs)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeDocument(x.shell.Stdout, listing[api.DeadLetter]{letters})
	}
	return x.shell.deadTable(letters)
}

func (c *runsListCmd) check() error {
	states := []gathering.RunState{
		gathering.RunQueued, gathering.RunRunning, gathering.RunRecovering, gathering.RunWaiting, gathering.RunPaused,
		gathering.RunCancelling, gathering.RunCompleted, gathering.RunFailed, gathering.RunCancelled,
		gathering.RunTimedOut, gathering.RunBudgetExhausted,
	}
	for _, state := range c.State {
		if !slices.Contains(states, state) {
			return &usageError{fmt.Errorf("--state: there is no state %q; the states are %s", state, joined(states))}
		}
	}
	if c.Limit < 1 {
		return &usageError{fmt.Errorf("--limit must be 1 or more")}
	}
	return nil
}

func joined[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, word := range words {
		texts[i] = string(word)
	}
	return strings.Join(texts, ", ")
}

// reading calls read with a database opened for reading.
func (s *shell) reading(ctx context.Context, read func(ctx context.Context, x *session) error) error {
	ctx, stop := s.interruptible(ctx)
	defer stop()
	x, err := s.openToRead(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = x.close() }() // nothing was written
	if err := read(ctx, x); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return nil
}

// page is how many runs are read at a time.
const page = 500

// list returns the runs that a filter selects, as they are and with the names
// of their pipelines. Limit 0 is all.
func (x *session) list(ctx context.Context, f gathering.RunFilter) ([]gathering.Run, error) {
	limit, states := f.Limit, f.States
	if len(states) > 0 {
		// A run whose owner died is told to be recovering, whatever its row says.
		f.States = append(slices.Clone(states), gathering.RunRunning, gathering.RunCancelling)
	}
	names := map[gathering.PipelineID]string{}
	all := []gathering.Run{}
	f.Limit = page
	for {
		runs, err := x.Runs.Runs(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, r := range runs {
			f.Before = r.ID
			if r, err = x.described(ctx, r, names); err != nil {
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

// described is a run as it is and with the name of its pipeline. Names holds
// those that are known.
func (x *session) described(ctx context.Context, r gathering.Run, names map[gathering.PipelineID]string) (gathering.Run, error) {
	name, ok := names[r.Pipeline]
	if !ok {
		p, err := x.Pipelines.Pipeline(ctx, r.Pipeline)
		if err != nil {
			return r, err
		}
		name = p.Name
		names[r.Pipeline] = name
	}
	r.PipelineRef = name
	return x.settled(ctx, r)
}

func (s *shell) runTable(runs []gathering.Run) error {
	if len(runs) == 0 {
		s.say("no runs")
		return nil
	}
	return progress.Table(s.Stdout, runs, time.Now())
}

// resolve finds the run that somebody means: by its ID, or by the beginning or
// the end of it, where only one run's is so.
func (x *session) resolve(ctx context.Context, given string) (gathering.Run, error) {
	r, err := x.Runs.Run(ctx, gathering.RunID(given))
	if gathering.KindOf(err) != gathering.KindNotFound || len(given) < minShort {
		return r, err
	}
	var found []gathering.Run
	filter := gathering.RunFilter{Limit: page}
	for {
		runs, err := x.Runs.Runs(ctx, filter)
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

// minShort is how many characters of an ID are needed to look for it.
const minShort = 4

type runsEventsCmd struct {
	ID     string `arg:"" help:"The run, by its ID or a unique beginning or end of it."`
	JSON   bool   `name:"json" help:"Print one JSON document a line."`
	After  int64  `default:"0" help:"Only events after this number."`
	Follow bool   `short:"f" help:"Go on until the run has ended."`
}

// Run tells what happened in a run.
func (c *runsEventsCmd) Run(ctx context.Context, s *shell) error {
	return s.reading(ctx, func(ctx context.Context, x *session) error {
		r, err := x.resolve(ctx, c.ID)
		if err != nil {
			return err
		}
		events := x.events(ctx, r.ID, c.After)
		if c.Follow {
			events = x.Runs.Watch(ctx, r.ID, c.After)
		}
		for e, err := range events {
			if err != nil {
				return err
			}
			if err := c.write(s, e); err != nil {
				return err
			}
			if s.output.Broken() {
				return nil // nobody reads the rest
			}
		}
		return nil
	})
}

// events are those of a run after a number that are there.
func (x *session) events(ctx context.Context, id gathering.RunID, after int64) iter.Seq2[gathering.Event, error] {
	return func(yield func(gathering.Event, error) bool) {
		for {
			events, err := x.Runs.Events(ctx, id, after, page)
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

func (c *runsEventsCmd) write(s *shell, e gathering.Event) error {
	if c.JSON {
		line, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("write event %d: %w", e.Seq, err)
		}
		s.say("%s", line)
		return nil
	}
	where := e.Node
	if e.Item != nil {
		where = gathering.NodePath(e.Node, *e.Item)
	}
	if e.Attempt > 1 {
		where += fmt.Sprintf("#%d", e.Attempt)
	}
	line := fmt.Sprintf("%5d  %s  %-16s  %s", e.Seq, e.At.Local().Format("15:04:05.000"), e.Type, where)
	if len(e.Data) > 0 {
		line += "  " + progress.OneLine(string(e.Data))
	}
	s.say("%s", strings.TrimRight(line, " "))
	return nil
}
