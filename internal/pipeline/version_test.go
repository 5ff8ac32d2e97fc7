package pipeline_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/once"
	"gathering/internal/pipeline"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func (s *shop) wantKind(err error, kind gathering.Kind, tells string) {
	s.t.Helper()
	if gathering.KindOf(err) != kind || !strings.Contains(fmt.Sprint(err), tells) {
		s.t.Errorf("got %v, want an error of kind %s that says %q", err, kind, tells)
	}
}

func (s *shop) wantStale(err error) {
	s.t.Helper()
	if gathering.KindOf(err) != gathering.KindConflict || gathering.CodeOf(err) != gathering.CodePrecondition {
		s.t.Errorf("got %v, want that it was changed meanwhile", err)
	}
}

// wantStored holds that a pipeline is stored as a change returned it.
func (s *shop) wantStored(p gathering.Pipeline, err error) gathering.Pipeline {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	if stored, err := s.Pipeline(s.t.Context(), p.ID); err != nil || stored != p {
		s.t.Errorf("the change returned %+v, and %+v is stored (%v)", p, stored, err)
	}
	return p
}

func TestVersions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, s := t.Context(), openShop(t, db)
		first := s.wantStored(s.Create(ctx, gathering.DefaultProject, define("triage", 1)))
		if first.Published != 1 || first.Revision != 1 {
			t.Errorf("made: got %+v, want version 1 published", first)
		}
		_, err := s.Create(ctx, gathering.DefaultProject, define("triage", 2))
		s.wantKind(err, gathering.KindConflict, `has a pipeline "triage" already`)
		_, err = s.Create(ctx, "none", define("triage", 1))
		s.wantKind(err, gathering.KindNotFound, "there is no project none")

		draft, v, err := s.Add(ctx, first, define("triage", 2), pipeline.Change{})
		s.wantStored(draft, err)
		if draft.Published != 1 || draft.Revision != 2 || v.Number != 2 || v.Pipeline != first.ID || len(v.Hash) != 64 || !v.CreatedAt.Equal(draft.UpdatedAt) {
			t.Errorf("added: got %+v, %+v, want a version 2 that is not published", draft, v)
		}
		same, again, err := s.Add(ctx, first, define("triage", 2), pipeline.Change{Revision: 2})
		if err != nil || same != draft || again.Number != 2 || again.Hash != v.Hash {
			t.Errorf("added again: got %+v, %+v, %v, want version 2 of %+v", same, again, err, draft)
		}
		_, _, err = s.Add(ctx, first, define("triage", 3), pipeline.Change{Revision: 1})
		s.wantStale(err)
		_, _, err = s.Add(ctx, first, define("other", 3), pipeline.Change{})
		s.wantKind(err, gathering.KindInvalid, "has another name than the pipeline")
		third, v, err := s.Add(ctx, first, define("triage", 3), pipeline.Change{Revision: 2, Publish: true})
		s.wantStored(third, err)
		if third.Published != 3 || third.Revision != 3 || v.Number != 3 {
			t.Errorf("added and published: got %+v, %+v", third, v)
		}

		back := s.wantStored(s.Rollback(ctx, first.ID, 3))
		if back.Published != 2 || back.Revision != 4 || !back.UpdatedAt.After(third.UpdatedAt) {
			t.Errorf("rolled back: got %+v, want version 2", back)
		}
		_, err = s.Rollback(ctx, first.ID, 3)
		s.wantStale(err)
		if back = s.wantStored(s.Rollback(ctx, first.ID, 0)); back.Published != 1 {
			t.Errorf("rolled back again: got %+v, want version 1", back)
		}
		_, err = s.Rollback(ctx, first.ID, 0)
		s.wantKind(err, gathering.KindConflict, "there is no version before 1")

		published := s.wantStored(s.Publish(ctx, first.ID, 3, 5))
		if published.Published != 3 || published.Revision != 6 {
			t.Errorf("published: got %+v, want version 3", published)
		}
		if same := s.wantStored(s.Publish(ctx, first.ID, 3, 0)); same != published {
			t.Errorf("published again: got %+v, want %+v", same, published)
		}
		_, err = s.Publish(ctx, first.ID, 2, 5)
		s.wantStale(err)
		for _, number := range []int{0, -1, 4} {
			_, err = s.Publish(ctx, first.ID, number, 0)
			s.wantKind(err, gathering.KindNotFound, "has no such version")
		}
		_, err = s.Publish(ctx, "pip_none", 1, 0)
		s.wantKind(err, gathering.KindNotFound, "there is no pipeline pip_none")
		_, err = s.Rollback(ctx, "pip_none", 0)
		s.wantKind(err, gathering.KindNotFound, "there is no pipeline pip_none")

		if diff := cmp.Diff([]string{
			"1 pipeline.created triage 1", "2 pipeline.updated triage 2", "3 pipeline.updated triage 3",
			"4 pipeline.updated triage 2", "5 pipeline.updated triage 1", "6 pipeline.updated triage 3",
		}, s.events(first.ID)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		for number := 1; number <= 3; number++ {
			v, err := s.Version(ctx, first.ID, number)
			if err != nil || v.Number != number || !strings.Contains(string(v.Document), fmt.Sprintf(`"content":%d`, number)) {
				t.Errorf("version %d: got %+v, %v: %s", number, v, err, v.Document)
			}
		}
		_, err = s.Version(ctx, first.ID, 4)
		s.wantKind(err, gathering.KindNotFound, "has no such version")
	})
}

