package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/definition"
	"gathering/internal/pipeline"
)

// Definition is what a pipeline file says, as JSON or as the file's own text.
type Definition struct {
	Definition json.RawMessage `json:"definition,omitempty" doc:"The pipeline file as JSON."`
	Source     string          `json:"source,omitempty" maxLength:"1048576" doc:"Or its text, YAML or JSON."`
}

// NewPipeline is a pipeline that is to be stored.
type NewPipeline struct {
	Definition

	Project gathering.ProjectID `json:"project,omitempty" maxLength:"63" pattern:"^[a-z][a-z0-9_-]*$" doc:"Left out it is the default project."`
}

// NewVersion is a version that is to be stored.
type NewVersion struct {
	Definition

	Publish bool `json:"publish,omitempty" doc:"New runs use it."`
}

// Publication says which version new runs use.
type Publication struct {
	Version int `json:"version" minimum:"1"`
}

// Checked is a definition without faults, as it would be stored.
type Checked struct {
	Name       string          `json:"name"`
	Definition json.RawMessage `json:"definition"`
}

// VersionDocument is a version with what it says.
type VersionDocument struct {
	gathering.Version

	Definition json.RawMessage `json:"definition"`
}

// PipelinePath is the path of a pipeline.
type PipelinePath struct {
	ID gathering.PipelineID `path:"id" maxLength:"100"`
}

func (a *API) pipelineRoutes() {
	of := func(o Operation) Operation {
		o.Tag, o.value = tagPipelines, o.writes()
		return o
	}
	all, one := Prefix+"/pipelines", Prefix+"/pipelines/{id}"
	register(a, of(Operation{ID: "list-pipelines", Method: http.MethodGet, Path: all, Action: auth.PipelinesRead, Summary: "List pipelines"}), a.listPipelines)
	register(a, of(Operation{
		ID: "create-pipeline", Method: http.MethodPost, Path: all, Action: auth.PipelinesWrite, Status: http.StatusCreated,
		Summary: "Store a pipeline; its first version is published",
	}), a.createPipeline)
	register(a, of(Operation{
		ID: "validate-pipeline", Method: http.MethodPost, Path: all + "/validate", Action: auth.PipelinesWrite,
		Summary: "Tell every fault of a definition, and store nothing",
	}), a.validatePipeline)
	register(a, of(Operation{ID: "read-pipeline", Method: http.MethodGet, Path: one, Action: auth.PipelinesRead, Summary: "Read a pipeline"}), a.readPipeline)
	register(a, of(Operation{ID: "list-versions", Method: http.MethodGet, Path: one + "/versions", Action: auth.PipelinesRead, Summary: "List a pipeline's versions, the newest first"}), a.listVersions)
	register(a, of(Operation{
		ID: "create-version", Method: http.MethodPost, Path: one + "/versions", Action: auth.PipelinesWrite, Status: http.StatusCreated,
		Summary: "Store a version of a pipeline",
	}), a.createVersion)
	register(a, of(Operation{ID: "read-version", Method: http.MethodGet, Path: one + "/versions/{number}", Action: auth.PipelinesRead, Summary: "Read a version with its definition"}), a.readVersion)
	register(a, of(Operation{
		ID: "validate-version", Method: http.MethodPost, Path: one + "/validate", Action: auth.PipelinesWrite,
		Summary: "Tell every fault of a definition that is to be a version of this pipeline, and store nothing",
	}), a.validateVersion)
	register(a, of(Operation{ID: "publish-version", Method: http.MethodPost, Path: one + "/publish", Action: auth.PipelinesWrite, Summary: "Have new runs use a version"}), a.publish)
	register(a, of(Operation{
		ID: "delete-pipeline", Method: http.MethodDelete, Path: one, Action: auth.PipelinesWrite, Status: http.StatusNoContent,
		Summary: "Delete a pipeline; the runs that it had stay",
	}), a.deletePipeline)
	register(a, of(Operation{ID: "roll-back", Method: http.MethodPost, Path: one + "/rollback", Action: auth.PipelinesWrite, Summary: "Have new runs use the version before the one that is published"}), a.rollback)
}

// seePipeline decides about the pipeline of a path and returns it.
func (a *API) seePipeline(ctx context.Context, id gathering.PipelineID) (gathering.Pipeline, error) {
	p, err := a.Launcher.Pipelines.Pipeline(ctx, id)
	if err != nil {
		askedOf(ctx).decided = true // there is nothing to decide about
		return p, err
	}
	return p, a.see(ctx, p.Project, func() error { return gathering.NewError(gathering.KindNotFound, "there is no pipeline %s", id) })
}

// document is what is to be read.
func (d Definition) document() ([]byte, error) {
	switch {
	case d.Source != "" && d.Definition == nil:
		return []byte(d.Source), nil
	case d.Source == "" && d.Definition != nil:
		return d.Definition, nil
	}
	return nil, gathering.NewError(gathering.KindInvalid, "there is no definition, or more than one").
		WithFields(gathering.FieldError{Field: "definition", Problem: "must be given, or else source"})
}

// load checks a definition for a project.
func (a *API) load(ctx context.Context, project gathering.ProjectID, d Definition) (*gathering.Definition, error) {
	document, err := d.document()
	if err != nil {
		return nil, err
	}
	return a.Launcher.Checker(ctx, project).Load(document)
}

