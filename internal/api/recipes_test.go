package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"

	"gathering"
	"gathering/internal/api"
)

// recipe says how an operation is asked for something that exists in own.
type recipe struct {
	// of makes the call of somebody, and what has to be there so that it succeeds.
	of func(t *testing.T, s *service, p *person) call
	// about is what it is about; a thing, unless it says otherwise.
	about subject
	// status is that of its success, where it is not the operation's.
	status int
}

// subject is what an operation is about.
type subject int

const (
	thing   subject = iota // something that exists in a project, or everywhere
	listing                // all that one may see
	summary                // what there is to say of that, in one answer
	whole                  // all there is
)

// always is a call that needs nothing.
func always(path, body string) func(*testing.T, *service, *person) call {
	return func(*testing.T, *service, *person) call { return call{path: path, body: body} }
}

// fresh is a name that nothing has.
func (s *service) fresh(prefix string) string {
	return fmt.Sprintf("%s%d", prefix, s.numbers.Add(1))
}

// recipes are those of every operation. One that is new is a new line.
func recipes() map[string]recipe {
	all := map[string]recipe{
		"alive": {of: always("/healthz", "")},
		"ready": {of: always("/readyz", "")},

		"list-audit":   {of: always(at("audit"), ""), about: listing},
		"verify-audit": {of: always(at("audit", "verify"), ""), about: whole},

		"list-kinds": {of: always(at("kinds"), "")},
		"list-tools": {of: always(at("tools"), "")},
		"watch":      {of: always(at("events"), "")},

		"read-settings":   {of: always(at("settings"), "")},
		"change-settings": {of: always(at("settings"), `{"audit_kept":"240h"}`)},

		"list-breakers":   {of: always(at("breakers"), "")},
		"breaker-history": {of: always(at("breakers", circuit, "history"), "")},
		"trip-breaker":    {of: always(at("breakers", circuit, "trip"), `{"reason":"moving"}`)},
		"reset-breaker": {of: func(t *testing.T, s *service, _ *person) call {
			t.Helper()
			if _, err := s.Circuits.Trip(t.Context(), circuit, "ada", "moving", time.Time{}); err != nil {
				t.Fatal(err)
			}
			return call{path: at("breakers", circuit, "reset")}
		}},
	}
	for _, more := range []map[string]recipe{accountRecipes(), modelRecipes(), peopleRecipes(), projectRecipes(), pipelineRecipes(), runRecipes(), steeringRecipes()} {
		maps.Copy(all, more)
	}
	return all
}

// circuit is the breaker of what no run asks.
const circuit = "host:example.com:443"

func accountRecipes() map[string]recipe {
	// ending is a call that ends the session of who makes it.
	ending := func(path, body string) func(*testing.T, *service, *person) call {
		return func(t *testing.T, s *service, p *person) call {
			t.Helper()
			return call{path: path, body: body, then: func() { s.renew(t, p) }}
		}
	}
	return map[string]recipe{
		"set-up":  {of: always(at("setup"), text(map[string]string{"email": "first@example.com", "password": password, "code": "00"})), status: http.StatusConflict},
		"sign-in": {of: always(at("auth", "login"), text(map[string]string{"email": "viewer@example.com", "password": password}))},
		"refresh": {of: func(t *testing.T, s *service, _ *person) call {
			t.Helper()
			viewer := *s.people["viewer"]
			s.renew(t, &viewer)
			return call{path: at("auth", "refresh"), body: text(map[string]string{"refresh_token": viewer.grant.Refresh})}
		}},
		"sign-out":            {of: ending(at("auth", "logout"), "")},
		"sign-out-everywhere": {of: ending(at("auth", "logout-all"), "")},
		"change-password":     {of: always(at("auth", "password"), text(map[string]string{"current": password, "new": password}))},
		"who-am-i":            {of: always(at("auth", "me"), "")},
		"change-me": {of: func(_ *testing.T, s *service, _ *person) call {
			return call{path: at("auth", "me"), body: text(map[string]string{"name": s.fresh("Ada ")})}
		}},
		"list-sessions": {of: always(at("auth", "sessions"), "")},
		"end-session": {of: func(t *testing.T, s *service, p *person) call {
			t.Helper()
			more := *p
			s.renew(t, &more)
			return call{path: at("auth", "sessions", string(more.grant.Session.ID))}
		}},
	}
}

