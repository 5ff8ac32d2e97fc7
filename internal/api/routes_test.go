package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"gathering"
	"gathering/internal/api"
)

// TestAnswers holds what is answered to whom.
func TestAnswers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *service) {
		inTurn(t, s, part{"of others", nothingOfOthers}, part{"told what one may do", toldWhatOneMayDo}, part{"revisions", revisionsAreHeld},
			part{"rights", rightsGoAtOnce}, part{"routes", answersAsAsked})
	})
}

// answersAsAsked holds what operations answer beside their success: one request
// after another, each with what came of those before.
func answersAsAsked(t *testing.T, s *service) {
	const none = "run_00000000000000000000000000"
	waiting, unknown, failed, completed := string(s.own.waiting.ID), string(s.own.unknown.ID), string(s.own.failed.ID), string(s.own.completed.ID)
	steer := func(run, verb, body string, status int, want string) exchange {
		return exchange{as: "admin", method: http.MethodPost, path: at("runs", run, verb), body: body, status: status, want: want}
	}
	s.plays(t, []exchange{
		steer(completed, "cancel", "", 409, "has ended: completed"),
		steer(none, "cancel", "", 404, "there is no run "+none),
		steer(waiting, "resume", "", 409, "is not paused"),
		steer(unknown, "decide", `{}`, 400, `"field":"body"`),
		steer(unknown, "decide", `{"node":"go","as":"perhaps"}`, 400, `"field":"as"`),
		steer(unknown, "decide", `{"node":"start","as":"done"}`, 409, "is not unknown"),
		steer(unknown, "decide", `{"node":"other","as":"done"}`, 404, "no node"),
		steer(unknown, "decide", `{"node":"go","as":"fail","output":1}`, 400, `"field":"output"`),
		steer(unknown, "decide", `{"node":"go","as":"done","by":"ada"}`, 400, `"field":"by"`),
		steer(completed, "redrive", "", 409, "completed; fork it"),
		steer(waiting, "redrive", "", 409, "has not ended"),
		steer(failed, "redrive", `{"from":["go"]}`, 400, `"field":"from"`),
		steer(failed, "redrive", `{"vars":{"other":1}}`, 400, `"field":"vars.other"`),
		steer(completed, "fork", "", 400, "not what this route takes"),
		steer(completed, "fork", `{"from":[]}`, 400, `"field":"from"`),
		steer(completed, "fork", `{"from":["nothing"]}`, 400, `"field":"from"`),
		steer(completed, "dismiss", "", 409, "is no dead letter: completed"),
		steer(failed, "dismiss", "", 200, `"state":"failed"`),
		steer(failed, "dismiss", "", 409, "is no dead letter: failed"),
		{as: "admin", method: http.MethodDelete, path: at("runs", waiting), status: 409, want: "has not ended"},
		{as: "admin", method: http.MethodDelete, path: at("runs", none), status: 404, want: "there is no run"},
	})
	s.runsAsAsked(t)
	s.definesAsAsked(t)
	s.keepsOrder(t)
}