func TestDelete(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, s := t.Context(), openShop(t, db)
		first := s.wantStored(s.Create(ctx, gathering.DefaultProject, define("triage", 1)))
		s.wantStale(s.Delete(ctx, first.ID, 7))
		s.wantKind(s.Delete(ctx, "pip_none", 0), gathering.KindNotFound, "there is no pipeline pip_none")
		if err := s.Delete(ctx, first.ID, 1); err != nil {
			t.Fatal(err)
		}
		gone, err := s.Pipeline(ctx, first.ID)
		if err != nil || gone.DeletedAt == nil || !gone.DeletedAt.Equal(gone.UpdatedAt) || gone.Revision != 2 || gone.Name != "triage" {
			t.Errorf("deleted: got %+v, %v", gone, err)
		}
		if v, err := s.Version(ctx, first.ID, 1); err != nil || v.Number != 1 {
			t.Errorf("its version: got %+v, %v, want it for the runs there were", v, err)
		}
		_, err = s.ByName(ctx, gathering.DefaultProject, "triage")
		s.wantKind(err, gathering.KindNotFound, "there is no pipeline")
		if list, err := s.Pipelines(ctx, pipeline.Filter{Limit: 10}); err != nil || len(list) != 0 {
			t.Errorf("listed: got %+v, %v", list, err)
		}
		s.wantKind(s.Delete(ctx, first.ID, 0), gathering.KindConflict, "was deleted")
		_, err = s.Publish(ctx, first.ID, 1, 0)
		s.wantKind(err, gathering.KindConflict, "was deleted")
		_, err = s.Rollback(ctx, first.ID, 0)
		s.wantKind(err, gathering.KindConflict, "was deleted")
		_, _, err = s.Add(ctx, first, define("triage", 2), pipeline.Change{})
		s.wantKind(err, gathering.KindConflict, "was deleted")

		// The name is free, and what takes it is another pipeline.
		next := s.wantStored(s.Create(ctx, gathering.DefaultProject, define("triage", 2)))
		if next.ID == first.ID || next.Published != 1 || next.DeletedAt != nil {
			t.Errorf("made again: got %+v", next)
		}
		_, _, err = s.Add(ctx, first, define("triage", 3), pipeline.Change{})
		s.wantKind(err, gathering.KindConflict, "was deleted")
		if versions, err := s.Versions(ctx, next.ID, 0, 10); err != nil || len(versions) != 1 {
			t.Errorf("the other one's versions: got %+v, %v", versions, err)
		}
		if err := s.Delete(ctx, next.ID, 0); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"1 pipeline.created triage 1", "2 pipeline.deleted triage 1"}, s.events(first.ID)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// TestSaveBesideDelete has a pipeline deleted while somebody saves it: what is
// saved is a version of it or of one that takes its name, never lost.
func TestSaveBesideDelete(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, s := t.Context(), openShop(t, db)
		for i := range 200 {
			p := s.wantStored(s.Save(ctx, gathering.DefaultProject, define("triage", i)))
			var both sync.WaitGroup
			both.Go(func() {
				if err := s.Delete(ctx, p.ID, 0); err != nil {
					t.Error(err)
				}
			})
			both.Go(func() {
				if saved, err := s.Save(ctx, gathering.DefaultProject, define("triage", -i-1)); err != nil || saved.Published == 0 {
					t.Errorf("saved %+v, %v", saved, err)
				}
			})
			both.Wait()
		}
	})
}

func TestListOfVersions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := openShop(t, db)
		p := s.save("triage", 1)
		for content := 2; content <= 5; content++ {
			s.save("triage", content)
		}
		s.save("other", 1)
		for _, test := range []struct {
			before, limit int
			want          string
		}{{0, 10, "5 4 3 2 1"}, {0, 2, "5 4"}, {4, 2, "3 2"}, {2, 2, "1"}, {1, 2, ""}} {
			list, err := s.Versions(t.Context(), p.ID, test.before, test.limit)
			if err != nil {
				t.Fatal(err)
			}
			var numbers []string
			for _, v := range list {
				numbers = append(numbers, fmt.Sprint(v.Number))
				if len(v.Document) > 0 || v.Pipeline != p.ID || len(v.Hash) != 64 || v.CreatedAt.Before(begin) {
					t.Errorf("got %+v", v)
				}
			}
			if got := strings.Join(numbers, " "); got != test.want {
				t.Errorf("%d before %d: got %q, want %q", test.limit, test.before, got, test.want)
			}
		}
	})
}

