package api_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
)

// TestWhoMayDoWhat asks for every operation there is as everybody there is.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *service) {
		for _, o := range s.operations(t) {
			t.Run(o.ID, func(t *testing.T) {
				if o.Action == "" != o.open() {
					t.Fatalf("%s %s: it is open to everybody: %t, promised: %t", o.Method, o.Path, o.Action == "", o.open())
				}
				spare := o.make(t, s, s.people["admin"]) // is not used up by who may not
				for _, p := range s.outsiders() {
					if o.open() {
						s.admits(t, o, p)
					} else {
						s.turnsAway(t, o, p, spare)
					}
				}
				for _, p := range s.insiders() {
					s.judges(t, o, p, spare)
				}
			})
		}
	})
}

func (s *service) judges(t *testing.T, o asking, p *person, spare call) {
	t.Helper()
	if o.open() {
		s.admits(t, o, p)
		return
	}
	switch o.expect(t, s, p) {
	case allowed:
		s.admits(t, o, p)
	case denied:
		s.denies(t, o, p, spare)
	case hidden:
		s.hides(t, o, p, spare)
	}
}

func (s *service) admits(t *testing.T, o asking, p *person) {
	t.Helper()
	if got := s.ask(t, p, o.make(t, s, p)); got.status != o.recipe.status {
		t.Errorf("%s as %s: got %d %s, want %d", o.ID, p.name, got.status, got.body, o.recipe.status)
	}
}

func (s *service) turnsAway(t *testing.T, o asking, p *person, c call) {
	t.Helper()
	c.then = nil
	got := s.ask(t, p, c)
	if got.status != http.StatusUnauthorized {
		t.Errorf("%s as %s: got %d %s, want 401", o.ID, p.name, got.status, got.body)
		return
	}
	if problem := got.problem(t); problem.Kind != gathering.KindUnauthenticated || got.header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("%s as %s: got %+v with %v", o.ID, p.name, problem, got.header)
	}
}

func (s *service) denies(t *testing.T, o asking, p *person, c call) {
	t.Helper()
	c.then = nil
	got := s.ask(t, p, c)
	if got.status != http.StatusForbidden || got.problem(t).Kind != gathering.KindForbidden {
		t.Errorf("%s as %s: got %d %s, want 403", o.ID, p.name, got.status, got.body)
	}
}

// hides holds that somebody cannot tell what they may not see from what is not
// there.
func (s *service) hides(t *testing.T, o asking, p *person, c call) {
	t.Helper()
	c.then = nil
	got := s.ask(t, p, c)
	switch {
	case o.recipe.about == whole:
		if got.status != http.StatusForbidden {
			t.Errorf("%s as %s: got %d %s, want 403", o.ID, p.name, got.status, got.body)
		}
		return
	case o.recipe.about == listing:
		if want := `{"items":[]}`; got.status != http.StatusOK || strings.TrimSpace(got.body) != want {
			t.Errorf("%s as %s: got %d %s, want %s", o.ID, p.name, got.status, got.body, want)
		}
		return
	case got.status != http.StatusNotFound:
		t.Errorf("%s as %s: got %d %s, want 404", o.ID, p.name, got.status, got.body)
		return
	}
	nowhere := s.ask(t, p, absent(c))
	if diff := cmp.Diff(anonymous(nowhere.body), anonymous(got.body)); diff != "" {
		t.Errorf("%s as %s: what is hidden is told from what is not there (-not there +hidden):\n%s", o.ID, p.name, diff)
	}
}

var (
	objectID  = regexp.MustCompile(`\b(run|pip|usr|tok|ses|prv)_[0-9a-v]{26}\b`)
	projectID = regexp.MustCompile(`\b(own|nowhere)\b`)
	requestID = regexp.MustCompile(`req_[A-Z0-9]+`)
)

// absent is the call about something that is not there.
func absent(c call) call {
	for _, part := range []*string{&c.path, &c.body} {
		*part = objectID.ReplaceAllString(*part, "${1}_00000000000000000000000000")
		*part = projectID.ReplaceAllString(*part, "nowhere")
	}
	return c
}

// anonymous is an answer without what it is about and the request's own ID.
func anonymous(body string) string {
	body = requestID.ReplaceAllString(body, "REQUEST")
	return projectID.ReplaceAllString(objectID.ReplaceAllString(body, "ID"), "PROJECT")
}