func (a *API) listPipelines(ctx context.Context, in *struct {
	Listed

	Project gathering.ProjectID `query:"project" maxLength:"100"`
	Name    string              `query:"name" maxLength:"200"`
},
) (*answer[Page[gathering.Pipeline]], error) {
	after, err := in.after("pip_")
	if err != nil {
		return nil, err
	}
	pipelines, err := a.Launcher.Pipelines.Pipelines(ctx, pipeline.Filter{
		Projects: a.only(ctx, in.Project), Name: in.Name, After: gathering.PipelineID(after), Limit: in.Limit + 1,
	})
	return page(pipelines, in.Limit, func(p gathering.Pipeline) string { return string(p.ID) }), err
}

func (a *API) createPipeline(ctx context.Context, in *struct {
	Keyed

	Body NewPipeline
},
) (*tagged[gathering.Pipeline], error) {
	project := in.Body.Project
	if project == "" {
		project = gathering.DefaultProject
	}
	if err := a.seeProject(ctx, project); err != nil {
		return nil, err
	}
	def, err := a.load(ctx, project, in.Body.Definition)
	if err != nil {
		return nil, err
	}
	p, err := a.Launcher.Pipelines.Create(ctx, project, def)
	return revised(p, p.Revision), err
}

func checked(def *gathering.Definition, err error) (*answer[Checked], error) {
	if err != nil {
		return nil, err
	}
	document, err := definition.Encode(def)
	return &answer[Checked]{Checked{def.Name, document}}, err
}

func (a *API) validatePipeline(ctx context.Context, in *struct{ Body NewPipeline }) (*answer[Checked], error) {
	project := in.Body.Project
	if project == "" {
		project = gathering.DefaultProject
	}
	if err := a.seeProject(ctx, project); err != nil {
		return nil, err
	}
	return checked(a.load(ctx, project, in.Body.Definition))
}

func (a *API) readPipeline(ctx context.Context, in *PipelinePath) (*tagged[gathering.Pipeline], error) {
	p, err := a.seePipeline(ctx, in.ID)
	return revised(p, p.Revision), err
}

func (a *API) listVersions(ctx context.Context, in *struct {
	PipelinePath
	Listed
},
) (*answer[Page[gathering.Version]], error) {
	if _, err := a.seePipeline(ctx, in.ID); err != nil {
		return nil, err
	}
	before := 0
	if in.Cursor != "" {
		var err error
		if before, err = strconv.Atoi(in.Cursor); err != nil || before < 1 {
			return nil, errCursor()
		}
	}
	versions, err := a.Launcher.Pipelines.Versions(ctx, in.ID, before, in.Limit+1)
	return page(versions, in.Limit, func(v gathering.Version) string { return strconv.Itoa(v.Number) }), err
}

func (a *API) createVersion(ctx context.Context, in *struct {
	PipelinePath
	Matched
	Keyed

	Body NewVersion
},
) (*tagged[gathering.Version], error) {
	p, err := a.seePipeline(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	def, err := a.load(ctx, p.Project, in.Body.Definition)
	if err != nil {
		return nil, err
	}
	p, v, err := a.Launcher.Pipelines.Add(ctx, p, def, pipeline.Change{Revision: revision, Publish: in.Body.Publish})
	return revised(v, p.Revision), err
}

func (a *API) readVersion(ctx context.Context, in *struct {
	PipelinePath

	Number int `path:"number" minimum:"1"`
},
) (*answer[VersionDocument], error) {
	if _, err := a.seePipeline(ctx, in.ID); err != nil {
		return nil, err
	}
	v, err := a.Launcher.Pipelines.Version(ctx, in.ID, in.Number)
	return &answer[VersionDocument]{VersionDocument{v, v.Document}}, err
}

func (a *API) validateVersion(ctx context.Context, in *struct {
	PipelinePath

	Body Definition
},
) (*answer[Checked], error) {
	p, err := a.seePipeline(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	def, err := a.load(ctx, p.Project, in.Body)
	if err == nil && def.Name != p.Name {
		err = gathering.NewError(gathering.KindInvalid, "the definition has another name than the pipeline").
			WithFields(gathering.FieldError{Field: "definition.name", Problem: "must be " + p.Name})
	}
	return checked(def, err)
}

func (a *API) publish(ctx context.Context, in *struct {
	PipelinePath
	Matched
	Keyed

	Body Publication
},
) (*tagged[gathering.Pipeline], error) {
	if _, err := a.seePipeline(ctx, in.ID); err != nil {
		return nil, err
	}
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	p, err := a.Launcher.Pipelines.Publish(ctx, in.ID, in.Body.Version, revision)
	return revised(p, p.Revision), err
}

func (a *API) rollback(ctx context.Context, in *struct {
	PipelinePath
	Matched
	Keyed
},
) (*tagged[gathering.Pipeline], error) {
	if _, err := a.seePipeline(ctx, in.ID); err != nil {
		return nil, err
	}
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	p, err := a.Launcher.Pipelines.Rollback(ctx, in.ID, revision)
	return revised(p, p.Revision), err
}

func (a *API) deletePipeline(ctx context.Context, in *struct {
	PipelinePath
	Matched
	Keyed
},
) (*nothing, error) {
	if _, err := a.seePipeline(ctx, in.ID); err != nil {
		return nil, err
	}
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	return &nothing{}, a.Launcher.Pipelines.Delete(ctx, in.ID, revision)
}
