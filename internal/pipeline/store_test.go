package pipeline_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/event"
	"gathering/internal/pipeline"
	"gathering/internal/project"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var begin = time.Date(2026, 1, 2, 3, 4, 5, 123_456_789, time.UTC)

// shop is a store of pipelines whose clock goes on by a second at each look.
type shop struct {
	t *testing.T
	*pipeline.Store
}

func openShop(t *testing.T, db *store.DB) *shop {
	t.Helper()
	var mu sync.Mutex
	now := begin
	return &shop{t, &pipeline.Store{DB: db, Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}}}
}

// define is a definition whose content is told by a number.
func define(name string, content int) *gathering.Definition {
	return &gathering.Definition{
		Name: name, Vars: map[string]json.RawMessage{"content": json.RawMessage(fmt.Sprint(content))},
		Nodes: []gathering.Node{{ID: "start", Kind: "trigger"}},
	}
}

func (s *shop) save(name string, content int) gathering.Pipeline {
	s.t.Helper()
	p, err := s.Save(s.t.Context(), gathering.DefaultProject, define(name, content))
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// project makes a project.
func (s *shop) project(id gathering.ProjectID) {
	s.t.Helper()
	projects := project.Store{DB: s.DB, Now: s.Now}
	if err := projects.Ensure(s.t.Context(), id); err != nil {
		s.t.Fatal(err)
	}
}

// content is what a version holds.
func (s *shop) content(id gathering.PipelineID, number int) string {
	s.t.Helper()
	def, err := s.Definition(s.t.Context(), id, number)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(def.Vars["content"])
}

// log is the events of a pipeline's log.
func (s *shop) log(id gathering.PipelineID) []gathering.Event {
	s.t.Helper()
	rows, err := s.DB.Read().Query(s.t.Context(), `SELECT stream, seq, at, version, rows FROM noun_log WHERE stream = $1 ORDER BY seq`, string(id))
	if err != nil {
		s.t.Fatal(err)
	}
	var list []gathering.Event
	err = rows.Each(func(row store.Scanner) error {
		var r event.Row
		if err := row.Scan(&r.Stream, &r.Seq, &r.At, &r.Version, &r.Rows); err != nil {
			return err
		}
		events, err := event.Unpack(s.t.Context(), r, nil)
		list = append(list, events...)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

// events are those of a pipeline's log, as "created 1", and holds that the feed
// tells of each once and in order.
func (s *shop) events(id gathering.PipelineID) []string {
	s.t.Helper()
	var list []string
	for _, e := range s.log(id) {
		var data gathering.PipelineChangedData
		if err := json.Unmarshal(e.Data, &data); err != nil {
			s.t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%d %s %s %d", e.Seq, e.Type, data.Name, data.Version))
	}
	feed, err := event.Feed(s.t.Context(), s.DB.Read(), 0, 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	next := int64(1)
	for _, a := range feed {
		for _, e := range a.Entries {
			if e.Stream != string(id) {
				continue
			}
			if e.First != next || e.Last != next {
				s.t.Errorf("the feed goes on from %d to %d, want %d", e.First, e.Last, next)
			}
			next++
		}
	}
	if int(next)-1 != len(list) {
		s.t.Errorf("the feed tells of %d events, the log of %d", next-1, len(list))
	}
	return list
}

func TestSave(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := openShop(t, db)
		first := s.save("triage", 1)
		moment := begin.Add(time.Second).Truncate(time.Microsecond)
		want := gathering.Pipeline{
			ID: first.ID, Project: gathering.DefaultProject, Name: "triage", Published: 1, Revision: 1, CreatedAt: moment, UpdatedAt: moment,
		}
		if diff := cmp.Diff(want, first); diff != "" || first.ID == "" {
			t.Errorf("the first save (-want +got):\n%s", diff)
		}
		if again := s.save("triage", 1); again != first {
			t.Errorf("got %+v from saving the same, want %+v", again, first)
		}
		second := s.save("triage", 2)
		if second.ID != first.ID || second.Published != 2 || !second.UpdatedAt.After(first.UpdatedAt) || !second.CreatedAt.Equal(first.CreatedAt) {
			t.Errorf("got %+v from saving another, want version 2 of %+v", second, first)
		}
		if back := s.save("triage", 1); back.Published != 1 {
			t.Errorf("got %+v from saving what an older version holds, want that version published", back)
		}
		third := s.save("triage", 3)
		if third.Published != 3 {
			t.Errorf("got %+v, want version 3", third)
		}
		for number := 1; number <= 3; number++ {
			if got, want := s.content(first.ID, number), fmt.Sprint(number); got != want {
				t.Errorf("version %d holds %s, want %s", number, got, want)
			}
		}
		if diff := cmp.Diff([]string{
			"1 pipeline.created triage 1", "2 pipeline.updated triage 2", "3 pipeline.updated triage 1", "4 pipeline.updated triage 3",
		}, s.events(first.ID)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		for how, read := range map[string]func() (gathering.Pipeline, error){
			"by name": func() (gathering.Pipeline, error) { return s.ByName(t.Context(), gathering.DefaultProject, "triage") },
			"by ID":   func() (gathering.Pipeline, error) { return s.Pipeline(t.Context(), first.ID) },
		} {
			if got, err := read(); err != nil || got != third {
				t.Errorf("read %s: got %+v, %v, want %+v", how, got, err, third)
			}
		}
	})
}

func TestNamesBelongToProjects(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := openShop(t, db)
		mine := s.save("triage", 1)
		s.project("other")
		theirs, err := s.Save(t.Context(), "other", define("triage", 1))
		if err != nil {
			t.Fatal(err)
		}
		if theirs.ID == mine.ID || theirs.Published != 1 || theirs.Project != "other" {
			t.Errorf("got %+v beside %+v, want a pipeline of its own", theirs, mine)
		}
		if got, err := s.ByName(t.Context(), "other", "triage"); err != nil || got != theirs {
			t.Errorf("got %+v, %v, want %+v", got, err, theirs)
		}
	})
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := openShop(t, db)
		p := s.save("triage", 1)
		tests := map[string]func() error{
			"name":    func() error { _, err := s.ByName(t.Context(), gathering.DefaultProject, "none"); return err },
			"project": func() error { _, err := s.ByName(t.Context(), "other", "triage"); return err },
			"ID":      func() error { _, err := s.Pipeline(t.Context(), "pip_none"); return err },
			"version": func() error { _, err := s.Definition(t.Context(), p.ID, 2); return err },
			"version of an unknown ID": func() error {
				_, err := s.Definition(t.Context(), "pip_none", 1)
				return err
			},
		}
		for name, read := range tests {
			if err := read(); gathering.KindOf(err) != gathering.KindNotFound {
				t.Errorf("%s: got %v, want not found", name, err)
			}
		}
	})
}

func TestDefinitionsComeBackWhole(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := openShop(t, db)
		dir := lay(t, map[string]string{"main.yaml": `name: whole
description: "öäü <&> \U0001F600"
vars: {big: 123456789012345678901234567890, text: "line\nline"}
timeout: 10m
nodes:
  start: {kind: trigger}
  next: {kind: pipeline, needs: [start], pipeline: stored, on_error: continue, fallback: {a: null}, retry: {max_attempts: 3}}
output: "${{ nodes.next.output }}"
`})
		files := pipeline.Files{Checker: checker()}
		def, err := files.Load(t.Context(), dir+"/main.yaml")
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Save(t.Context(), gathering.DefaultProject, def)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Definition(t.Context(), p.ID, 1)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(def, got); diff != "" {
			t.Errorf("definition (-saved +read):\n%s", diff)
		}
	})
}

