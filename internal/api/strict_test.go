package api_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gathering"
	"gathering/internal/store/storetest"
)

// TestRequests holds what is no request.
func TestRequests(t *testing.T) { //nolint:tparallel // its parts take turns on one service
	t.Parallel()
	inTurn(t, furnished(t, storetest.SQLite(t)), part{"strictness", strictness}, part{"empty bodies", emptyBodies}, part{"huge bodies", hugeBodies}, part{"local", localMayEverything})
}

// wrong is a call that must be refused, with the field that is at fault; "" is
// none in particular.
type wrong struct {
	what  string
	call  call
	field string
}

// strictness asks for every operation in ways that are nearly right.
func strictness(t *testing.T, s *service) {
	d, admin := s.document(t), s.people["admin"]
	for _, o := range s.operations(t) {
		c := o.make(t, s, admin)
		c.then = nil
		t.Run(o.ID, func(t *testing.T) {
			t.Parallel()
			list := wrongQueries(d, o, c)
			if body := d.body(o); body != nil {
				list = slices.Concat(list, wrongFields(t, d, body, c), wrongBodies(c))
			} else {
				list = append(list, surplusBodies(c)...)
			}
			for _, w := range list {
				got := s.ask(t, admin, w.call)
				if got.status != http.StatusBadRequest {
					t.Errorf("%s: got %d %.300s, want 400", w.what, got.status, got.body)
					continue
				}
				problem := got.problem(t)
				at := func(f gathering.FieldError) bool { return f.Field == w.field }
				if problem.Kind != gathering.KindInvalid || w.field != "" && !slices.ContainsFunc(problem.Errors, at) {
					t.Errorf("%s: got %+v, want %s named", w.what, problem, w.field)
				}
			}
		})
	}
}

func wrongQueries(d *document, o asking, c call) []wrong {
	query := func(more string) call {
		other := c
		other.path += "?" + more
		return other
	}
	list := []wrong{
		{"an unknown parameter", query("surplus=1"), "surplus"},
		{"a parameter that cannot be read", query("a=%zz"), ""},
		{"a null byte", query("surplus=%00"), "surplus"},
	}
	for _, p := range d.of(o).Parameters {
		if p.In == "query" {
			list = append(list,
				wrong{p.Name + " twice", query(p.Name + "=1&" + p.Name + "=1"), p.Name},
				wrong{p.Name + " in capitals", query(strings.ToUpper(p.Name) + "=1"), strings.ToUpper(p.Name)},
				wrong{p.Name + " that is no text", query(p.Name + "=%ff"), p.Name})
		}
	}
	return list
}

