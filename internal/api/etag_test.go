package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"gathering"
)

// revisionsAreHeld holds that a change which names a revision is made of that one
// alone.
func revisionsAreHeld(t *testing.T, s *service) {
	d, admin := s.document(t), s.people["admin"]
	for _, o := range s.operations(t) {
		if !slices.ContainsFunc(d.of(o).Parameters, func(p parameter) bool { return p.Name == "If-Match" }) {
			continue
		}
		c := o.make(t, s, admin)
		tag := s.tag(t, c)
		for _, stale := range []string{`"999999"`, `"0"`, `"-1"`, `""`, `"x"`, `x`, strings.Trim(tag, `"`), "W/" + tag, tag + ", " + tag, `"` + tag + `"`, tag + "x", `"1e0"`} {
			got := s.ask(t, admin, c.with("If-Match", stale))
			if got.status != http.StatusPreconditionFailed {
				t.Errorf("%s of %s: got %d %s, want 412", o.ID, stale, got.status, got.body)
				continue
			}
			if p := got.problem(t); p.Kind != gathering.KindConflict || p.Code != gathering.CodePrecondition {
				t.Errorf("%s of %s: got %+v", o.ID, stale, p)
			}
		}
		if got := s.tag(t, c); got != tag {
			t.Errorf("%s was refused, and the revision went from %s to %s", o.ID, tag, got)
		}
		if got := s.ask(t, admin, c.with("If-Match", tag)); got.status != o.recipe.status {
			t.Errorf("%s of the right revision: got %d %s", o.ID, got.status, got.body)
		}
		if got := s.ask(t, admin, o.make(t, s, admin).with("If-Match", "*")); got.status != o.recipe.status {
			t.Errorf("%s of any revision: got %d %s", o.ID, got.status, got.body)
		}
		if o.Method == http.MethodDelete {
			continue
		}
		if got := s.ask(t, admin, c.with("If-Match", tag)); got.status != http.StatusPreconditionFailed {
			t.Errorf("%s of a revision that was changed: got %d %s, want 412", o.ID, got.status, got.body)
		}
	}
}

// tag is the revision of what a call is about: of the resource at its path, or
// of that which it is a part of.
func (s *service) tag(t *testing.T, c call) string {
	t.Helper()
	for path := c.path; path != ""; path = path[:strings.LastIndexByte(path, '/')] {
		if tag := s.ask(t, s.people["admin"], call{method: http.MethodGet, path: path}).header.Get("Etag"); tag != "" {
			return tag
		}
	}
	t.Fatalf("nothing at %s has a revision", c.path)
	return ""
}
