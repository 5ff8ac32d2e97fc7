package api_test

import (
	"net/http"
	"testing"

	"gathering/internal/api"
	"gathering/internal/auth"
	"gathering/internal/breaker"
	"gathering/internal/launch"
	"gathering/internal/llm/stored"
	"gathering/internal/pipeline"
	"gathering/internal/project"
	"gathering/internal/run"
	"gathering/internal/settings"
	"gathering/internal/store"
	"gathering/internal/watch"
)

// seenThrough is the service's routes on a view of its database.
func (s *service) seenThrough(t *testing.T, view *store.DB) http.Handler {
	t.Helper()
	o := s.front.API.Options
	runs := run.NewService(run.Options{DB: view, Pipelines: s.Catalog, Now: o.Now})
	t.Cleanup(runs.Close)
	circuits := breaker.New(breaker.Options{Now: o.Now})
	circuits.Start(t.Context(), &breaker.Store{DB: view, Now: o.Now})
	t.Cleanup(circuits.Stop)
	people, err := auth.New(auth.Options{DB: view, Ring: o.Ring, Repeats: o.Repeats, Now: o.Now, Cost: cheap()})
	if err != nil {
		t.Fatal(err)
	}
	watching, err := watch.New(view, runs, s.Deltas)
	if err != nil {
		t.Fatal(err)
	}
	o.DB, o.Auth, o.Circuits, o.Watch = view, people, circuits, watching
	o.Projects = &project.Store{DB: view, Now: o.Now}
	o.Breakers = &breaker.Store{DB: view, Now: o.Now}
	o.Launcher = &launch.Launcher{Pipelines: &pipeline.Store{DB: view, Now: o.Now}, Catalog: s.Catalog, Runs: runs, Models: s.Models, Tools: s.Tools}
	o.Providers = &stored.Store{DB: view, Ring: o.Ring, Models: s.Models, Now: o.Now, Logger: o.Logger, Lookup: func(string) (string, bool) { return "", false }}
	o.Settings = &settings.Store{DB: view, Now: o.Now, Logger: o.Logger, Started: o.Settings.Started}
	return api.New(o).Public()
}
