package api_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"gathering"
	"gathering/internal/audit"
)

// TestOnce holds what becomes of requests with an idempotency key.
func TestOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *service) {
		inTurn(t, s, part{"repeats", repeats}, part{"failures", failuresAreNotRepeated}, part{"keys", keys}, part{"at once", repeatsAtOnce})
	})
}

// keyed are the operations that document an idempotency key.
func (s *service) keyed(t *testing.T) []asking {
	t.Helper()
	d := s.document(t)
	return slices.DeleteFunc(s.operations(t), func(o asking) bool {
		return !slices.ContainsFunc(d.of(o).Parameters, func(p parameter) bool { return p.Name == "Idempotency-Key" })
	})
}

// changes counts what somebody did, as the audit trail has it.
func (s *service) changes(t *testing.T) int {
	t.Helper()
	all, err := audit.Entries(t.Context(), s.DB.Read(), gathering.AuditFilter{Limit: 500, Outcome: gathering.OutcomeDone})
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// repeats holds that a request which is repeated with its key is done once
// and answered as the first time.
func repeats(t *testing.T, s *service) {
	for _, o := range s.keyed(t) {
		s.repeat(t, o)
	}
}

func (s *service) repeat(t *testing.T, o asking) {
	t.Helper()
	admin, keeper := s.people["admin"], s.keeper
	defer s.exec(t, `DELETE FROM idempotency`) // so that the next one has the key for itself
	c := o.make(t, s, admin).with("Idempotency-Key", "a key")
	c.then = nil
	before := s.changes(t)
	first := s.ask(t, admin, c)
	made := s.changes(t) - before
	if first.status != o.recipe.status || made != 1 {
		t.Errorf("%s: got %d %s and %d changes", o.ID, first.status, first.body, made)
		return
	}
	for range 2 {
		again := s.ask(t, admin, c)
		if o.ID == "create-token" { // whose answer is a secret, which nobody keeps
			if again.status != http.StatusConflict {
				t.Errorf("%s again: got %d %s, want 409", o.ID, again.status, again.body)
			}
			continue
		}
		if again.status != first.status || again.body != first.body || again.header.Get("Etag") != first.header.Get("Etag") {
			t.Errorf("%s again: got %d %s, want %d %s", o.ID, again.status, again.body, first.status, first.body)
		}
	}
	if got := s.changes(t) - before; got != 1 {
		t.Errorf("%s: it was repeated, and there are %d changes", o.ID, got)
	}
	other := c
	if other.body += " "; c.body == "" {
		other.body = "{}"
	}
	if got := s.ask(t, admin, other); got.status != http.StatusConflict || got.problem(t).Kind != gathering.KindConflict {
		t.Errorf("%s: another request with the key: got %d %s, want 409", o.ID, got.status, got.body)
	}
	theirs := o.make(t, s, keeper).with("Idempotency-Key", "a key")
	theirs.then = nil
	if got := s.ask(t, keeper, theirs); got.status != o.recipe.status {
		t.Errorf("%s: somebody else with the key: got %d %s", o.ID, got.status, got.body)
	}
}

// repeatsAtOnce holds that of the same request many times at once one makes
// the change, and all are told of it.
func repeatsAtOnce(t *testing.T, s *service) {
	for _, o := range s.keyed(t) {
		if o.ID == "create-token" {
			continue // which tells the secret to one of them
		}
		c := o.make(t, s, s.keeper).with("Idempotency-Key", o.ID)
		c.then = nil
		before := s.changes(t)
		answers := make([]answer, 4)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = s.ask(t, s.keeper, c) })
		}
		all.Wait()
		for _, got := range answers {
			if got.status != o.recipe.status || objectID.FindString(got.body) != objectID.FindString(answers[0].body) {
				t.Errorf("%s: got %d %s, want %d %s", o.ID, got.status, got.body, o.recipe.status, answers[0].body)
			}
		}
		if got := s.changes(t) - before; got != 1 && o.Tag != "breakers" { // whose changes come to the same
			t.Errorf("%s: there are %d changes", o.ID, got)
		}
		s.exec(t, `DELETE FROM audit`) // so that they can be counted
	}
}

// failuresAreNotRepeated holds that what was refused can be asked for in
// another way with the same key.
func failuresAreNotRepeated(t *testing.T, s *service) {
	admin := s.people["admin"]
	for _, o := range s.keyed(t) {
		c := o.make(t, s, admin).with("Idempotency-Key", o.ID)
		c.then = nil
		for _, wrong := range []call{absent(c), {method: c.method, path: c.path, body: `{"surplus":1}`, header: c.header}} {
			if wrong.path == c.path && wrong.body == c.body {
				continue // it is about nothing that could be absent
			}
			if got := s.ask(t, admin, wrong); got.status < http.StatusBadRequest {
				t.Errorf("%s %s: got %d %s", o.ID, wrong.path, got.status, got.body)
			}
		}
		if got := s.ask(t, admin, c); got.status != o.recipe.status {
			t.Errorf("%s, once it is right: got %d %s", o.ID, got.status, got.body)
		}
	}
}

// keys holds which keys there can be.
func keys(t *testing.T, s *service) {
	create := func(key string) answer {
		return s.ask(t, s.keeper, call{method: http.MethodPost, path: at("projects"), body: text(map[string]string{"id": s.fresh("k")})}.with("Idempotency-Key", key))
	}
	for name, key := range map[string]string{"short": "x", "long": strings.Repeat("x", 255), "odd": "' OR 1=1 --\xff\t\"", "wide": "ключ 🔑"} {
		if got := create(key); got.status != http.StatusCreated {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
	if got := create(strings.Repeat("x", 256)); got.status != http.StatusBadRequest {
		t.Errorf("too long: got %d %s", got.status, got.body)
	}
}
