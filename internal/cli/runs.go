package cli

import (
	"context"
	"encoding/json"
	"fmt"
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
	filter := gathering.RunFilter{Projects: projects(c.Project), States: c.State, Limit: c.Limit}
	return s.reading(ctx, func(ctx context.Context, x *session) error {
		if c.Dead {
			return c.letters(ctx, x, filter)
		}
		runs, err := x.list(ctx, filter)
		if err != nil {
			return err
		}
		if c.JSON {
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
func (c *runsListCmd) letters(ctx context.Context, x *session, f gathering.RunFilter) error {
	letters, err := x.deadLetters(ctx, f)
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

func (s *shell) runTable(runs []gathering.Run) error {
	if len(runs) == 0 {
		s.say("no runs")
		return nil
	}
	return progress.Table(s.Stdout, runs, time.Now())
}

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
			events = x.book.Watch(ctx, r.ID, c.After)
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