func TestListOfPipelines(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := openShop(t, db)
		var ids []gathering.PipelineID
		for _, project := range []gathering.ProjectID{"one", "two", "one-two"} {
			s.project(project)
			for _, name := range []string{"b", "a"} {
				p, err := s.Create(t.Context(), project, define(name, 1))
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, p.ID)
			}
		}
		for _, test := range []struct {
			filter pipeline.Filter
			want   []int // of ids
		}{
			{pipeline.Filter{Limit: 10}, []int{0, 1, 2, 3, 4, 5}},
			{pipeline.Filter{Limit: 4}, []int{0, 1, 2, 3}},
			{pipeline.Filter{Limit: 4, After: ids[3]}, []int{4, 5}},
			{pipeline.Filter{Limit: 10, Name: "a"}, []int{1, 3, 5}},
			{pipeline.Filter{Limit: 10, Projects: []gathering.ProjectID{}}, nil},
			{pipeline.Filter{Limit: 10, Projects: []gathering.ProjectID{"two"}}, []int{2, 3}},
			{pipeline.Filter{Limit: 10, Projects: []gathering.ProjectID{"one-two", "one", "none"}}, []int{0, 1, 4, 5}},
			{pipeline.Filter{Limit: 10, Projects: []gathering.ProjectID{"one", "two"}, Name: "b", After: ids[0]}, []int{2}},
			{pipeline.Filter{Limit: 10, Name: "c"}, nil},
		} {
			list, err := s.Pipelines(t.Context(), test.filter)
			if err != nil {
				t.Fatal(err)
			}
			var got, want []gathering.PipelineID
			for _, p := range list {
				got = append(got, p.ID)
			}
			for _, i := range test.want {
				want = append(want, ids[i])
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", test.filter, diff)
			}
		}
	})
}

// TestRepeatedRequests makes each change twice under one key: it happens once,
// and the answers are the same.
func TestRepeatedRequests(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := openShop(t, db)
		twice := func(what string, change func(ctx context.Context) (gathering.Pipeline, error)) gathering.Pipeline {
			t.Helper()
			key, err := once.NewKey(once.Request{Who: "usr_ann", Key: what, What: what}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			var answers [2]gathering.Pipeline
			for i := range answers {
				if answers[i], err = change(once.With(t.Context(), key)); err != nil {
					t.Fatalf("%s, time %d: %v", what, i+1, err)
				}
			}
			if diff := cmp.Diff(answers[0], answers[1]); diff != "" {
				t.Errorf("%s: the answers differ:\n%s", what, diff)
			}
			return s.wantStored(answers[1], nil)
		}
		p := twice("create", func(ctx context.Context) (gathering.Pipeline, error) {
			return s.Create(ctx, gathering.DefaultProject, define("triage", 1))
		})
		twice("add", func(ctx context.Context) (gathering.Pipeline, error) {
			added, v, err := s.Add(ctx, p, define("triage", 2), pipeline.Change{Revision: 1, Publish: true})
			if v.Number != 2 {
				t.Errorf("added version %d, want 2", v.Number)
			}
			return added, err
		})
		twice("roll back", func(ctx context.Context) (gathering.Pipeline, error) { return s.Rollback(ctx, p.ID, 2) })
		twice("publish", func(ctx context.Context) (gathering.Pipeline, error) { return s.Publish(ctx, p.ID, 2, 3) })
		if got := s.events(p.ID); len(got) != 4 {
			t.Errorf("got %q, want one event of each change", got)
		}
	})
}

// TestWhoChangedAPipeline holds that events and the audit trail tell who did what.
func TestWhoChangedAPipeline(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := openShop(t, db)
		ctx := audit.WithCaller(t.Context(), audit.Caller{Actor: "usr_ann", Name: "ann@example.com"})
		p, err := s.Create(ctx, gathering.DefaultProject, define("triage", 1))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Add(ctx, p, define("triage", 2), pipeline.Change{}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Publish(ctx, p.ID, 2, 0); err != nil {
			t.Fatal(err)
		}
		entries, err := audit.Entries(t.Context(), db.Read(), gathering.AuditFilter{Object: string(p.ID)})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, fmt.Sprintf("%s %s in %s: %s", e.ActorName, e.Action, e.Project, e.Reason))
		}
		if diff := cmp.Diff([]string{
			"ann@example.com pipeline.updated in default: version 2, published 2",
			"ann@example.com pipeline.updated in default: version 2, published 1",
			"ann@example.com pipeline.created in default: version 1, published 1",
		}, got); diff != "" {
			t.Errorf("audit entries (-want +got):\n%s", diff)
		}
		var data gathering.PipelineChangedData
		log := s.log(p.ID)
		if err := json.Unmarshal(log[len(log)-1].Data, &data); err != nil {
			t.Fatal(err)
		}
		if want := (gathering.PipelineChangedData{Name: "triage", Version: 2, Published: 2, By: "ann@example.com"}); data != want {
			t.Errorf("the last event says %+v, want %+v", data, want)
		}
	})
}
