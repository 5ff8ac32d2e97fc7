package cli

import (
	"context"
	"fmt"

	"gathering"
	"gathering/internal/progress"
	"gathering/internal/store"
)

type runsWhyCmd struct {
	ID   string `arg:"" help:"The run, by its ID or a unique beginning or end of it."`
	JSON bool   `name:"json" help:"Print one JSON document."`
}

// Run says what a run waits for.
func (c *runsWhyCmd) Run(ctx context.Context, s *shell) error {
	return s.looking(ctx, c.ID, func(ctx context.Context, x *session, r gathering.Run) error {
		why, err := x.why(ctx, r)
		if err != nil {
			return err
		}
		if c.JSON {
			return writeDocument(s.Stdout, why)
		}
		s.say("%s", progress.Printable(why.Line))
		if len(why.Waits) < 2 {
			return nil
		}
		for _, w := range why.Waits {
			s.say("  %s", waitLine(w))
		}
		return nil
	})
}

func waitLine(w gathering.Wait) string {
	text := w.Reason
	if w.Node != "" {
		text = fmt.Sprintf("%s: %s", w.Node, text)
	}
	return progress.Printable(text)
}

// why is what a run waits for. Where nobody works on anything it says so: the
// row of a run whose owner died knows nothing of that yet.
func (x *session) why(ctx context.Context, r gathering.Run) (gathering.Why, error) {
	why, err := x.book.Why(ctx, r.ID)
	if err != nil || why.State.Terminal() || why.State == gathering.RunPaused {
		return why, err
	}
	if r, err = x.settled(ctx, r); err != nil {
		return why, err
	}
	const resume = "gathering runs resume goes on with it"
	switch {
	case r.State == gathering.RunRecovering && why.State != gathering.RunRecovering:
		why.State, why.Waits = r.State, []gathering.Wait{{Reason: "its owner is gone; " + resume}}
	case r.State == gathering.RunQueued && !x.attended():
		why.Waits = []gathering.Wait{{Reason: "nobody works on runs here; " + resume}}
	default:
		return why, nil
	}
	why.Line = string(why.State) + ": " + why.Waits[0].Reason
	return why, nil
}

// attended reports whether a process works on runs, as far as can be seen: on
// SQLite it is this one or holds the data directory.
func (x *session) attended() bool {
	if x.elsewhere != nil || !x.onSQLite() || x.worker != nil {
		return true
	}
	_, held, err := store.HolderOf(x.Data)
	return held || err != nil
}

// sayWhere says how a run ended or what it waits for, and returns the exit code
// that goes with that.
func (x *session) sayWhere(ctx context.Context, id gathering.RunID) (exit int, err error) {
	r, err := x.book.Run(ctx, id)
	if err != nil {
		return exitFailed, err
	}
	why, err := x.why(ctx, r)
	if err != nil {
		return exitFailed, err
	}
	x.shell.say("%s %s", id, progress.Printable(why.Line))
	if why.State.Terminal() {
		return outcome(why.State), nil
	}
	tree, err := x.grown(ctx, r)
	if err == nil && tree.Undecided() != nil {
		return exitWaiting, nil
	}
	return exitDone, err
}