// runsAsAsked starts runs and lists them.
func (s *service) runsAsAsked(t *testing.T) {
	t.Helper()
	runs := at("pipelines", string(s.own.errands.ID), "runs")
	start := func(query, body string, status int, want string) exchange {
		return exchange{as: "operator of own", method: http.MethodPost, path: runs + query, body: body, status: status, want: want}
	}
	list := func(query, want, never string) exchange {
		return exchange{as: "viewer of own", method: http.MethodGet, path: at("runs") + query, status: 200, want: want, never: never}
	}
	patience := "?wait=" + (30 * time.Second).String()
	s.plays(t, []exchange{
		start(patience, `{"input":"completed","labels":{"a":"b"},"priority":3}`, 200, `"output":{"end":"completed"}`),
		start(patience, `{"input":"failed"}`, 200, `"error":{"kind":"invalid"`),
		start("?wait=1ms", `{"input":"unknown"}`, 202, `"id":"run_`),
		start("?wait=2m", `{}`, 400, `"field":"wait"`),
		start("?wait=soon", `{}`, 400, `"field":"wait"`),
		start("", `{"vars":{"volume":3}}`, 202, `"state":`),
		start("", `{"vars":{"other":3}}`, 400, `"field":"vars.other"`),
		start("", `{"priority":1001}`, 400, `"field":"priority"`),
		start("", `{"key":"`+strings.Repeat("k", 201)+`"}`, 400, `"field":"key"`),
		start("", `{"key":"redrive:x"}`, 400, `"field":"key"`),
		start("", `{"on_key":"other"}`, 400, `"field":"on_key"`),
		{as: "operator of own", method: http.MethodPost, path: at("pipelines", string(s.own.patient.ID), "runs"), body: `{"key":"one"}`, status: 202},
		{as: "operator of own", method: http.MethodPost, path: at("pipelines", string(s.own.patient.ID), "runs"), body: `{"key":"one"}`, status: 409, want: "has the key"},
		{as: "operator of own", method: http.MethodPost, path: at("pipelines", string(s.own.patient.ID), "runs"), body: `{"key":"one","on_key":"existing"}`, status: 202, want: `"state":`},
		list("?undecided=true", string(s.own.unknown.ID), string(s.own.waiting.ID)),
		list("?state=paused", string(s.own.paused.ID), string(s.own.completed.ID)),
		list("?state=paused,failed", string(s.own.failed.ID), string(s.own.completed.ID)),
		list("?state=timed_out", `"items":[]`, ""),
		list("?project=own&limit=500", string(s.own.completed.ID), ""),
		{as: "viewer of own", method: http.MethodGet, path: at("runs") + "?state=done", status: 400, want: `"field":"state[0]"`},
		{as: "viewer of own", method: http.MethodGet, path: runs + "?limit=500", status: 200, want: string(s.own.completed.ID), never: string(s.own.waiting.ID)},
		{as: "viewer of own", method: http.MethodGet, path: at("runs", string(s.own.failed.ID), "report"), status: 200, want: `"pipeline":"errands","state":"failed"`},
		{as: "viewer of own", method: http.MethodGet, path: at("runs", string(s.own.paused.ID), "why"), status: 200, want: "paused it"},
	})
}

// definesAsAsked makes, changes and publishes pipelines.
func (s *service) definesAsAsked(t *testing.T) {
	t.Helper()
	one := at("pipelines", string(s.own.errands.ID))
	write := func(path, body string, status int, want string) exchange {
		return exchange{as: "editor of own", method: http.MethodPost, path: path, body: body, status: status, want: want}
	}
	const source = `"source":"name: fresh\nnodes:\n  start: {kind: trigger}\n"`
	s.plays(t, []exchange{
		write(at("pipelines"), `{"project":"own",`+source+`}`, 201, `"name":"fresh","published":1`),
		write(at("pipelines"), `{"project":"own",`+source+`}`, 409, `a pipeline \"fresh\" already`),
		write(at("pipelines"), `{"project":"own"}`, 400, `"field":"definition"`),
		write(at("pipelines"), `{"project":"own",`+source+`,"definition":{}}`, 400, `"field":"definition"`),
		write(at("pipelines"), `{"project":"own","definition":{"name":"x","nodes":{"a":{"kind":"wish"}}}}`, 400, `nodes.a.kind`),
		write(at("pipelines"), `{"project":"own","definition":[]}`, 400, `"kind":"invalid"`),
		write(at("pipelines"), `{"project":"Own",`+source+`}`, 400, `"field":"project"`),
		write(at("pipelines", "validate"), `{"project":"own",`+source+`}`, 200, `"name":"fresh"`),
		write(one+"/validate", `{`+source+`}`, 400, `"field":"definition.name"`),
		write(one+"/versions", `{`+source+`}`, 400, `"field":"definition.name"`),
		write(one+"/versions", `{"definition":`+errands+`}`, 201, `"number":1`),
		write(one+"/publish", `{"version":99}`, 404, "has no such version"),
		write(one+"/publish", `{"version":0}`, 400, `"field":"version"`),
		write(one+"/publish", `{"version":1}`, 200, `"published":1`),
		write(one+"/rollback", ``, 409, "there is no version before 1"),
		{as: "viewer of own", method: http.MethodGet, path: one + "/versions/99", status: 404, want: "has no such version"},
		{as: "viewer of own", method: http.MethodGet, path: one + "/versions/x", status: 400, want: `"field":"number"`},
		{as: "viewer of own", method: http.MethodGet, path: one + "/versions/2", status: 200, want: `"vars":{"volume":2}`},
		{as: "viewer of own", method: http.MethodGet, path: at("pipelines") + "?name=errands", status: 200, want: `"name":"errands"`, never: "patient"},
	})
}

