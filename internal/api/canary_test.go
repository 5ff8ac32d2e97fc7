package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gathering/internal/store/storetest"
)

// canary begins everything that answers and the log must not repeat.
const canary = "cAn4ry"

// song is what is sent with a canary in it, and around it what makes it no ID:
// answers may say of which ID there is nothing. Each is another one, so that
// what is repeated is told from what was stored before.
type song int

func (n song) name() string { return fmt.Sprintf("%s%dx", canary, int(n)) }

func (n song) text() string { return n.name() + ` <img src=x> '"&;` }

func (n song) number() json.Number {
	return json.Number(fmt.Sprintf("9%08d", int(n)) + strings.Repeat("1", 24))
}

// sent is a call with something in one place.
type sent struct {
	where string // of the place, as query.limit
	make  func(n song) call
}

// places are all in which an operation can be sent something.
func (d *document) places(o asking, c call) []sent {
	var list []sent
	for _, p := range d.of(o).Parameters {
		list = append(list, sent{p.In + "." + p.Name, func(n song) call { return p.carry(o, c, n.text()) }})
	}
	for _, name := range []string{"Authorization", "Cookie", "Content-Type", "If-Match", "Idempotency-Key"} {
		list = append(list, sent{"header." + name, func(n song) call { return c.with(name, n.text()) }})
	}
	list = append(list, sent{"header.of no consequence", func(n song) call {
		other := c
		for _, name := range []string{
			"Accept", "Accept-Language", "If-None-Match", "Last-Event-ID", "Origin", "Referer", "User-Agent", "X-Request-ID", "X-Forwarded-For", "Forwarded",
			"X-Forwarded-Proto", "Range", "Prefer", "Accept-Encoding",
		} {
			other = other.with(name, n.text())
		}
		return other
	}})
	list = append(list,
		sent{"header.Content-Type's parameter", func(n song) call { return c.with("Content-Type", "application/json; charset="+n.name()+"+x") }},
		sent{"header.Authorization's token", func(n song) call { return c.with("Authorization", "Bearer "+n.name()) }},
		sent{"header.Authorization's API token", func(n song) call { return c.with("Authorization", "Bearer gat_"+n.name()) }})
	bodied := func(where string, body func(n song) string) {
		list = append(list, sent{where, func(n song) call {
			other := c
			other.body = body(n)
			return other
		}})
	}
	bodied("body", func(n song) string { return text(n.text()) })
	bodied("body that is none", song.name)
	bodied("body's unknown field", func(n song) string { return text(map[string]string{"surplus": n.text()}) })
	for _, f := range d.fields(o) {
		bodied("body."+f.name, func(n song) string { return f.within(c.body, f.make(n)) })
	}
	return list
}

// carry is the call with a value for the parameter.
func (p parameter) carry(o asking, c call, value string) call {
	switch p.In {
	case "query":
		c.path += "?" + p.Name + "=" + url.QueryEscape(value)
	case "header":
		c = c.with(p.Name, value)
	case "path":
		parts := strings.Split(c.path, "/")
		parts[slices.Index(strings.Split(o.Path, "/"), "{"+p.Name+"}")] = url.PathEscape(value)
		c.path = strings.Join(parts, "/")
	}
	return c
}

// field is one of a body, and a value for it.
type field struct {
	name string
	make func(n song) any
}

// within is a body with another value of the field.
func (f field) within(body string, value any) string {
	m := map[string]json.RawMessage{}
	if body != "" {
		if err := json.Unmarshal([]byte(body), &m); err != nil {
			panic(err)
		}
	}
	m[f.name] = json.RawMessage(text(value))
	return text(m)
}

// fields are those of an operation's body, with values of every kind.
func (d *document) fields(o asking) []field {
	body := d.body(o)
	if body == nil {
		return nil
	}
	var list []field
	for name, p := range body.Properties {
		p = d.resolve(p)
		list = append(list,
			field{name, func(n song) any { return n.text() }},
			field{name, func(n song) any { return n.number() }})
		if p.is("array") {
			list = append(list,
				field{name, func(n song) any { return []string{n.text()} }},
				field{name, func(n song) any { return []any{map[string]string{"a": n.text()}} }})
		}
		if p.is("object") {
			list = append(list,
				field{name, func(n song) any { return map[string]string{"a": n.text()} }},
				field{name, func(n song) any { return map[string]any{"a": map[string]any{"b": n.number()}} }})
		}
	}
	return list
}

// told are places of which answers tell what is wrong there by names that were
// given: what there is none of. The log says why somebody switched something off.
func told() []string {
	return []string{
		"create-pipeline body.definition", "create-pipeline body.source", "validate-pipeline body.definition", "validate-pipeline body.source",
		"create-version body.definition", "create-version body.source", "validate-version body.definition", "validate-version body.source",
		"decide-run body.node", "fork-run body.from", "trip-breaker body.reason",
	}
}

// TestNothingIsRepeated sends a canary in every place of every operation.
func TestNothingIsRepeated(t *testing.T) {
	t.Parallel()
	s := furnished(t, storetest.SQLite(t))
	d, n := s.document(t), song(0)
	unspoken := map[string]string{} // where what must not be in the log was sent
	for _, o := range s.operations(t) {
		for _, p := range []*person{s.people["admin"], s.people["nobody"]} {
			if !p.known && o.ID != "change-project" && o.ID != "list-runs" {
				continue // whoever is not let in is told the same everywhere
			}
			c := o.make(t, s, s.people["admin"])
			c.then = nil
			for _, x := range d.places(o, c) {
				n++
				where := o.ID + " " + x.where
				got := s.ask(t, p, x.make(n))
				if got.status >= http.StatusInternalServerError {
					t.Errorf("%s as %s: got %d %.300s", where, p.name, got.status, got.body)
				}
				if slices.Contains(told(), where) {
					continue
				}
				unspoken[n.name()] = where
				if n.repeated(t, x.where, got) {
					t.Errorf("%s as %s is repeated: %d %.400s", where, p.name, got.status, got.body)
				}
			}
			s.restore(t, o, s.people["admin"])
		}
	}
	log := s.log.String()
	for name, where := range unspoken {
		if i := strings.Index(log, name); i >= 0 {
			t.Errorf("%s is in the log: %.100s", where, log[max(0, i-50):])
		}
	}
}

// repeated reports whether an answer repeats a canary where it must not: a
// success may tell what was stored, under its own name.
func (n song) repeated(t *testing.T, where string, a answer) bool {
	t.Helper()
	in := func(body string) bool {
		return strings.Contains(body, n.name()) || strings.Contains(body, string(n.number()))
	}
	if !in(text(a.header) + a.body) {
		return false
	}
	_, name, _ := strings.Cut(where, ".")
	var tree any
	if a.status >= http.StatusBadRequest || json.Unmarshal([]byte(a.body), &tree) != nil {
		return true
	}
	return in(text(a.header)) || in(text(without(tree, name)))
}

// without is a value without members of a name.
func without(tree any, name string) any {
	switch v := tree.(type) {
	case map[string]any:
		delete(v, name)
		for k := range v {
			v[k] = without(v[k], name)
		}
	case []any:
		for i := range v {
			v[i] = without(v[i], name)
		}
	}
	return tree
}
