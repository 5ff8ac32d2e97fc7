package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/store"
)

// TestLists holds what every list is like.
func TestLists(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *service) {
		inTurn(t, s, part{"bounds", pagesHaveBounds}, part{"queries", pagesTakeFewQueries}, part{"everything", pagesHaveEverything})
	})
}

// page is a part of a list.
type page struct {
	Items      []map[string]any `json:"items"`
	NextCursor string           `json:"next_cursor"`
}

// names are what the items of a page are told apart by.
func (p page) names() []string {
	list := make([]string, len(p.Items))
	for i, item := range p.Items {
		var name []string
		for _, key := range []string{"id", "user", "stream", "seq", "number", "name", "ref"} {
			if value, ok := item[key]; ok {
				name = append(name, fmt.Sprint(value))
			}
		}
		list[i] = strings.Join(name, " ")
	}
	return list
}

// lists are the operations that answer with pages.
func (s *service) lists(t *testing.T) []asking {
	t.Helper()
	d := s.document(t)
	return slices.DeleteFunc(s.operations(t), func(o asking) bool {
		return !slices.ContainsFunc(d.of(o).Parameters, func(p parameter) bool { return p.Name == "cursor" })
	})
}

// more are ways to make a list longer by something.
func more() map[string]func(t *testing.T, s *service) {
	of := func(id string) func(t *testing.T, s *service) {
		return func(t *testing.T, s *service) {
			t.Helper()
			for _, o := range s.operations(t) {
				if o.ID == id {
					if got := s.ask(t, s.keeper, o.make(t, s, s.keeper)); got.status != o.recipe.status {
						t.Fatalf("%s: got %d %s", id, got.status, got.body)
					}
				}
			}
		}
	}
	return map[string]func(t *testing.T, s *service){
		"list-users": of("create-user"), "list-projects": of("create-project"), "list-pipelines": of("create-pipeline"), "list-providers": of("create-provider"),
		"list-versions": of("create-version"), "list-runs": of("start-run"), "list-pipeline-runs": of("start-run"), "list-audit": of("change-project"),
		"watch": of("change-project"),
		"list-tokens": func(t *testing.T, s *service) {
			t.Helper()
			s.token(t, s.people["admin"], "*")
		},
		"list-members": func(t *testing.T, s *service) {
			t.Helper()
			u := s.newUser(t, s.fresh("member"), gathering.RoleNone)
			if _, err := s.Projects.SetMember(t.Context(), s.own.id, u.ID, []gathering.Role{gathering.RoleViewer}); err != nil {
				t.Fatal(err)
			}
		},
		"list-dead-letters": func(t *testing.T, s *service) {
			t.Helper()
			s.start(t, s.own.errands, `"failed"`, gathering.RunFailed)
		},
		"list-breakers": func(t *testing.T, s *service) {
			t.Helper()
			if _, err := s.Circuits.Trip(t.Context(), "tool:"+s.fresh("t"), "ada", "", time.Time{}); err != nil {
				t.Fatal(err)
			}
		},
		"list-models": nil, "watch-run": nil, // which do not grow
	}
}

// pagesHaveEverything holds that a list read in parts has everything once and in order,
// while it grows.
func pagesHaveEverything(t *testing.T, s *service) {
	admin, grow := s.people["admin"], more()
	for _, o := range s.lists(t) {
		c := o.make(t, s, admin)
		longer, known := grow[o.ID]
		if !known {
			t.Errorf("nobody knows how %s grows: give it a line in list_test.go", o.ID)
		}
		for longer != nil && len(s.page(t, admin, c, 500, "").Items) < 4 {
			longer(t, s)
		}
		if o.ID == "list-providers" {
			longer = nil // each takes longer than the one before
		}
		for _, limit := range []int{1, 3} {
			if o.ID == "list-models" {
				limit *= 100 // there are many
			}
			want, got := s.page(t, admin, c, 500, "").names(), []string{}
			for cursor, parts := "", 0; ; parts++ {
				p := s.page(t, admin, c, limit, cursor)
				if len(p.Items) > limit && o.ID != "watch" || len(p.Items) < limit && p.NextCursor != "" && o.ID != "watch" {
					t.Errorf("%s: of at most %d there are %d, and %q", o.ID, limit, len(p.Items), p.NextCursor)
				}
				got = append(got, p.names()...)
				if cursor = p.NextCursor; cursor == "" || o.ID == "watch" && len(p.Items) == 0 {
					break
				}
				if longer != nil && parts < 2 {
					longer(t, s)
				}
			}
			if sorted := slices.Sorted(slices.Values(got)); len(slices.Compact(sorted)) != len(got) {
				t.Errorf("%s by %d has something twice: %v", o.ID, limit, got)
			}
			got = slices.DeleteFunc(got, func(name string) bool { return !slices.Contains(want, name) })
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s by %d (-want +got):\n%s", o.ID, limit, diff)
			}
		}
	}
}

