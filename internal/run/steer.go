package run

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"gathering"
	"gathering/internal/engine"
)

// Cancel asks a run to stop. Its work is told so as soon as its owner reads
// its inbox; a parked run is claimed for it. A run that has ended is a
// conflict.
func (s *Service) Cancel(ctx context.Context, id gathering.RunID, by string) (gathering.Run, error) {
	return s.ask(ctx, id, engine.MailCancel, engine.CancelMail{By: by})
}

// Pause asks a run, and the runs that it waits for, to begin nothing more. What
// is under way ends and is recorded, and times that are due pass; only the
// run's own timeout does not wait. A run that has ended or is being stopped is
// a conflict; pausing twice changes nothing.
func (s *Service) Pause(ctx context.Context, id gathering.RunID, by string) (gathering.Run, error) {
	r, err := s.Run(ctx, id)
	if err != nil {
		return gathering.Run{}, err
	}
	if r.State == gathering.RunCancelling {
		return gathering.Run{}, gathering.NewError(gathering.KindConflict, "run %s is being stopped", id)
	}
	return s.ask(ctx, id, engine.MailPause, engine.PauseMail{By: by})
}

// Resume ends a pause. A run that is not paused, and was not asked to, is a
// conflict.
func (s *Service) Resume(ctx context.Context, id gathering.RunID, by string) (gathering.Run, error) {
	r, err := s.Run(ctx, id)
	if err != nil {
		return gathering.Run{}, err
	}
	state, err := s.fold(ctx, r)
	if err != nil {
		return gathering.Run{}, err
	}
	if !state.Paused() {
		var asked int
		err := s.db.Read().QueryRow(ctx, `SELECT count(*) FROM run_inbox WHERE run_id = $1 AND kind = $2`,
			string(id), string(engine.MailPause)).Scan(&asked)
		if err != nil {
			return gathering.Run{}, fmt.Errorf("look for a pause of %s: %w", id, err)
		}
		if asked == 0 {
			return gathering.Run{}, gathering.NewError(gathering.KindConflict, "run %s is not paused: %s", id, r.State)
		}
	}
	return s.ask(ctx, id, engine.MailResume, engine.ResumeMail{By: by})
}

// Decide says what became of a node whose outcome nobody knows. Errors are of
// kind invalid, not_found and, where the outcome is not unknown any more,
// conflict.
func (s *Service) Decide(ctx context.Context, id gathering.RunID, d engine.DecideMail) (gathering.Run, error) {
	if d.Output != nil {
		if err := gathering.CheckJSON("output", d.Output); err != nil {
			return gathering.Run{}, err
		}
	}
	r, err := s.Run(ctx, id)
	if err != nil {
		return gathering.Run{}, err
	}
	state, err := s.fold(ctx, r)
	if err != nil {
		return gathering.Run{}, err
	}
	// By the time it is taken in, somebody else may have had the node tried again.
	if d.Attempt, err = state.CheckDecision(d); err != nil {
		return gathering.Run{}, err
	}
	return s.ask(ctx, id, engine.MailDecide, d)
}

// ask puts what is asked of a run into its inbox.
func (s *Service) ask(ctx context.Context, id gathering.RunID, kind engine.MailKind, what any) (gathering.Run, error) {
	data, err := json.Marshal(what)
	if err != nil {
		return gathering.Run{}, fmt.Errorf("encode the request to %s %s: %w", kind, id, err)
	}
	return s.send(ctx, id, kind, data)
}

// Again says how a run is to be repeated.
type Again struct {
	ID    gathering.RunID // of the new run; "" makes a fresh one
	Input json.RawMessage // nil is that of the old run
	Vars  map[string]json.RawMessage
	// From names the nodes that are done again with all that follows them.
	// Without any it goes on where the old run did not end well.
	From []string
}

