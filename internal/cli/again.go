package cli

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/remote"
	"gathering/internal/run"
)

// different is what is not to be as it was when a run is repeated.
type different struct {
	Input string   `placeholder:"JSON|@FILE" help:"Another input: JSON, or a file that holds it (@- is standard input)."`
	Var   []string `sep:"none" placeholder:"NAME=VALUE" help:"Override vars of the pipeline, instead of those overridden then. Repeatable."`
}

func (d different) read(s *shell) (input json.RawMessage, vars map[string]json.RawMessage, err error) {
	if d.Input != "" {
		if input, err = s.values().Input(d.Input, nil); err != nil {
			return nil, nil, err
		}
	}
	if len(d.Var) > 0 {
		vars, err = s.values().Vars(d.Var)
	}
	return input, vars, err
}

type runsRedriveCmd struct {
	different

	IDs     []string `arg:"" optional:"" name:"id" help:"The runs, each by its ID or a unique beginning or end of it."`
	AllDead bool     `help:"All dead letters."`
}

// Run goes on where runs did not end well: on one as the run command does, on
// several until all have ended or wait.
func (c *runsRedriveCmd) Run(ctx context.Context, s *shell) error {
	if c.AllDead == (len(c.IDs) > 0) {
		return &usageError{errors.New("name the runs, or --all-dead")}
	}
	input, vars, err := c.read(s)
	if err != nil {
		return err
	}
	again := repetition{
		here: func(ctx context.Context, x *session, id, fresh gathering.RunID) (gathering.Run, error) {
			return x.Redrive(ctx, id, run.Again{ID: fresh, Input: input, Vars: vars})
		},
		there: func(ctx context.Context, client *remote.Client, id gathering.RunID) (gathering.Run, error) {
			return client.RedriveRun(ctx, id, api.RedriveOrder{Input: input, Vars: vars})
		},
	}
	if len(c.IDs) == 1 {
		return again.one(ctx, s, c.IDs[0])
	}
	return again.many(ctx, s, func(ctx context.Context, x *session) ([]gathering.Run, error) {
		if c.AllDead {
			letters, err := x.deadLetters(ctx, gathering.RunFilter{})
			runs := make([]gathering.Run, len(letters))
			for i, l := range letters {
				runs[i] = l.Run
			}
			return runs, err
		}
		return x.resolveAll(ctx, c.IDs)
	})
}

type runsForkCmd struct {
	different

	ID   string   `arg:"" help:"The run, by its ID or a unique beginning or end of it."`
	From []string `required:"" placeholder:"NODE,…" help:"The nodes from which on it is done again."`
}

// Run repeats a run from some nodes on.
func (c *runsForkCmd) Run(ctx context.Context, s *shell) error {
	input, vars, err := c.read(s)
	if err != nil {
		return err
	}
	again := repetition{
		here: func(ctx context.Context, x *session, id, fresh gathering.RunID) (gathering.Run, error) {
			return x.Fork(ctx, id, run.Again{ID: fresh, From: c.From, Input: input, Vars: vars})
		},
		there: func(ctx context.Context, client *remote.Client, id gathering.RunID) (gathering.Run, error) {
			return client.ForkRun(ctx, id, api.ForkOrder{From: c.From, Input: input, Vars: vars})
		},
	}
	return again.one(ctx, s, c.ID)
}

// repetition makes a run that repeats another: here, or in the process that
// holds the data directory.
type repetition struct {
	here  func(ctx context.Context, x *session, id, fresh gathering.RunID) (gathering.Run, error)
	there func(ctx context.Context, client *remote.Client, id gathering.RunID) (gathering.Run, error)
}

// one repeats a run and works on that as the run command does.
func (p repetition) one(ctx context.Context, s *shell, given string) error {
	var (
		x    *session
		next gathering.Run
	)
	e := execution{
		shell: s, show: s.view,
		begin: func(ctx context.Context, x *session, fresh gathering.RunID) (gathering.Run, error) {
			old, err := x.resolve(ctx, given)
			if err != nil {
				return old, err
			}
			return p.here(ctx, x, old.ID, fresh)
		},
	}
	err := s.hereOrThere(
		ctx,
		func(ctx context.Context, s *shell) (err error) {
			// Looking first leaves a directory alone that has no database.
			if err := s.looking(ctx, given, func(context.Context, *session, gathering.Run) error { return nil }); err != nil {
				return err
			}
			x, next, err = e.start(ctx)
			return err
		},
		func(ctx context.Context, s *shell) error {
			return s.looking(ctx, given, func(ctx context.Context, x *session, old gathering.Run) error { return p.ask(ctx, x, old.ID) })
		},
	)
	if x == nil {
		return err
	}
	if err != nil {
		return errors.Join(err, x.close())
	}
	report, err := e.finish(ctx, x, next)
	if report.Run == "" {
		return err
	}
	return errors.Join(err, s.writeResult(report), code(outcome(report.State)))
}