// wrongFields is a body with one field that is not to be there.
func wrongFields(t *testing.T, d *document, body *shape, c call) []wrong {
	t.Helper()
	var list []wrong
	with := func(what, name, value string) {
		m := members(t, c.body)
		m[name] = json.RawMessage(value)
		other := c
		other.body = text(m)
		list = append(list, wrong{what + " " + name, other, name})
	}
	for _, name := range []string{
		"surplus", "id", "ID", "project", "created_at", "updated_at", "finished_at", "owner", "user", "revision", "state", "status", "epoch", "role", "roles",
		"admin", "active", "seq", "published", "version", "hash", "secret", "token", "expires_at", "by", "actor", "$schema", "__proto__", "constructor", "",
	} {
		if body.Properties[name] == nil {
			with("an unknown field", name, "null")
			with("an unknown field", name, `"x"`)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(body.Properties)) {
		value := "null"
		if given, ok := members(t, c.body)[name]; ok {
			value = string(given)
		}
		with("another case", strings.ToUpper(name[:1])+name[1:], value)
		p := d.resolve(body.Properties[name])
		if p.Type == nil {
			continue // any value
		}
		for kind, other := range map[string]string{"string": `"\u0001"`, "integer": "7", "boolean": "true", "array": `[[]]`, "object": `{"a":{}}`} {
			if !p.is(kind) && (kind != "integer" || !p.is("number")) {
				with("another type of", name, other)
			}
		}
	}
	return list
}

// wrongBodies are what is no body of a route.
func wrongBodies(c call) []wrong {
	with := func(body string) call {
		other := c
		other.body = body
		return other
	}
	inner := strings.TrimSuffix(c.body, "}")
	if inner == "" || inner == "{" {
		inner = `{"a":"b"`
	}
	first := inner[1:]
	list := []wrong{
		{"a field twice", with(inner + "," + first + "}"), ""},
		{"a field twice, escaped", with(inner + `,"\u0061":1,"a":2}`), ""},
		{"two bodies", with(c.body + c.body + "{}{}"), ""},
		{"a list", with("[" + c.body + "1]"), ""},
		{"a text", with(`"x"`), ""},
		{"a number", with("1"), ""},
		{"null", with("null"), ""},
		{"half a body", with(inner), ""},
		{"no JSON", with("a=b&c=d"), ""},
		{"a byte order mark", with("\xef\xbb\xbf" + inner + "}"), ""},
		{"UTF-16", with("\xff\xfe{\x00}\x00"), ""},
		{"invalid UTF-8", with(inner + ",\"surplus\":\"\xff\"}"), ""},
		{"half a surrogate pair", with(inner + `,"surplus":"\ud800"}`), ""},
		{"the other half", with(inner + `,"surplus":"\udc00\ud800"}`), ""},
		{"a number without bound", with(inner + `,"surplus":1e999}`), ""},
		{"a deep one", with(inner + `,"surplus":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}"), ""},
		{"not a number", with(inner + `,"surplus":NaN}`), ""},
		{"comments", with("/**/" + inner + "}"), ""},
	}
	for _, media := range []string{
		"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", "application/json2",
		"text/json", "application/merge-patch+json", "application/cbor", "application", "*/*", " ",
	} {
		list = append(list, wrong{"the type " + media, with(inner+"}").with("Content-Type", media), "Content-Type"})
	}
	return list
}

// surplusBodies are what a route that takes no body does not take either.
func surplusBodies(c call) []wrong {
	with := func(body string) call {
		other := c
		other.body = body
		return other
	}
	return []wrong{
		{"a field", with(`{"force":true}`), ""},
		{"a list", with(`[]`), ""},
		{"null", with(`null`), ""},
		{"no JSON", with(`a=b`), ""},
		{"half a surrogate pair", with(`"\ud800"`), ""},
	}
}

// emptyBodies holds that a route without a body takes one that says
// nothing, and that one with a body which may be left out can be asked without.
func emptyBodies(t *testing.T, s *service) {
	d, admin := s.document(t), s.people["admin"]
	for _, o := range s.operations(t) {
		bodies := []string{"{}", " \n{ } "}
		if body := d.of(o).RequestBody; body != nil {
			if body.Required || o.ID == "refresh" {
				continue
			}
			bodies = []string{"", "{}"}
		}
		for _, body := range bodies {
			c := o.make(t, s, admin)
			c.body = body
			if got := s.ask(t, admin, c); got.status != o.recipe.status {
				t.Errorf("%s with the body %q: got %d %s, want %d", o.ID, body, got.status, got.body, o.recipe.status)
			}
		}
	}
}

// hugeBodies holds that a body is not taken in beyond its bound.
func hugeBodies(t *testing.T, s *service) {
	d, admin := s.document(t), s.people["admin"]
	const usual, value = 1 << 20, gathering.MaxValueBytes + 64<<10
	for _, o := range s.operations(t) {
		bound := usual
		if o.Tag == "pipelines" || slices.Contains([]string{"start-run", "decide-run", "redrive-run", "fork-run"}, o.ID) {
			if o.Method != http.MethodGet {
				bound = value
			}
		}
		if bound == value && o.ID != "start-run" {
			continue // one of them will do: it takes long
		}
		c := o.make(t, s, admin)
		c.then = nil
		if d.body(o) == nil {
			c.body = "{}"
		}
		c.body = strings.TrimSuffix(c.body, "}") + strings.Repeat(" ", bound-len(c.body)) + "} "
		got := s.ask(t, admin, c)
		if got.status != http.StatusRequestEntityTooLarge || got.problem(t).Kind != gathering.KindTooLarge {
			t.Errorf("%s with %d bytes: got %d %.300s, want 413", o.ID, len(c.body), got.status, got.body)
		}
		c.body = c.body[:len(c.body)-1]
		if !slices.Contains([]string{"sign-in", "read-run", "cancel-run", "change-project"}, o.ID) {
			continue // nor has each to read it
		}
		if got := s.ask(t, admin, c); got.status != o.recipe.status {
			t.Errorf("%s with %d bytes: got %d %.300s, want %d", o.ID, len(c.body), got.status, got.body, o.recipe.status)
		}
	}
}