// Redrive starts a run that goes on where another failed, was cancelled or
// timed out, with the results that there are. The old run is no dead letter any
// more. A run is redriven once, and then the run that did so: anything else is a
// conflict, as it is where nothing went wrong or the run has not ended.
func (s *Service) Redrive(ctx context.Context, id gathering.RunID, a Again) (gathering.Run, error) {
	old, err := s.Run(ctx, id)
	if err != nil {
		return gathering.Run{}, err
	}
	switch {
	case !old.State.Terminal():
		return gathering.Run{}, gathering.NewError(gathering.KindConflict, "run %s has not ended: %s", id, old.State)
	case old.State == gathering.RunCompleted:
		return gathering.Run{}, gathering.NewError(gathering.KindConflict, "run %s completed; fork it to do a part of it again", id)
	}
	if err := s.checkRedriven(ctx, id); err != nil {
		return gathering.Run{}, err
	}
	f, err := s.again(ctx, old, a)
	if err != nil {
		return gathering.Run{}, err
	}
	f.cause = "run.redrive"
	f.row.redriven, f.row.runKey = true, "redrive:"+string(old.ID)
	next, err := s.insertFresh(ctx, f)
	if gathering.KindOf(err) == gathering.KindConflict {
		if redriven := s.checkRedriven(ctx, id); redriven != nil {
			err = redriven
		}
	}
	return next, err
}

// checkRedriven refuses to redrive a run again: what the run that did so came to
// is kept there.
func (s *Service) checkRedriven(ctx context.Context, id gathering.RunID) error {
	var next, state string
	err := s.db.Read().QueryRow(ctx, `SELECT id, state FROM runs WHERE origin_run = $1 AND origin_run IS NOT NULL AND run_key IS NOT NULL`, string(id)).
		Scan(&next, &state)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("look who redrives %s: %w", id, err)
	}
	return gathering.NewError(gathering.KindConflict, "run %s was redriven as run %s, which goes on from there: it is %s", id, next, state)
}

// Fork starts a run that repeats another, in whatever state that is, from some
// nodes on and with the results of those before.
func (s *Service) Fork(ctx context.Context, id gathering.RunID, a Again) (gathering.Run, error) {
	old, err := s.Run(ctx, id)
	if err != nil {
		return gathering.Run{}, err
	}
	if len(a.From) == 0 {
		return gathering.Run{}, gathering.NewError(gathering.KindInvalid, "a fork begins somewhere").
			WithFields(gathering.FieldError{Field: "from", Problem: "must name at least one node of the run"})
	}
	f, err := s.again(ctx, old, a)
	if err != nil {
		return gathering.Run{}, err
	}
	return s.insertFresh(ctx, f)
}

// again makes a run that repeats another.
func (s *Service) again(ctx context.Context, old gathering.Run, a Again) (fresh, error) {
	was, err := s.fold(ctx, old)
	if err != nil {
		return fresh{}, err
	}
	graph, err := s.pipelines.Graph(ctx, old.Pipeline, old.Version)
	if err != nil {
		return fresh{}, err
	}
	queued := was.Queued
	asked := trigger(ctx)
	queued.Trigger.By, queued.Trigger.Request = asked.By, asked.Request
	if a.Input != nil {
		queued.Input = gathering.CompactJSON(a.Input)
	}
	if a.Vars != nil {
		queued.Vars = a.Vars
	}
	r, err := s.newRun(ctx, graph, New{
		ID: a.ID, Project: old.Project, Pipeline: old.Pipeline, Version: old.Version,
		Input: queued.Input, Vars: queued.Vars, Labels: old.Labels, Priority: old.Priority,
	})
	if err != nil {
		return fresh{}, err
	}
	r.PipelineName = old.PipelineName
	f := fresh{row: insertOf(r, r.CreatedAt), state: engine.NewState(graph, r.ID, r.Root, r.Project), cause: "run.fork"}
	f.row.origin = old.ID
	f.turn, err = engine.Fork(f.state, was, r.CreatedAt, queued, a.From)
	return f, err
}
