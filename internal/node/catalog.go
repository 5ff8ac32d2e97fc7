package node

import (
	"context"
	"encoding/json"
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"

	"gathering"
	"gathering/internal/definition"
	"gathering/internal/engine"
	"gathering/internal/pipeline"
	"gathering/internal/run"
)

// CatalogSize is how many bound versions a [Catalog] keeps; the least recently
// used goes first.
const CatalogSize = 256

// Catalog binds stored pipeline versions for runs and keeps them bound.
type Catalog struct {
	pipelines *pipeline.Store
	binder    *Binder
	bound     *lru.Cache[versionKey, *boundVersion]
}

type versionKey struct {
	id     gathering.PipelineID
	number int
}

type boundVersion struct {
	def   *gathering.Definition
	graph *engine.Graph
}

var _ run.Pipelines = (*Catalog)(nil)

// NewCatalog returns a catalog over stored pipelines.
func NewCatalog(pipelines *pipeline.Store, binder *Binder) (*Catalog, error) {
	bound, err := lru.New[versionKey, *boundVersion](CatalogSize)
	if err != nil {
		return nil, fmt.Errorf("make the catalog's cache: %w", err)
	}
	return &Catalog{pipelines: pipelines, binder: binder, bound: bound}, nil
}

// Graph implements [run.Pipelines].
func (c *Catalog) Graph(ctx context.Context, id gathering.PipelineID, version int) (*engine.Graph, error) {
	b, err := c.version(ctx, id, version)
	if err != nil {
		return nil, err
	}
	return b.graph, nil
}

// Definition returns a stored version.
func (c *Catalog) Definition(ctx context.Context, id gathering.PipelineID, version int) (*gathering.Definition, error) {
	b, err := c.version(ctx, id, version)
	if err != nil {
		return nil, err
	}
	return b.def, nil
}

// Admit implements [run.Pipelines].
func (c *Catalog) Admit(ctx context.Context, project gathering.ProjectID, name string, input json.RawMessage) (gathering.PipelineID, int, error) {
	p, err := c.pipelines.ByName(ctx, project, name)
	if err != nil {
		return "", 0, err
	}
	b, err := c.version(ctx, p.ID, p.Published)
	if err != nil {
		return "", 0, err
	}
	return p.ID, p.Published, definition.CheckInput(b.def, input)
}

// version returns a bound version. Versions never change, so one that is kept
// is never stale.
func (c *Catalog) version(ctx context.Context, id gathering.PipelineID, number int) (*boundVersion, error) {
	key := versionKey{id, number}
	if b, ok := c.bound.Get(key); ok {
		return b, nil
	}
	def, err := c.pipelines.Definition(ctx, id, number)
	if err != nil {
		return nil, err
	}
	graph, err := c.binder.Bind(def)
	if err != nil {
		return nil, fmt.Errorf("bind version %d of %s: %w", number, id, err)
	}
	b := &boundVersion{def: def, graph: graph}
	c.bound.Add(key, b)
	return b, nil
}
