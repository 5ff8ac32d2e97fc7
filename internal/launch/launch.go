// Package launch starts runs of stored pipelines, once what is given has been
// checked against what they take.
package launch

import (
	"context"
	"encoding/json"

	"gathering"
	"gathering/internal/definition"
	"gathering/internal/llm"
	"gathering/internal/node"
	"gathering/internal/pipeline"
	"gathering/internal/run"
	"gathering/internal/tool"
)

// Launcher stores pipelines and starts runs of them.
type Launcher struct {
	Pipelines *pipeline.Store
	Catalog   *node.Catalog
	Runs      *run.Service
	Models    *llm.Models
	Tools     *tool.Registry
}

// Checker is what definitions of a project are checked against.
func (l *Launcher) Checker(ctx context.Context, project gathering.ProjectID) *definition.Checker {
	c := NewChecker(l.Models, l.Tools)
	c.Pipeline = func(name string) bool {
		_, err := l.Pipelines.ByName(ctx, project, name)
		return err == nil
	}
	return c
}

// NewChecker is what definitions are checked against where nothing is stored.
func NewChecker(models *llm.Models, tools *tool.Registry) *definition.Checker {
	c := &definition.Checker{
		Kinds:    node.Kinds(),
		Model:    models.Check,
		Agent:    func(string) bool { return false },
		Pipeline: func(string) bool { return false },
		Tool: func(name string) (gathering.ToolSpec, bool) {
			t, ok := tools.Lookup(name)
			if !ok {
				return gathering.ToolSpec{}, false
			}
			return t.Spec(), true
		},
	}
	for _, spec := range tools.Specs() {
		c.Tools = append(c.Tools, spec.Name)
	}
	return c
}

// SaveFile checks and stores a pipeline file and those it refers to.
func (l *Launcher) SaveFile(ctx context.Context, project gathering.ProjectID, path string) (gathering.Pipeline, error) {
	var saved gathering.Pipeline
	files := pipeline.Files{
		Checker: l.Checker(ctx, project),
		Save: func(ctx context.Context, def *gathering.Definition) error {
			var err error
			saved, err = l.Pipelines.Save(ctx, project, def)
			return err
		},
	}
	_, err := files.Load(ctx, path)
	return saved, err
}

// Save checks and stores a definition.
func (l *Launcher) Save(ctx context.Context, project gathering.ProjectID, document []byte) (gathering.Pipeline, error) {
	def, err := l.Checker(ctx, project).Load(document)
	if err != nil {
		return gathering.Pipeline{}, err
	}
	return l.Pipelines.Save(ctx, project, def)
}

// Start starts a run of a version of a pipeline, the published one if n names
// none, after checking its input and that the vars it overrides exist.
func (l *Launcher) Start(ctx context.Context, p gathering.Pipeline, n run.New) (gathering.Run, error) {
	if p.DeletedAt != nil {
		return gathering.Run{}, gathering.NewError(gathering.KindConflict, "pipeline %s was deleted", p.ID)
	}
	if n.Version == 0 {
		n.Version = p.Published
	}
	def, err := l.Catalog.Definition(ctx, p.ID, n.Version)
	if gathering.KindOf(err) == gathering.KindNotFound {
		return gathering.Run{}, gathering.NewError(gathering.KindInvalid, "the pipeline has no version %d", n.Version).
			WithFields(gathering.FieldError{Field: "version", Problem: "is none of the pipeline's"}).WithCause(err)
	}
	if err != nil {
		return gathering.Run{}, err
	}
	if err := definition.CheckInput(def, n.Input); err != nil {
		return gathering.Run{}, err
	}
	if err := checkVars(def, n.Vars); err != nil {
		return gathering.Run{}, err
	}
	n.Project, n.Pipeline = p.Project, p.ID
	n.Input = gathering.CompactJSON(n.Input)
	r, err := l.Runs.Start(ctx, n)
	if r.Pipeline == p.ID {
		r.PipelineName = p.Name
	}
	return r, err
}

// Redrive starts a run that goes on where another did not end well, after
// checking what is different as [Launcher.Start] does, against the version that the
// old run had.
func (l *Launcher) Redrive(ctx context.Context, id gathering.RunID, again run.Again) (gathering.Run, error) {
	if err := l.checkAgain(ctx, id, again); err != nil {
		return gathering.Run{}, err
	}
	return l.Runs.Redrive(ctx, id, again)
}

// Fork starts a run that repeats another from some nodes on, after the same
// checks as [Launcher.Redrive].
func (l *Launcher) Fork(ctx context.Context, id gathering.RunID, again run.Again) (gathering.Run, error) {
	if err := l.checkAgain(ctx, id, again); err != nil {
		return gathering.Run{}, err
	}
	return l.Runs.Fork(ctx, id, again)
}

func (l *Launcher) checkAgain(ctx context.Context, id gathering.RunID, again run.Again) error {
	if again.Input == nil && again.Vars == nil {
		return nil // as it was admitted once
	}
	old, err := l.Runs.Run(ctx, id)
	if err != nil {
		return err
	}
	def, err := l.Catalog.Definition(ctx, old.Pipeline, old.Version)
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
