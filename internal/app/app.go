// Package app puts the parts of GatheRing together into one running whole. It
// holds no logic of its own.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"gathering"
	"gathering/internal/agent"
	"gathering/internal/breaker"
	"gathering/internal/event"
	"gathering/internal/launch"
	"gathering/internal/llm"
	"gathering/internal/llm/offline"
	"gathering/internal/llm/provider"
	"gathering/internal/node"
	"gathering/internal/pipeline"
	"gathering/internal/project"
	"gathering/internal/run"
	"gathering/internal/safedial"
	"gathering/internal/store"
	"gathering/internal/tool"
	"gathering/internal/tool/builtin"
	"gathering/internal/tool/web"
)

// Options say what to put together. The zero value of a field means the default named.
type Options struct {
	Data     string // data directory; ./data
	Database string // postgres://… ; "" is SQLite in Data
	ReadOnly bool   // only reads, beside a process that holds Data
	Command  string // what this process does, told to whoever finds Data held
	Logger   *slog.Logger
	Now      func() time.Time // time.Now
	// Lookup reads the environment; nil finds nothing set.
	Lookup func(name string) (string, bool)
	// Providers and Tools come in addition to those built in. Each of these
	// tools has a circuit breaker.
	Providers []llm.Provider
	Tools     []tool.Tool
	// Circuits says when circuit breakers open and for how long; see the defaults there.
	Circuits breaker.Limits
	// Commit wraps every commit of the database, see [store.Options].
	Commit func(ctx context.Context, commit func() error) error
}

// App is the whole, without a worker until Work is called.
type App struct {
	*launch.Launcher

	DB       *store.DB
	Projects *project.Store
	Deltas   *event.Deltas     // of what goes on right now
	Breakers *breaker.Store    // as they are stored
	Circuits *breaker.Registry // as this process uses them; on its own where it only reads
	Data     string            // absolute

	options Options
}

// Open puts the parts together. Close the result.
func Open(ctx context.Context, o Options) (*App, error) {
	o = o.withDefaults()
	data, err := filepath.Abs(o.Data)
	if err != nil {
		return nil, fmt.Errorf("find the data directory: %w", err)
	}
	circuits := breaker.New(breaker.Options{Limits: o.Circuits, Logger: o.Logger, Now: o.Now})
	models, tools, err := parts(o, data, circuits)
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, store.Options{
		Dir: data, URL: o.Database, Logger: o.Logger, ReadOnly: o.ReadOnly, Command: o.Command, Commit: o.Commit,
	})
	if err != nil {
		return nil, err
	}
	a := &App{Launcher: &launch.Launcher{Models: models, Tools: tools}, DB: db, Circuits: circuits, Data: data, options: o}
	a.Deltas = event.NewDeltas(event.DeltasOptions{Logger: o.Logger})
	a.Breakers = &breaker.Store{DB: db, Now: o.Now}
	a.Projects = &project.Store{DB: db, Now: o.Now}
	a.Pipelines = &pipeline.Store{DB: db, Now: o.Now}
	a.Catalog, err = node.NewCatalog(a.Pipelines, &node.Binder{
		Tools:  tools,
		Deltas: a.Deltas,
		Agents: &agent.Loop{Models: models, Tools: tools, Clock: o.Now, Logger: o.Logger, Guard: circuits},
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if !o.ReadOnly {
		if err := a.useStored(ctx); err != nil {
			return nil, errors.Join(err, db.Close())
		}
		circuits.Start(ctx, a.Breakers)
	}
	a.Runs = run.NewService(run.Options{DB: db, Pipelines: a.Catalog, Logger: o.Logger, Now: o.Now})
	return a, nil
}

func (o Options) withDefaults() Options {
	if o.Data == "" {
		o.Data = "data"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Lookup == nil {
		o.Lookup = func(string) (string, bool) { return "", false }
	}
	return o
}

func parts(o Options, data string, circuits *breaker.Registry) (*llm.Models, *tool.Registry, error) {
	providers, err := provider.FromEnvironment(o.Lookup)
	if err != nil {
		return nil, nil, err
	}
	providers = append(providers, offline.Provider{})
	tools, err := builtin.All(builtin.Options{
		Out: filepath.Join(data, "out"), Hidden: []string{data}, Clock: o.Now,
	})
	if err != nil {
		return nil, nil, err
	}
	calls, err := webTools(o, circuits)
	if err != nil {
		return nil, nil, err
	}
	tools = slices.Concat(tools, calls)
	for i, t := range tools {
		tools[i] = circuits.Switched(t)
	}
	for _, t := range o.Tools {
		tools = append(tools, circuits.Guarded(t))
	}
	registry, err := tool.NewRegistry(tools...)
	if err != nil {
		return nil, nil, fmt.Errorf("register tools: %w", err)
	}
	return llm.New(append(providers, o.Providers...)...), registry, nil
}

// webTools are the tools that call others over HTTP, on the networks that the
// environment allows and while the circuits of their hosts let them.
func webTools(o Options, circuits *breaker.Registry) ([]tool.Tool, error) {
	list, _ := o.Lookup(safedial.Setting) // absent allows none
	allowed, err := safedial.ParseNetworks(list)
	if err != nil {
		return nil, err
	}
	return web.All(web.Options{Network: safedial.Options{Allow: allowed}, Guard: circuits})
}

// Close waits for what is being written and closes the database. Stop the
// worker first.
func (a *App) Close() error {
	a.Runs.Close()
	a.Circuits.Stop()
	a.Deltas.Close()
	return a.DB.Close()
}

// CheckFile checks a pipeline file and those it refers to, without a database.
func CheckFile(ctx context.Context, o Options, path string) (*gathering.Definition, error) {
	o = o.withDefaults()
	data, err := filepath.Abs(o.Data)
	if err != nil {
		return nil, fmt.Errorf("find the data directory: %w", err)
	}
	models, tools, err := parts(o, data, breaker.New(breaker.Options{}))
	if err != nil {
		return nil, err
	}
	files := pipeline.Files{Checker: launch.NewChecker(models, tools)}
	return files.Load(ctx, path)
}

// ToolSpecs describes the tools that definitions may call, sorted by name,
// without a database.
func ToolSpecs(o Options) ([]gathering.ToolSpec, error) {
	o = o.withDefaults()
	data, err := filepath.Abs(o.Data)
	if err != nil {
		return nil, fmt.Errorf("find the data directory: %w", err)
	}
	_, tools, err := parts(o, data, breaker.New(breaker.Options{}))
	if err != nil {
		return nil, err
	}
	return tools.Specs(), nil
}
