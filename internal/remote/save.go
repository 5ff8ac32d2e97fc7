package remote

import (
	"cmp"
	"context"
	"net/http"
	"net/url"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/definition"
	"gathering/internal/node"
	"gathering/internal/pipeline"
)

// SaveFile checks a pipeline file and those it refers to and stores them in a
// project of the service, published. The version is that of the file itself.
// Faults in it are [definition.Faults] with their places; of the models it
// names the service knows alone.
func (c *Client) SaveFile(ctx context.Context, project gathering.ProjectID, path string) (gathering.Version, error) {
	tools, err := c.tools(ctx)
	if err != nil {
		return gathering.Version{}, err
	}
	byName := make(map[string]gathering.ToolSpec, len(tools))
	var untold error // of a pipeline: whether it is there
	checker := &definition.Checker{
		Kinds: node.Kinds(),
		Model: func(string) error { return nil },
		Agent: func(string) bool { return false },
		Pipeline: func(name string) bool {
			_, err := c.pipeline(ctx, project, name)
			if err != nil && gathering.KindOf(err) != gathering.KindNotFound {
				untold = err
			}
			return err == nil
		},
		Tool: func(name string) (gathering.ToolSpec, bool) {
			spec, ok := byName[name]
			return spec, ok
		},
	}
	for _, spec := range tools {
		byName[spec.Name] = spec
		checker.Tools = append(checker.Tools, spec.Name)
	}
	var saved gathering.Version
	files := pipeline.Files{
		Checker: checker,
		Save: func(ctx context.Context, def *gathering.Definition) error {
			saved, err = c.save(ctx, project, def)
			return err
		},
	}
	_, err = files.Load(ctx, path)
	return saved, cmp.Or(untold, err)
}

// pipeline returns the pipeline of a project that has a name, or an error of
// kind not_found.
func (c *Client) pipeline(ctx context.Context, project gathering.ProjectID, name string) (gathering.Pipeline, error) {
	query := url.Values{"project": {string(project)}, "name": {name}}
	p, err := ask[api.Page[gathering.Pipeline]](ctx, c, http.MethodGet, "/pipelines?"+query.Encode(), nil)
	if err == nil && len(p.Items) == 0 {
		err = gathering.NewError(gathering.KindNotFound, "there is no pipeline %s in the project %s", name, project)
	}
	if err != nil {
		return gathering.Pipeline{}, err
	}
	return p.Items[0], nil
}

// save stores a definition as the published version of the pipeline of its
// name, which it makes if there is none.
func (c *Client) save(ctx context.Context, project gathering.ProjectID, def *gathering.Definition) (gathering.Version, error) {
	document, err := definition.Encode(def)
	if err != nil {
		return gathering.Version{}, err
	}
	stored := api.Definition{Definition: document}
	p, err := c.pipeline(ctx, project, def.Name)
	if gathering.KindOf(err) == gathering.KindNotFound {
		p, err = ask[gathering.Pipeline](ctx, c, http.MethodPost, "/pipelines", api.NewPipeline{Definition: stored, Project: project})
		if gathering.KindOf(err) == gathering.KindConflict {
			p, err = c.pipeline(ctx, project, def.Name) // somebody else was quicker
		}
	}
	if err != nil {
		return gathering.Version{}, err
	}
	version := api.NewVersion{Definition: stored, Publish: true} // which it may be already
	return ask[gathering.Version](ctx, c, http.MethodPost, "/pipelines/"+url.PathEscape(string(p.ID))+"/versions", version)
}

// tools returns the tools that nodes and agents may call.
func (c *Client) tools(ctx context.Context) ([]gathering.ToolSpec, error) {
	p, err := ask[api.Page[gathering.ToolSpec]](ctx, c, http.MethodGet, "/tools", nil)
	return p.Items, err
}