// ask has the process that holds the data directory repeat a run.
func (p repetition) ask(ctx context.Context, x *session, id gathering.RunID) error {
	next, err := p.there(ctx, x.service(), id)
	if err != nil {
		return err
	}
	if next.State == gathering.RunQueued && x.elsewhere == nil {
		x.shell.say("%s repeats %s as soon as somebody works on it: gathering runs resume %s", next.ID, id, next.ID)
		return nil
	}
	x.shell.say("%s repeats %s; %s works on it", next.ID, id, x.whoWorks())
	return nil
}

// many repeats runs and works, on all that is runnable, until these have ended
// or wait for somebody. One that cannot be repeated does not keep the others
// from it.
func (p repetition) many(ctx context.Context, s *shell, which func(ctx context.Context, x *session) ([]gathering.Run, error)) error {
	return s.hereOrThere(
		ctx,
		func(ctx context.Context, s *shell) error {
			return s.writing(ctx, func(ctx context.Context, x *session) error {
				runs, err := which(ctx, x)
				if err != nil {
					return err
				}
				return p.manyHere(ctx, x, runs)
			})
		},
		func(ctx context.Context, s *shell) error {
			return s.reading(ctx, func(ctx context.Context, x *session) error {
				runs, err := which(ctx, x)
				if err != nil {
					return err
				}
				return s.overEach(runs, func(r gathering.Run) error { return p.ask(ctx, x, r.ID) })
			})
		},
	)
}

func (p repetition) manyHere(ctx context.Context, x *session, runs []gathering.Run) error {
	if len(runs) == 0 {
		x.shell.say("no dead letters")
		return nil
	}
	if err := x.work(ctx, ""); err != nil {
		return err
	}
	var all []gathering.RunID
	failed := x.shell.overEach(runs, func(old gathering.Run) error {
		next, err := p.here(ctx, x, old.ID, "")
		if err == nil {
			all = append(all, next.ID)
			x.shell.say("%s repeats %s", next.ID, old.ID)
		}
		return err
	})
	if failed != nil {
		if _, ok := errors.AsType[exitError](failed); !ok {
			return failed
		}
	}
	return errors.Join(failed, x.untilEnded(ctx, all))
}

// untilEnded waits until runs have ended or wait for somebody, and says of each
// how it ended or for what it waits.
func (x *session) untilEnded(ctx context.Context, ids []gathering.RunID) error {
	ticker := time.NewTicker(x.often())
	defer ticker.Stop()
	result := error(nil)
	for len(ids) > 0 {
		left := ids[:0]
		for _, id := range ids {
			over := false
			err := x.patiently(ctx, func() (err error) {
				over, err = x.over(ctx, id)
				return err
			})
			if err != nil {
				return err
			}
			if !over {
				left = append(left, id)
				continue
			}
			if _, err := x.sayWhere(ctx, id); err != nil {
				return err
			}
			r, err := x.book.Run(ctx, id)
			if err != nil {
				return err
			}
			result = worse(result, outcome(r.State))
		}
		if ids = left; len(ids) == 0 {
			break
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			x.shell.tell("left %d runs for later; gathering runs resume goes on with them", len(ids))
			return context.Cause(ctx)
		}
	}
	return result
}

// worse is what a command of several runs ends with after one more: a failure,
// if one ended without being completed, or that one waits.
func worse(result error, outcome int) error {
	switch {
	case outcome == exitDone, outcome == exitWaiting && result != nil:
		return result
	case outcome == exitWaiting:
		return exitError(exitWaiting)
	default:
		return exitError(exitFailed)
	}
}

// over reports whether a run has ended or waits for somebody alone.
func (x *session) over(ctx context.Context, id gathering.RunID) (bool, error) {
	r, err := x.book.Run(ctx, id)
	if err != nil || r.State.Terminal() {
		return err == nil, err
	}
	if r.Owner != "" {
		return false, nil
	}
	if r.State != gathering.RunWaiting && r.State != gathering.RunPaused {
		return false, nil
	}
	tree, err := x.grown(ctx, r)
	return err == nil && (tree.State == gathering.RunPaused || tree.Undecided() != nil), err
}