func (s *service) page(t *testing.T, p *person, c call, limit int, cursor string) page {
	t.Helper()
	c.path += fmt.Sprintf("?limit=%d&cursor=%s", limit, url.QueryEscape(cursor))
	return decode[page](t, s.ask(t, p, c))
}

// pagesHaveBounds holds which pages there can be.
func pagesHaveBounds(t *testing.T, s *service) {
	admin := s.people["admin"]
	for _, o := range s.lists(t) {
		c := o.make(t, s, admin)
		for query, want := range map[string]int{
			"limit=1": 200, "limit=500": 200, "limit=": 200, "cursor=": 200,
			"limit=0": 400, "limit=501": 400, "limit=-1": 400, "limit=x": 400, "limit=1.5": 400, "limit=99999999999999999999": 400, "limit=0x10": 400,
		} {
			asked := c
			asked.path += "?" + query
			if got := s.ask(t, admin, asked); got.status != want {
				t.Errorf("%s?%s: got %d %.300s, want %d", o.ID, query, got.status, got.body, want)
			}
		}
		if slices.Contains(looseCursors(), o.ID) {
			continue
		}
		for _, cursor := range []string{"nonsense", "x y", "-1", "0", "1.5", "usr", "run_", "zzz_" + strings.Repeat("0", 26), "' OR 1=1", "../x", strings.Repeat("9", 30)} {
			asked := c
			asked.path += "?cursor=" + url.QueryEscape(cursor)
			if o.ID == "watch-run" && cursor == "0" {
				continue // which is its beginning
			}
			if got := s.ask(t, admin, asked); got.status != http.StatusBadRequest {
				t.Errorf("%s from %q: got %d %.300s, want 400", o.ID, cursor, got.status, got.body)
			}
		}
	}
}

// looseCursors are lists in the order of names, where any word is a place.
func looseCursors() []string { return []string{"list-projects", "list-models"} }

// pagesTakeFewQueries holds that a list of more rows takes no more queries.
func pagesTakeFewQueries(t *testing.T, s *service) {
	var queries atomic.Int64
	view, _ := s.DB.Through(func(_ context.Context, a store.Access) error {
		queries.Add(1)
		return a.Do()
	})
	handler := s.seenThrough(t, view)
	server := serve(t, handler)
	count := func(c call) int64 {
		least := int64(1 << 30)
		for range 4 { // of which some find out anew who asks
			queries.Store(0)
			if got := send(t, server.Client(), server.URL, s.people["admin"], c); got.status != http.StatusOK {
				t.Fatalf("%s: got %d %s", c.path, got.status, got.body)
			}
			least = min(least, queries.Load())
		}
		return least
	}
	grow := more()
	for _, o := range s.lists(t) {
		if grow[o.ID] == nil || o.ID == "list-providers" {
			continue
		}
		c := o.make(t, s, s.people["admin"])
		c.path += "?limit=500"
		grow[o.ID](t, s)
		before := count(c)
		for range 3 {
			grow[o.ID](t, s)
		}
		if after := count(c); after != before || before == 0 {
			t.Errorf("%s took %d queries, and takes %d with more rows", o.ID, before, after)
		}
	}
}