// TestSavesAtOnce has many save the same name at the same time, each several
// contents that others save too. Every content has one version, numbers have
// no gaps, and the log tells of every publication.
func TestSavesAtOnce(t *testing.T) {
	t.Parallel()
	const savers, contents = 8, 12
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		s := openShop(t, open(store.Options{Connections: savers + 2}))
		var (
			group sync.WaitGroup
			mu    sync.Mutex
			ids   = map[gathering.PipelineID]bool{}
		)
		for saver := range savers {
			group.Go(func() {
				for i := range contents {
					p, err := s.Save(t.Context(), gathering.DefaultProject, define("triage", (i+saver)%contents))
					if err != nil {
						t.Errorf("save: %v", err)
						return
					}
					mu.Lock()
					ids[p.ID] = true
					mu.Unlock()
				}
			})
		}
		group.Wait()
		if len(ids) != 1 {
			t.Fatalf("the saves made %d pipelines, want 1", len(ids))
		}
		p, err := s.ByName(t.Context(), gathering.DefaultProject, "triage")
		if err != nil {
			t.Fatal(err)
		}
		held := map[string]bool{}
		for number := range contents {
			held[s.content(p.ID, number+1)] = true
		}
		if len(held) != contents {
			t.Errorf("%d versions hold %d contents, want each its own", contents, len(held))
		}
		if _, err := s.Definition(t.Context(), p.ID, contents+1); gathering.KindOf(err) != gathering.KindNotFound {
			t.Errorf("got %v for one version more, want not found", err)
		}
		events := s.events(p.ID)
		if got, want := events[len(events)-1], fmt.Sprintf("%d pipeline.updated triage %d", len(events), p.Published); got != want {
			t.Errorf("the last event is %q, want %q: it tells what is published", got, want)
		}
		created := 0
		for _, e := range events {
			var seq, number int
			if _, err := fmt.Sscanf(e, "%d pipeline.created triage %d", &seq, &number); err == nil {
				created++
			}
		}
		if created != 1 {
			t.Errorf("%d events tell of a creation, want one: %q", created, events)
		}
	})
}