func peopleRecipes() map[string]recipe {
	someone := func(t *testing.T, s *service) gathering.User {
		t.Helper()
		return s.newUser(t, s.fresh("someone"), gathering.RoleViewer)
	}
	return map[string]recipe{
		"list-users": {of: always(at("users"), "")},
		"create-user": {of: func(_ *testing.T, s *service, _ *person) call {
			return call{path: at("users"), body: text(map[string]string{"email": s.fresh("new") + "@example.com", "role": "viewer", "password": password})}
		}},
		"read-user": {of: func(_ *testing.T, s *service, _ *person) call {
			return call{path: at("users", string(s.guest.ID))}
		}},
		"change-user": {of: func(_ *testing.T, s *service, _ *person) call {
			return call{path: at("users", string(s.guest.ID)), body: text(map[string]string{"name": s.fresh("Guest ")})}
		}},
		"delete-user": {of: func(t *testing.T, s *service, _ *person) call {
			t.Helper()
			return call{path: at("users", string(someone(t, s).ID))}
		}},
		"set-password": {of: func(t *testing.T, s *service, _ *person) call {
			t.Helper()
			return call{path: at("users", string(someone(t, s).ID), "password"), body: text(map[string]string{"password": password})}
		}},
		"list-tokens": {of: always(at("tokens"), "")},
		"create-token": {of: func(_ *testing.T, s *service, _ *person) call {
			return call{path: at("tokens"), body: text(map[string]any{"name": s.fresh("token "), "scopes": []string{"runs.read"}})}
		}},
		"delete-token": {of: func(t *testing.T, s *service, p *person) call {
			t.Helper()
			made, _ := s.token(t, p, "runs.read")
			return call{path: at("tokens", string(made.ID))}
		}},
	}
}

func modelRecipes() map[string]recipe {
	order := func(s *service) string {
		return text(map[string]string{"name": s.fresh("models"), "base_url": "https://models.example.com/v1", "key": "sk-123"})
	}
	stored := func(t *testing.T, s *service) string {
		t.Helper()
		return string(decode[gathering.Provider](t, s.ask(t, s.keeper, call{method: http.MethodPost, path: at("providers"), body: order(s)})).ID)
	}
	// Each that there is makes the next change of one take longer, so that one is
	// used again where it can be.
	kept := func(body string) func(*testing.T, *service, *person) call {
		return func(t *testing.T, s *service, _ *person) call {
			t.Helper()
			s.provider.Do(func() { s.providerID = stored(t, s) })
			return call{path: at("providers", s.providerID), body: body}
		}
	}
	return map[string]recipe{
		"list-models":    {of: always(at("models"), "")},
		"list-providers": {of: always(at("providers"), "")},
		"create-provider": {of: func(_ *testing.T, s *service, _ *person) call {
			return call{path: at("providers"), body: order(s)}
		}},
		"read-provider":   {of: kept("")},
		"change-provider": {of: kept(`{"key":"sk-456"}`)},
		"delete-provider": {of: func(t *testing.T, s *service, _ *person) call {
			t.Helper()
			return call{path: at("providers", stored(t, s))}
		}},
	}
}