// keepsOrder has users, projects and circuit breakers be what they can be.
func (s *service) keepsOrder(t *testing.T) {
	t.Helper()
	post := func(path, body string, status int, want string) exchange {
		return exchange{as: "admin", method: http.MethodPost, path: path, body: body, status: status, want: want}
	}
	trip := func(name string) string { return at("breakers", name, "trip") }
	s.plays(t, []exchange{
		post(at("users"), `{"email":"GUEST@example.com","role":"viewer"}`, 409, "already"),
		post(at("users"), `{"email":"guest","role":"viewer"}`, 400, `"field":"email"`),
		post(at("users"), `{"email":"a@b.co","role":"owner"}`, 400, `"field":"role"`),
		post(at("users"), `{"email":"a@b.co","role":"viewer","password":"short"}`, 400, `"field":"password"`),
		{as: "admin", method: http.MethodGet, path: at("users") + "?email=Guest@Example.com", status: 200, want: string(s.guest.ID), never: "admin@"},
		{as: "admin", method: http.MethodGet, path: at("users") + "?email=nobody@example.com", status: 200, want: `{"items":[]}`},
		post(at("tokens"), `{"name":"x","scopes":["everything"]}`, 400, `"field":"scopes[0]"`),
		post(at("tokens"), `{"name":"x","scopes":["users.write"]}`, 400, `"field":"scopes[0]"`),
		post(at("tokens"), `{"name":"x","scopes":["*"],"expires_at":"2001-01-01T00:00:00Z"}`, 400, `"field":"expires_at"`),
		post(at("tokens"), `{"name":"x","scopes":["*"],"expires_at":"soon"}`, 400, `"field":"expires_at"`),
		post(at("tokens"), `{"name":"x","scopes":["*"],"user":"usr_00000000000000000000000000"}`, 404, "there is no user"),
		post(at("projects"), `{"id":"own"}`, 409, "already"),
		post(at("projects"), `{"id":"Own"}`, 400, `"field":"id"`),
		post(at("projects"), `{"id":"`+strings.Repeat("p", 64)+`"}`, 400, `"field":"id"`),
		{as: "admin", method: http.MethodDelete, path: at("projects", "own"), status: 409, want: "holds pipelines or runs"},
		{as: "admin", method: http.MethodDelete, path: at("projects", "default"), status: 409, want: "cannot be deleted"},
		post(at("projects", "own", "members"), `{"email":"nobody@example.com","roles":["viewer"]}`, 404, "there is no user with this e-mail address"),
		post(at("projects", "own", "members"), `{"email":"guest@example.com","roles":["none"]}`, 400, `"field":"roles[0]"`),
		post(at("projects", "own", "members"), `{"email":"guest@example.com","roles":[]}`, 400, `"field":"roles"`),
		post(trip("tool:mail.send"), `{"until":"2999-01-01T00:00:00Z"}`, 200, `"until":"2999-01-01T00:00:00Z"`),
		post(trip("tool:mail.send"), `{"until":"1999-01-01T00:00:00Z"}`, 400, `"field":"until"`),
		post(trip("host:[::1]:80"), ``, 200, `"name":"host:[::1]:80"`),
		post(trip("nonsense"), ``, 400, `"field":"name"`),
		post(trip("tool:a/b"), ``, 400, `"field":"name"`),
		post(at("breakers", "tool:other", "reset"), ``, 404, "there is no circuit breaker tool:other"),
		{as: "admin", method: http.MethodGet, path: at("breakers", "tool:other", "history"), status: 200, want: `{"items":[]}`},
		{as: "admin", method: http.MethodGet, path: at("breakers", "tool:mail.send", "history"), status: 200, want: `"type":"breaker.opened"`},
		{as: "admin", method: http.MethodGet, path: at("breakers", "tool:mail.send", "history") + "?limit=501", status: 400, want: `"field":"limit"`},
		{as: "admin", method: http.MethodPatch, path: at("settings"), body: `{"audit_kept":"1h"}`, status: 400, want: `"field":"audit_kept"`},
		{as: "admin", method: http.MethodPatch, path: at("settings"), body: `{"limit_read":"often"}`, status: 400, want: "a rate is"},
	})
	s.losesNobody(t)
}

