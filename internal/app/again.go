package app

import (
	"context"
	"encoding/json"

	"gathering"
	"gathering/internal/definition"
	"gathering/internal/run"
)

// Redrive starts a run that goes on where another did not end well, after
// checking what is different as [App.Start] does, against the version that the
// old run had.
func (a *App) Redrive(ctx context.Context, id gathering.RunID, again run.Again) (gathering.Run, error) {
	if err := a.checkAgain(ctx, id, again); err != nil {
		return gathering.Run{}, err
	}
	return a.Runs.Redrive(ctx, id, again)
}

// Fork starts a run that repeats another from some nodes on, after the same
// checks as [App.Redrive].
func (a *App) Fork(ctx context.Context, id gathering.RunID, again run.Again) (gathering.Run, error) {
	if err := a.checkAgain(ctx, id, again); err != nil {
		return gathering.Run{}, err
	}
	return a.Runs.Fork(ctx, id, again)
}

func (a *App) checkAgain(ctx context.Context, id gathering.RunID, again run.Again) error {
	if again.Input == nil && again.Vars == nil {
		return nil // as it was admitted once
	}
	old, err := a.Runs.Run(ctx, id)
	if err != nil {
		return err
	}
	def, err := a.Catalog.Definition(ctx, old.Pipeline, old.Version)
	if err != nil {
		return err
	}
	if again.Input != nil {
		if err := definition.CheckInput(def, again.Input); err != nil {
			return err
		}
	}
	return checkVars(def, again.Vars)
}

// checkVars reports whether a run of def may override vars.
func checkVars(def *gathering.Definition, vars map[string]json.RawMessage) error {
	for name := range vars {
		if _, ok := def.Vars[name]; !ok {
			return gathering.NewError(gathering.KindInvalid, "the pipeline has no var %q", name).
				WithFields(gathering.FieldError{Field: "vars." + name, Problem: "is not declared under vars"})
		}
	}
	return nil
}