func projectRecipes() map[string]recipe {
	member := func(t *testing.T, s *service) string {
		t.Helper()
		if _, err := s.Projects.SetMember(t.Context(), s.own.id, s.guest.ID, []gathering.Role{gathering.RoleEditor}); err != nil {
			t.Fatal(err)
		}
		return string(s.guest.ID)
	}
	return map[string]recipe{
		"list-projects": {of: always(at("projects"), ""), about: listing},
		"create-project": {of: func(_ *testing.T, s *service, _ *person) call {
			return call{path: at("projects"), body: text(map[string]string{"id": s.fresh("p")})}
		}},
		"read-project": {of: always(at("projects", "own"), "")},
		"change-project": {of: func(_ *testing.T, s *service, _ *person) call {
			return call{path: at("projects", "own"), body: text(map[string]string{"name": s.fresh("Own ")})}
		}},
		"delete-project": {of: func(t *testing.T, s *service, _ *person) call {
			t.Helper()
			p, err := s.Projects.Create(t.Context(), gathering.ProjectID(s.fresh("p")), "", "")
			if err != nil {
				t.Fatal(err)
			}
			return call{path: at("projects", string(p.ID))}
		}},
		"list-members": {of: always(at("projects", "own", "members"), "")},
		"add-member":   {of: always(at("projects", "own", "members"), `{"email":"guest@example.com","roles":["viewer"]}`)},
		"set-member": {of: func(_ *testing.T, s *service, _ *person) call {
			return call{path: at("projects", "own", "members", string(s.guest.ID)), body: `{"roles":["editor"]}`}
		}},
		"remove-member": {of: func(t *testing.T, s *service, _ *person) call {
			t.Helper()
			return call{path: at("projects", "own", "members", member(t, s))}
		}},
	}
}

func pipelineRecipes() map[string]recipe {
	of := func(body string, more ...string) func(*testing.T, *service, *person) call {
		return func(_ *testing.T, s *service, _ *person) call {
			return call{path: at(append([]string{"pipelines", string(s.own.errands.ID)}, more...)...), body: body}
		}
	}
	named := func(name string) string {
		return `{"project":"own","definition":{"name":"` + name + `","nodes":{"start":{"kind":"trigger"}}}}`
	}
	return map[string]recipe{
		"list-pipelines": {of: always(at("pipelines"), ""), about: listing},
		"create-pipeline": {of: func(_ *testing.T, s *service, _ *person) call {
			return call{path: at("pipelines"), body: named(s.fresh("pipeline"))}
		}},
		"validate-pipeline": {of: always(at("pipelines", "validate"), named("valid"))},
		"read-pipeline":     {of: of("")},
		"list-versions":     {of: of("", "versions")},
		"create-version": {of: func(t *testing.T, s *service, p *person) call {
			t.Helper()
			return of(`{"definition":{"name":"errands","nodes":{"`+s.fresh("n")+`":{"kind":"trigger"}}}}`, "versions")(t, s, p)
		}},
		"read-version":     {of: of("", "versions", "1")},
		"validate-version": {of: of(`{"definition":`+errands+`}`, "validate")},
		"publish-version":  {of: switched(1, of(`{"version":2}`, "publish"))},
		"roll-back":        {of: switched(2, of("", "rollback"))},
		"delete-pipeline": {of: func(t *testing.T, s *service, _ *person) call {
			t.Helper()
			p, err := s.Save(t.Context(), "own", []byte(`{"name":"`+s.fresh("gone")+`","nodes":{"start":{"kind":"trigger"}}}`))
			if err != nil {
				t.Fatal(err)
			}
			return call{path: at("pipelines", string(p.ID))}
		}},
	}
}

// switched has a version published before the call.
func switched(version int, of func(*testing.T, *service, *person) call) func(*testing.T, *service, *person) call {
	return func(t *testing.T, s *service, p *person) call {
		t.Helper()
		if _, err := s.Pipelines.Publish(t.Context(), s.own.errands.ID, version, 0); err != nil {
			t.Fatal(err)
		}
		return of(t, s, p)
	}
}

// ofRun is a call about a run of own.
func ofRun(which func(t *testing.T, s *service) gathering.Run, body string, more ...string) func(*testing.T, *service, *person) call {
	return func(t *testing.T, s *service, _ *person) call {
		t.Helper()
		return call{path: at(append([]string{"runs", string(which(t, s).ID)}, more...)...), body: body}
	}
}

