package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/api"
)

// nothingOfOthers asks for what is somebody else's by every way that leads
// from what is one's own.
func nothingOfOthers(t *testing.T, s *service) {
	const insider, member = "admin of own", "viewer of own"
	admin, other := s.people["admin"], s.other
	pipeline, run := string(other.errands.ID), string(other.completed.ID)
	theirs, _ := s.token(t, admin, "*")
	s.save(t, other.id, `{"name":"secret","nodes":{"start":{"kind":"trigger"}}}`)
	calling := `{"project":"own","definition":{"name":"calls","nodes":{"start":{"kind":"trigger"},"go":{"kind":"pipeline","needs":["start"],"pipeline":"secret"}}}}`
	mine := string(s.people[insider].user.ID)
	s.plays(t, []exchange{
		{as: insider, method: "GET", path: at("pipelines", pipeline), status: 404, want: "there is no pipeline"},
		{as: insider, method: "GET", path: at("pipelines", pipeline, "versions"), status: 404},
		{as: insider, method: "GET", path: at("pipelines", pipeline, "versions", "1"), status: 404},
		{as: insider, method: "GET", path: at("pipelines", pipeline, "runs"), status: 404},
		{as: insider, method: "POST", path: at("pipelines", pipeline, "runs"), status: 404, audit: "denied runs.start"},
		{as: insider, method: "POST", path: at("pipelines", pipeline, "versions"), body: `{"definition":` + errands + `}`, status: 404, audit: "denied pipelines.write"},
		{as: insider, method: "POST", path: at("runs", run, "fork"), body: `{"from":["go"]}`, status: 404},
		{as: insider, method: "POST", path: at("runs", string(other.failed.ID), "redrive"), status: 404},
		{as: insider, method: "POST", path: at("runs", string(other.unknown.ID), "decide"), body: `{"node":"go","as":"done"}`, status: 404, audit: "denied runs.write"},
		{as: insider, method: "DELETE", path: at("runs", run), status: 404, audit: "denied runs.delete"},
		{as: insider, method: "GET", path: at("runs", run, "report"), status: 404},
		{as: insider, method: "GET", path: at("runs", run, "events"), status: 404},
		// By the body.
		{as: insider, method: "POST", path: at("pipelines"), body: `{"project":"other","definition":` + errands + `}`, status: 404, want: "there is no project other"},
		{as: insider, method: "POST", path: at("pipelines", "validate"), body: `{"project":"other","definition":` + errands + `}`, status: 404},
		{as: insider, method: "POST", path: at("pipelines"), body: `{"definition":` + errands + `}`, status: 404, want: "there is no project default"},
		{as: insider, method: "POST", path: at("pipelines", "validate"), body: calling, status: 400, want: "there is no pipeline"},
		{as: "admin", method: "POST", path: at("pipelines", "validate"), body: calling, status: 400, want: "there is no pipeline"},
		// Projects and their members.
		{as: insider, method: "GET", path: at("projects", "other"), status: 404},
		{as: insider, method: "PATCH", path: at("projects", "other"), body: `{"name":"Mine"}`, status: 404, audit: "denied projects.write"},
		{as: insider, method: "GET", path: at("projects", "other", "members"), status: 404},
		{as: insider, method: "PUT", path: at("projects", "other", "members", mine), body: `{"roles":["admin"]}`, status: 404},
		{as: insider, method: "POST", path: at("projects", "other", "members"), body: `{"email":"admin-of-own@example.com","roles":["admin"]}`, status: 404},
		{as: insider, method: "DELETE", path: at("projects", "other", "members", string(s.people["everything of other"].user.ID)), status: 404},
		{as: member, method: "PUT", path: at("projects", "own", "members", mine), body: `{"roles":["admin"]}`, status: 403, audit: "denied projects.write"},
		// What is somebody's alone.
		{as: insider, method: "DELETE", path: at("tokens", string(theirs.ID)), status: 404, want: "there is no token", audit: "denied account.secure"},
		{as: insider, method: "GET", path: at("tokens") + "?user=" + string(admin.user.ID), status: 403, audit: "denied account.read"},
		{as: insider, method: "GET", path: at("tokens") + "?user=*", status: 403},
		{as: insider, method: "POST", path: at("tokens"), body: `{"name":"x","scopes":["*"],"user":"` + string(admin.user.ID) + `"}`, status: 403, audit: "denied account.secure"},
		{as: insider, method: "DELETE", path: at("auth", "sessions", string(admin.grant.Session.ID)), status: 404},
		{as: "admin", method: "DELETE", path: at("auth", "sessions", string(s.people[insider].grant.Session.ID)), status: 404},
		{as: insider, method: "GET", path: at("audit", "verify"), status: 403, audit: "denied audit.read"},
		// Lists that name what is not theirs.
		{as: insider, method: "GET", path: at("runs") + "?project=other", status: 200, want: `{"items":[]}`},
		{as: insider, method: "GET", path: at("runs") + "?root=" + run, status: 200, want: `{"items":[]}`},
		{as: insider, method: "GET", path: at("runs") + "?parent=" + run, status: 200, want: `{"items":[]}`},
		{as: insider, method: "GET", path: at("runs") + "?pipeline=" + pipeline, status: 200, want: `{"items":[]}`},
		{as: insider, method: "GET", path: at("pipelines") + "?project=other", status: 200, want: `{"items":[]}`},
		{as: insider, method: "GET", path: at("pipelines") + "?name=secret", status: 200, want: `{"items":[]}`},
		{as: insider, method: "GET", path: at("dead-letters") + "?project=other", status: 200, want: `{"items":[]}`},
		{as: insider, method: "GET", path: at("overview") + "?project=other", status: 200, want: `{"counts":{"queued":0,"running":0,"recovering":0,"waiting":0,"paused":0,"cancelling":0,"undecided":0,"dead":0},"runs":[],"dead":[],`, never: string(other.failed.ID)},
		{as: insider, method: "GET", path: at("audit") + "?project=other", status: 200, want: `{"items":[]}`},
		{as: insider, method: "GET", path: at("audit") + "?object=" + run, status: 200, want: `{"items":[]}`},
		{as: insider, method: "GET", path: at("events") + "?project=other", status: 200, want: `"items":[]`},
		{as: insider, method: "GET", path: at("events") + "?stream=" + run, status: 200, want: `"items":[]`},
		// The cursor of somebody else's page leads on in one's own.
		{as: insider, method: "GET", path: at("runs") + "?cursor=" + string(other.paused.ID), status: 200, want: string(s.own.completed.ID), never: run},
		{as: insider, method: "GET", path: at("pipelines") + "?cursor=" + pipeline, status: 200, want: `{"items":[]}`},
		{as: insider, method: "GET", path: at("projects") + "?cursor=other", status: 200, want: `"id":"own"`, never: `"id":"other"`},
	})
	s.listsOnly(t, insider)
	s.listsOnly(t, member)
}

