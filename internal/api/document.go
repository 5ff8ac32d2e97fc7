package api

import (
	"encoding/json"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"gathering"
)

const description = "GatheRing runs pipelines of agents, tools and plain steps, and does not lose them. " +
	"Errors are problem documents (RFC 9457). Lists come in pages: give next_cursor back as cursor. " +
	"Writes may bear an Idempotency-Key; what can be edited has an ETag, which If-Match holds a change against."

// Tags group the operations.
const (
	tagSignIn    = "sign-in"
	tagPeople    = "people"
	tagProjects  = "projects"
	tagPipelines = "pipelines"
	tagRuns      = "runs"
	tagBreakers  = "breakers"
	tagModels    = "models"
	tagSettings  = "settings"
	tagCatalogue = "catalogue"
	tagHealth    = "health"
)

func tags() []*huma.Tag {
	return []*huma.Tag{
		{Name: tagSignIn, Description: "Who one is"},
		{Name: tagPeople, Description: "Users, API tokens and the audit trail"},
		{Name: tagProjects, Description: "What everything belongs to, and who has which roles there"},
		{Name: tagPipelines, Description: "Stored definitions, their versions, publishing"},
		{Name: tagRuns, Description: "Starting, watching and steering runs"},
		{Name: tagBreakers, Description: "Circuit breakers of what runs call"},
		{Name: tagModels, Description: "Models and who provides them"},
		{Name: tagSettings, Description: "How the service is set up"},
		{Name: tagCatalogue, Description: "What pipelines can be made of"},
		{Name: tagHealth, Description: "How the service is"},
	}
}

// streamedResponses are those of a route that can be watched.
func (a *API) streamedResponses() map[string]*huma.Response {
	schemas := a.huma.OpenAPI().Components.Schemas
	return map[string]*huma.Response{
		"200": {Description: "A page of events, or a stream of them (server-sent events) whose IDs Last-Event-ID goes on from", Content: map[string]*huma.MediaType{
			"application/json":  {Schema: schemas.Schema(reflect.TypeFor[Page[gathering.Event]](), true, "")},
			"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}},
		}},
		"204": {Description: "There is nothing more to watch"},
		"default": {Description: "Error", Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: schemas.Schema(reflect.TypeFor[problem](), true, "")},
		}},
	}
}

// documentRoutes come last: the document and the page tell of the routes before
// them.
func (a *API) documentRoutes() {
	text, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		panic(err) // it is made of constants and types
	}
	a.docsRoute()
	a.mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(text) // a client that is gone needs no answer
	})
}