func runRecipes() map[string]recipe {
	completed := func(_ *testing.T, s *service) gathering.Run { return s.own.completed }
	ofPipeline := func(body string) func(*testing.T, *service, *person) call {
		return func(_ *testing.T, s *service, _ *person) call {
			return call{path: at("pipelines", string(s.own.errands.ID), "runs"), body: body}
		}
	}
	return map[string]recipe{
		"start-run":          {of: ofPipeline(`{"input":"completed"}`)},
		"list-pipeline-runs": {of: ofPipeline("")},
		"list-runs":          {of: always(at("runs"), ""), about: listing},
		"read-run":           {of: ofRun(completed, "")},
		"read-report":        {of: ofRun(completed, "", "report")},
		"watch-run":          {of: ofRun(completed, "", "events")},
		"why-run":            {of: ofRun(func(_ *testing.T, s *service) gathering.Run { return s.own.waiting }, "", "why")},
		"list-dead-letters":  {of: always(at("dead-letters"), ""), about: listing},
		"read-overview":      {of: always(at("overview"), ""), about: summary},
	}
}

func steeringRecipes() map[string]recipe {
	started := func(input string, state gathering.RunState) func(*testing.T, *service) gathering.Run {
		return func(t *testing.T, s *service) gathering.Run {
			t.Helper()
			return s.start(t, s.own.errands, input, state)
		}
	}
	waiting := func(t *testing.T, s *service) gathering.Run {
		t.Helper()
		return s.start(t, s.own.patient, "", gathering.RunWaiting)
	}
	paused := func(t *testing.T, s *service) gathering.Run {
		t.Helper()
		return s.newPaused(t, s.own)
	}
	failed, unknown := started(`"failed"`, gathering.RunFailed), started(`"unknown"`, gathering.RunWaiting)
	return map[string]recipe{
		"cancel-run":  {of: ofRun(waiting, "", "cancel")},
		"pause-run":   {of: ofRun(waiting, "", "pause")},
		"resume-run":  {of: ofRun(paused, "", "resume")},
		"decide-run":  {of: ofRun(unknown, `{"node":"go","as":"done","output":{}}`, "decide")},
		"redrive-run": {of: ofRun(failed, `{"input":"completed"}`, "redrive")},
		"fork-run":    {of: ofRun(failed, `{"from":["go"],"input":"completed"}`, "fork")},
		"dismiss-run": {of: ofRun(failed, "", "dismiss")},
		"delete-run":  {of: ofRun(started(`"completed"`, gathering.RunCompleted), "")},
	}
}

// operations are what the service can be asked, each with how. One that these
// tests do not know how to ask for fails the test.
func (s *service) operations(t *testing.T) []asking {
	t.Helper()
	known := recipes()
	list := make([]asking, 0, len(known))
	for _, o := range s.front.API.Operations() {
		r, ok := known[o.ID]
		if !ok {
			t.Errorf("%s %s (%s) is asked for by no test: give it a line among the recipes in recipes_test.go", o.Method, o.Path, o.ID)
			continue
		}
		if r.status == 0 {
			r.status = o.Status
		}
		delete(known, o.ID)
		list = append(list, asking{o, r})
	}
	for id := range known {
		t.Errorf("recipes_test.go tells how to ask for %s, which there is not", id)
	}
	return list
}

// asking is an operation and how it is asked for.
type asking struct {
	api.Operation

	recipe recipe
}

// make is the call of somebody.
func (a asking) make(t *testing.T, s *service, p *person) call {
	t.Helper()
	c := a.recipe.of(t, s, p)
	c.method = a.Method
	return c
}

// open reports whether nobody in particular may ask. The list is the one that
// is promised; an operation which is open without being on it is closed here.
func (a asking) open() bool {
	switch a.Method + " " + a.Path {
	case "POST /api/v1/setup", "POST /api/v1/auth/login", "POST /api/v1/auth/refresh", "GET /healthz", "GET /readyz":
		return true
	}
	return false
}

// expect is what somebody is to be told.
func (a asking) expect(t *testing.T, s *service, p *person) verdict {
	t.Helper()
	switch a.recipe.about {
	case whole:
		return p.expect(t, a.Action, "")
	case listing, summary:
		best := hidden
		for _, project := range []gathering.ProjectID{"", s.own.id, s.other.id} {
			best = min(best, p.expect(t, a.Action, project))
		}
		return best
	default:
		return p.expect(t, a.Action, s.own.id)
	}
}