// listsOnly holds that no list tells a member of own anything of other.
func (s *service) listsOnly(t *testing.T, name string) {
	t.Helper()
	p := s.people[name]
	foreign := []string{
		string(s.other.errands.ID), string(s.other.patient.ID), string(s.other.completed.ID), string(s.other.failed.ID), string(s.other.waiting.ID),
		string(s.other.unknown.ID), string(s.other.paused.ID), `"other"`, "project:other", "The project other",
	}
	own := map[string]string{
		"list-pipelines": string(s.own.errands.ID), "list-runs": string(s.own.completed.ID), "list-dead-letters": string(s.own.failed.ID),
		"read-overview": string(s.own.failed.ID),
		"list-projects": "The project own", "watch": string(s.own.completed.ID),
	}
	for _, o := range s.operations(t) {
		if o.Method != http.MethodGet || strings.Contains(o.Path, "{") || o.open() || o.expect(t, s, p) != allowed {
			continue
		}
		path := o.Path
		if want := own[o.ID]; o.recipe.about != summary && want != "" || o.recipe.about == listing {
			path += "?limit=500"
		}
		got := s.ask(t, p, call{method: o.Method, path: path})
		for _, word := range foreign {
			if strings.Contains(got.body, word) {
				t.Errorf("%s as %s tells of %s", o.ID, name, word)
			}
		}
		if got.status != http.StatusOK || !strings.Contains(got.body, own[o.ID]) {
			t.Errorf("%s as %s: got %d %.300s, want %s", o.ID, name, got.status, got.body, own[o.ID])
		}
	}
}

// toldWhatOneMayDo holds that people are told what they may do as it is.
func toldWhatOneMayDo(t *testing.T, s *service) {
	operations := s.operations(t)
	for _, p := range s.insiders() {
		if p.expect(t, "account.read", "") != allowed {
			continue
		}
		me := decode[api.Me](t, s.ask(t, p, call{method: http.MethodGet, path: at("auth", "me")}))
		for _, project := range []gathering.ProjectID{"", s.own.id, s.other.id} {
			var want, got []string
			for _, o := range operations {
				if o.Action == "" {
					continue
				}
				if slices.Contains(me.Actions, o.Action) || slices.Contains(me.Projects[project], o.Action) {
					got = append(got, o.ID)
				}
				if p.expect(t, o.Action, project) == allowed {
					want = append(want, o.ID)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s in %q (-may +told):\n%s", p.name, project, diff)
			}
		}
	}
}