// losesNobody holds that there is always somebody who can administer.
func (s *service) losesNobody(t *testing.T) {
	t.Helper()
	users := decode[api.Page[gathering.User]](t, s.ask(t, s.keeper, call{method: http.MethodGet, path: at("users") + "?limit=500"})).Items
	for _, u := range users {
		if u.Role == gathering.RoleAdmin && u.ID != s.keeper.user.ID {
			if got := s.ask(t, s.keeper, call{method: http.MethodPatch, path: at("users", string(u.ID)), body: `{"role":"viewer"}`}); got.status != http.StatusOK {
				t.Fatalf("%s: got %d %s", u.Email, got.status, got.body)
			}
		}
	}
	last := at("users", string(s.keeper.user.ID))
	for _, c := range []call{
		{method: http.MethodPatch, path: last, body: `{"role":"none"}`}, {method: http.MethodPatch, path: last, body: `{"active":false}`}, {method: http.MethodDelete, path: last},
	} {
		if got := s.ask(t, s.keeper, c); got.status != http.StatusConflict || !strings.Contains(got.body, "last administrator") {
			t.Errorf("%s %s: got %d %s, want 409", c.method, c.body, got.status, got.body)
		}
	}
}

// rightsGoAtOnce holds that who was taken something away has it no more
// with the next request.
func rightsGoAtOnce(t *testing.T, s *service) {
	keeper := s.keeper
	editor := s.settle(t, &person{
		name: "mover", user: s.newUser(t, "mover", gathering.RoleNone), roles: map[gathering.ProjectID][]gathering.Role{s.own.id: {gathering.RoleEditor}},
	})
	defer delete(s.people, editor.name)
	read := call{method: http.MethodGet, path: at("pipelines", string(s.own.errands.ID))}
	write := call{method: http.MethodPost, path: at("pipelines", string(s.own.errands.ID), "publish"), body: `{"version":1}`}
	member := at("projects", "own", "members", string(editor.user.ID))
	user := at("users", string(editor.user.ID))
	made, secret := s.token(t, editor, "*")
	program := &person{bring: bearer(secret)}
	for i, step := range []struct {
		as     *person
		call   call
		status int
	}{
		{editor, write, 200},
		{keeper, call{method: http.MethodPut, path: member, body: `{"roles":["viewer"]}`}, 200},
		{editor, write, 403},
		{editor, read, 200},
		{program, read, 200},
		{keeper, call{method: http.MethodDelete, path: member}, 204},
		{editor, read, 404},
		{program, read, 404},
		{keeper, call{method: http.MethodPatch, path: user, body: `{"role":"editor"}`}, 200},
		{editor, write, 200},
		{program, write, 200},
		{keeper, call{method: http.MethodDelete, path: at("tokens", string(made.ID))}, 204},
		{program, read, 401},
		{editor, read, 200},
		{keeper, call{method: http.MethodPost, path: user + "/password", body: text(map[string]string{"password": password})}, 204},
		{editor, read, 401},
	} {
		if got := s.ask(t, step.as, step.call); got.status != step.status {
			t.Errorf("step %d, %s %s: got %d %s, want %d", i, step.call.method, step.call.path, got.status, got.body, step.status)
		}
	}
	s.renew(t, editor)
	for i, step := range []struct {
		as     *person
		call   call
		status int
	}{
		{editor, read, 200},
		{keeper, call{method: http.MethodPatch, path: user, body: `{"active":false}`}, 200},
		{editor, read, 401},
		{keeper, call{method: http.MethodDelete, path: user}, 204},
		{editor, read, 401},
	} {
		if got := s.ask(t, step.as, step.call); got.status != step.status {
			t.Errorf("then step %d, %s %s: got %d %s, want %d", i, step.call.method, step.call.path, got.status, got.body, step.status)
		}
	}
}
