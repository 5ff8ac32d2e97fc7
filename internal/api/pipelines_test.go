package api_test

import (
	"testing"

	"gathering"
)

// TestPipelineThatIsDeleted deletes a pipeline that has runs, and the project
// it was in.
func TestPipelineThatIsDeleted(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *service) {
		s.plays(t, []exchange{{as: "admin", method: "POST", path: at("projects"), body: `{"id":"brief"}`, status: 201}})
		p, err := s.Save(t.Context(), "brief", []byte(`{"name":"old","nodes":{"start":{"kind":"trigger"}}}`))
		if err != nil {
			t.Fatal(err)
		}
		id := string(p.ID)
		r := string(s.start(t, p, "", gathering.RunCompleted).ID)
		s.plays(t, []exchange{
			{as: "admin", method: "POST", path: at("pipelines", id, "runs"), body: `{"version":2}`, status: 400, want: `"field":"version"`},
			{as: "admin", method: "POST", path: at("pipelines", id, "runs"), body: `{"version":1}`, status: 202, want: `"pipeline_name":"old"`},
			{as: "admin", method: "DELETE", path: at("projects", "brief"), status: 409, want: "holds pipelines or runs"},
			{as: "admin", method: "DELETE", path: at("pipelines", id), status: 204},
			{as: "admin", method: "DELETE", path: at("pipelines", id), status: 409, want: "was deleted"},
			{as: "admin", method: "GET", path: at("pipelines", id), status: 200, want: `"deleted_at"`},
			{as: "admin", method: "POST", path: at("pipelines", id, "runs"), status: 409, want: "was deleted"},
			{as: "admin", method: "GET", path: at("runs", r), status: 200, want: `"pipeline_name":"old"`},
			{as: "admin", method: "GET", path: at("runs", r, "report"), status: 200, want: `"pipeline":"old"`},
			{as: "admin", method: "POST", path: at("runs", r, "fork"), body: `{"from":["start"]}`, status: 201},
			{as: "admin", method: "DELETE", path: at("projects", "brief"), status: 409, want: "holds pipelines or runs"},
		})
		runs, err := s.Runs.Runs(t.Context(), gathering.RunFilter{Pipeline: p.ID})
		if err != nil || len(runs) != 3 {
			t.Fatalf("got %d runs, %v", len(runs), err)
		}
		for _, r := range runs {
			s.until(t, r.ID, gathering.RunCompleted)
			s.plays(t, []exchange{{as: "admin", method: "DELETE", path: at("runs", string(r.ID)), status: 204}})
		}
		s.plays(t, []exchange{
			{as: "admin", method: "DELETE", path: at("projects", "brief"), status: 204},
			{as: "admin", method: "GET", path: at("pipelines", id), status: 404, want: "there is no pipeline"},
		})
	})
}
