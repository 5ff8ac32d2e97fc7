package project_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/event"
	"gathering/internal/once"
	"gathering/internal/pipeline"
	"gathering/internal/project"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var begin = time.Date(2026, 1, 2, 3, 4, 5, 123_456_789, time.UTC)

// office is a store of projects whose clock goes on by a second at each look.
type office struct {
	t *testing.T
	*project.Store

	ctx     context.Context //nolint:containedctx // of Ann's request
	changed atomic.Int64    // how often memberships were said to have changed
}

func openOffice(t *testing.T, db *store.DB) *office {
	t.Helper()
	var seconds atomic.Int64
	o := &office{t: t, ctx: audit.WithCaller(t.Context(), audit.Caller{Actor: "usr_ann", Name: "ann@example.com"})}
	o.Store = &project.Store{
		DB: db, Changed: func() { o.changed.Add(1) },
		Now: func() time.Time { return begin.Add(time.Duration(seconds.Add(1)) * time.Second) },
	}
	return o
}

func (o *office) create(id gathering.ProjectID) gathering.Project {
	o.t.Helper()
	p, err := o.Create(o.ctx, id, "", "")
	if err != nil {
		o.t.Fatal(err)
	}
	return p
}

// user stores a user, as much of one as members need.
func (o *office) user(id gathering.UserID, name string) {
	o.t.Helper()
	err := o.DB.Tx(o.t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(o.t.Context(), `INSERT INTO users (id, email, name, role, active, password, revision, seq, created_at, updated_at)
			VALUES ($1, $2, $3, 'none', 1, '', 1, 1, 1, 1)`, string(id), strings.ToLower(name)+"@example.com", name)
		return err
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

// events are those of a project's log with what they say, as "1 project.created …".
func (o *office) events(id gathering.ProjectID) []string {
	o.t.Helper()
	rows, err := o.DB.Read().Query(o.t.Context(), `SELECT stream, seq, at, version, rows FROM noun_log WHERE stream = $1 ORDER BY seq`, "project:"+string(id))
	if err != nil {
		o.t.Fatal(err)
	}
	var list []string
	err = rows.Each(func(row store.Scanner) error {
		var r event.Row
		if err := row.Scan(&r.Stream, &r.Seq, &r.At, &r.Version, &r.Rows); err != nil {
			return err
		}
		events, err := event.Unpack(o.t.Context(), r, nil)
		for _, e := range events {
			list = append(list, fmt.Sprintf("%d %s %s", e.Seq, e.Type, e.Data))
		}
		return err
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return list
}

func (o *office) wantEvents(id gathering.ProjectID, want ...string) {
	o.t.Helper()
	if diff := cmp.Diff(want, o.events(id)); diff != "" {
		o.t.Errorf("events of %s (-want +got):\n%s", id, diff)
	}
}

// entries are those of the audit trail about a project, the oldest first.
func (o *office) entries(id gathering.ProjectID) []string {
	o.t.Helper()
	found, err := audit.Entries(o.t.Context(), o.DB.Read(), gathering.AuditFilter{Projects: []gathering.ProjectID{id}})
	if err != nil {
		o.t.Fatal(err)
	}
	list := make([]string, len(found))
	for i, e := range found {
		list[len(found)-1-i] = strings.TrimSpace(fmt.Sprintf("%s %s %s %s", e.ActorName, e.Action, e.Object, e.Reason))
	}
	return list
}

func wantKind(t *testing.T, err error, kind gathering.Kind, tells string) {
	t.Helper()
	if gathering.KindOf(err) != kind || !strings.Contains(fmt.Sprint(err), tells) {
		t.Errorf("got %v, want an error of kind %s that says %q", err, kind, tells)
	}
}

func TestProjects(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		o := openOffice(t, db)
		made, err := o.Create(o.ctx, "web-shop_2", "  The shop ", "Sells.\nAnd ships.")
		if err != nil {
			t.Fatal(err)
		}
		moment := begin.Add(time.Second).Truncate(time.Microsecond)
		want := gathering.Project{ID: "web-shop_2", Name: "The shop", Description: "Sells.\nAnd ships.", Revision: 1, CreatedAt: moment, UpdatedAt: moment}
		if diff := cmp.Diff(want, made); diff != "" {
			t.Errorf("made (-want +got):\n%s", diff)
		}
		_, err = o.Create(o.ctx, "web-shop_2", "Another", "")
		wantKind(t, err, gathering.KindConflict, "there is a project web-shop_2 already")

		name, nothing := "Shop", ""
		changed, err := o.Update(o.ctx, "web-shop_2", project.Update{Name: &name, Description: &nothing, Revision: 1})
		if err != nil {
			t.Fatal(err)
		}
		want.Name, want.Description, want.Revision, want.UpdatedAt = "Shop", "", 2, changed.UpdatedAt
		if diff := cmp.Diff(want, changed); diff != "" || !changed.UpdatedAt.After(moment) {
			t.Errorf("changed (-want +got):\n%s", diff)
		}
		if same, err := o.Update(o.ctx, "web-shop_2", project.Update{Name: &name}); err != nil || same != changed {
			t.Errorf("changed to the same: got %+v, %v, want %+v", same, err, changed)
		}
		if read, err := o.Project(o.ctx, "web-shop_2"); err != nil || read != changed {
			t.Errorf("read: got %+v, %v, want %+v", read, err, changed)
		}
		_, err = o.Update(o.ctx, "web-shop_2", project.Update{Name: &nothing, Revision: 1})
		wantKind(t, err, gathering.KindConflict, "changed by somebody else")
		if gathering.CodeOf(err) != gathering.CodePrecondition {
			t.Errorf("got code %q of a stale revision", gathering.CodeOf(err))
		}
		_, err = o.Update(o.ctx, "web-shop_2", project.Update{Name: &nothing})
		wantKind(t, err, gathering.KindInvalid, "name must be")
		wantKind(t, o.Delete(o.ctx, "web-shop_2", 1), gathering.KindConflict, "changed by somebody else")
		if err := o.Delete(o.ctx, "web-shop_2", 2); err != nil {
			t.Error(err)
		}
		for what, err := range map[string]error{
			"read":   func() error { _, err := o.Project(o.ctx, "web-shop_2"); return err }(),
			"change": func() error { _, err := o.Update(o.ctx, "web-shop_2", project.Update{Name: &name}); return err }(),
			"delete": o.Delete(o.ctx, "web-shop_2", 0),
		} {
			if gathering.KindOf(err) != gathering.KindNotFound {
				t.Errorf("%s one that was deleted: got %v", what, err)
			}
		}
		// One of the same ID is another one, and its events follow.
		o.create("web-shop_2")
		o.wantEvents("web-shop_2",
			`1 project.created {"name":"The shop","by":"ann@example.com"}`, `2 project.updated {"name":"Shop","by":"ann@example.com"}`,
			`3 project.deleted {"name":"Shop","by":"ann@example.com"}`, `4 project.created {"name":"web-shop_2","by":"ann@example.com"}`)
		if diff := cmp.Diff([]string{
			"ann@example.com project.created project:web-shop_2", "ann@example.com project.updated project:web-shop_2",
			"ann@example.com project.deleted project:web-shop_2", "ann@example.com project.created project:web-shop_2",
		}, o.entries("web-shop_2")); diff != "" {
			t.Errorf("audit entries (-want +got):\n%s", diff)
		}
	})
}

func TestWhatAProjectMayBe(t *testing.T) {
	t.Parallel()
	o := openOffice(t, storetest.Open(t, storetest.SQLite(t)))
	tests := []struct {
		id                       gathering.ProjectID
		name, description, field string // field "" is that it may be so
	}{
		{"a", "", "", ""},
		{gathering.ProjectID("a" + strings.Repeat("b", 62)), strings.Repeat("n", 200), strings.Repeat("d", 4000), ""},
		{"b", "Größe ☃", "line\nline\ttab", ""},
		{"", "n", "", "id"},
		{"1a", "n", "", "id"},
		{"-a", "n", "", "id"},
		{"A", "n", "", "id"},
		{"a b", "n", "", "id"},
		{"a/b", "n", "", "id"},
		{"a\n", "n", "", "id"},
		{`a"b`, "n", "", "id"},
		{"ä", "n", "", "id"},
		{gathering.ProjectID("a" + strings.Repeat("b", 63)), "n", "", "id"},
		{"c", strings.Repeat("n", 201), "", "name"},
		{"c", "a\nb", "", "name"},
		{"c", "a\x00b", "", "name"},
		{"c", "a\xff", "", "name"},
		{"c", "n", strings.Repeat("d", 4001), "description"},
		{"c", "n", "a\x00b", "description"},
		{"c", "n", "a\xff", "description"},
	}
	for _, test := range tests {
		_, err := o.Create(o.ctx, test.id, test.name, test.description)
		field := ""
		if e, ok := errors.AsType[*gathering.Error](err); ok && e.Kind == gathering.KindInvalid && len(e.Fields) == 1 {
			field = e.Fields[0].Field
		}
		if field != test.field || (err == nil) != (test.field == "") {
			t.Errorf("%q, name of %d bytes, description of %d: got %v, want a fault of %q", test.id, len(test.name), len(test.description), err, test.field)
		}
	}
	if err := o.Ensure(o.ctx, "My Project"); gathering.KindOf(err) != gathering.KindInvalid {
		t.Errorf("ensure: got %v, want a refusal", err)
	}
}

func TestListOfProjects(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		o := openOffice(t, db)
		for _, id := range []gathering.ProjectID{"b", "ab", "a", "a-b", "c"} {
			o.create(id)
		}
		for _, test := range []struct {
			of    []gathering.ProjectID
			after gathering.ProjectID
			limit int
			want  string
		}{
			{nil, "", 100, "a a-b ab b c default"},
			{nil, "", 2, "a a-b"},
			{nil, "a-b", 2, "ab b"},
			{nil, "default", 2, ""},
			{[]gathering.ProjectID{}, "", 100, ""},
			{[]gathering.ProjectID{"a"}, "", 100, "a"},
			{[]gathering.ProjectID{"c", "none", "ab"}, "", 100, "ab c"},
			{[]gathering.ProjectID{"c", "none", "ab"}, "ab", 100, "c"},
		} {
			list, err := o.Projects(o.ctx, test.of, test.after, test.limit)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, p := range list {
				ids = append(ids, string(p.ID))
			}
			if got := strings.Join(ids, " "); got != test.want {
				t.Errorf("%d of %v after %q: got %q, want %q", test.limit, test.of, test.after, got, test.want)
			}
		}
	})
}

// TestEnsureAtOnce has many make sure of a project: it is made once.
func TestEnsureAtOnce(t *testing.T) {
	t.Parallel()
	const many = 8
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		o := openOffice(t, open(store.Options{Connections: many + 2}))
		var all sync.WaitGroup
		var made atomic.Int64
		for i := range many {
			all.Go(func() {
				if err := o.Ensure(o.ctx, "one"); err != nil {
					t.Error(err)
				}
				_, err := o.Create(o.ctx, "two", fmt.Sprint(i), "")
				switch {
				case err == nil:
					made.Add(1)
				case gathering.KindOf(err) != gathering.KindConflict:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if made.Load() != 1 {
			t.Errorf("%d made the same project, want one", made.Load())
		}
		if got := o.events("one"); len(got) != 1 {
			t.Errorf("got %v, want one event", got)
		}
		if got := o.events("two"); len(got) != 1 {
			t.Errorf("got %v, want one event", got)
		}
	})
}

func TestWhatAProjectHolds(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		o := openOffice(t, db)
		wantKind(t, o.Delete(o.ctx, gathering.DefaultProject, 0), gathering.KindConflict, "default project")
		o.create("full")
		o.user("usr_1", "Bob")
		if _, err := o.SetMember(o.ctx, "full", "usr_1", []gathering.Role{gathering.RoleViewer}); err != nil {
			t.Fatal(err)
		}
		pipelines := &pipeline.Store{DB: db, Now: o.Now}
		def := &gathering.Definition{Name: "p", Nodes: []gathering.Node{{ID: "start", Kind: "trigger"}}}
		p, err := pipelines.Save(o.ctx, "full", def)
		if err != nil {
			t.Fatal(err)
		}
		wantKind(t, o.Delete(o.ctx, "full", 0), gathering.KindConflict, "holds pipelines or runs")
		change(t, db, `INSERT INTO runs (id, project, pipeline, version, state, epoch, inbox, crashes, priority, queue, labels, root_run, depth, min_engine, created_at)
			SELECT 'run_1', project, id, 1, 'completed', 1, 0, 0, 0, 'q', '{}', 'run_1', 0, 1, 1 FROM pipelines WHERE project = 'full'`)
		if err := pipelines.Delete(o.ctx, p.ID, 0); err != nil {
			t.Fatal(err)
		}
		wantKind(t, o.Delete(o.ctx, "full", 0), gathering.KindConflict, "holds pipelines or runs")
		change(t, db, `DELETE FROM runs`)
		if err := o.Delete(o.ctx, "full", 0); err != nil {
			t.Fatal(err)
		}
		var left int
		if err := db.Read().QueryRow(o.ctx, `SELECT (SELECT count(*) FROM pipelines) + (SELECT count(*) FROM pipeline_versions)`).Scan(&left); err != nil || left > 0 {
			t.Errorf("%d rows are left of the pipeline, %v", left, err)
		}
		o.create("full")
		if members, err := o.Members(o.ctx, "full", "", 10); err != nil || len(members) > 0 {
			t.Errorf("a project of the same ID has the members of the one before: %v, %v", members, err)
		}
	})
}

func change(t *testing.T, db *store.DB, query string, args ...any) {
	t.Helper()
	err := db.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(t.Context(), query, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// meeting has a change come to its commit and wait there until another one has
// been made, or has waited for it.
type meeting struct {
	armed         atomic.Bool
	arrived, left chan struct{}
}

func (m *meeting) commit(_ context.Context, commit func() error) error {
	if m.armed.CompareAndSwap(true, false) {
		close(m.arrived)
		select {
		case <-m.left:
		case <-time.After(200 * time.Millisecond):
		}
	}
	return commit()
}

// meet makes two changes at once and returns what they came to.
func (m *meeting) meet(ctx context.Context, first, second func(ctx context.Context) error) (one, two error) {
	m.arrived, m.left = make(chan struct{}), make(chan struct{})
	m.armed.Store(true)
	var both sync.WaitGroup
	both.Go(func() { one = first(ctx) })
	<-m.arrived
	both.Go(func() {
		two = second(ctx)
		close(m.left)
	})
	both.Wait()
	return one, two
}

// TestPipelineOfAProjectThatIsDeleted saves a pipeline while its project is
// deleted, and the other way round: none is left in a project that is not there.
func TestPipelineOfAProjectThatIsDeleted(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		var m meeting
		db := open(store.Options{Commit: m.commit})
		o := openOffice(t, db)
		pipelines := &pipeline.Store{DB: db, Now: o.Now}
		in := func(id gathering.ProjectID) (save, del func(ctx context.Context) error) {
			o.create(id)
			return func(ctx context.Context) error {
				def := &gathering.Definition{Name: "p", Nodes: []gathering.Node{{ID: "start", Kind: "trigger"}}}
				_, err := pipelines.Save(ctx, id, def)
				return err
			}, func(ctx context.Context) error { return o.Delete(ctx, id, 0) }
		}
		save, del := in("kept")
		saved, deleted := m.meet(o.ctx, save, del)
		if saved != nil {
			t.Error(saved)
		}
		wantKind(t, deleted, gathering.KindConflict, "holds pipelines or runs")

		save, del = in("gone")
		deleted, saved = m.meet(o.ctx, del, save)
		if deleted != nil {
			t.Error(deleted)
		}
		wantKind(t, saved, gathering.KindNotFound, "there is no project gone")
	})
}

func TestMembers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		o := openOffice(t, db)
		o.create("work")
		o.create("other")
		o.user("usr_1", "Bob")
		o.user("usr_2", "Eve")
		set := func(id gathering.ProjectID, user gathering.UserID, roles ...gathering.Role) gathering.Member {
			t.Helper()
			m, err := o.SetMember(o.ctx, id, user, roles)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		bob := set("work", "usr_1", gathering.RoleViewer, gathering.RoleEditor, gathering.RoleViewer)
		want := gathering.Member{
			User: "usr_1", Email: "bob@example.com", Name: "Bob", Roles: []gathering.Role{gathering.RoleEditor, gathering.RoleViewer},
			CreatedAt: bob.CreatedAt, UpdatedAt: bob.CreatedAt,
		}
		if diff := cmp.Diff(want, bob); diff != "" || bob.CreatedAt.Before(begin) {
			t.Errorf("member (-want +got):\n%s", diff)
		}
		eve := set("work", "usr_2", gathering.RoleAdmin)
		set("other", "usr_2", gathering.RoleViewer)
		promoted := set("work", "usr_1", gathering.RoleOperator)
		if !promoted.CreatedAt.Equal(bob.CreatedAt) || !promoted.UpdatedAt.After(bob.UpdatedAt) || len(promoted.Roles) != 1 {
			t.Errorf("got %+v, want other roles and no other", promoted)
		}
		for _, test := range []struct {
			after gathering.UserID
			limit int
			want  []gathering.Member
		}{
			{"", 10, []gathering.Member{promoted, eve}},
			{"", 1, []gathering.Member{promoted}},
			{"usr_1", 10, []gathering.Member{eve}},
			{"usr_2", 10, nil},
		} {
			got, err := o.Members(o.ctx, "work", test.after, test.limit)
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("%d after %q: %v (-want +got):\n%s", test.limit, test.after, err, diff)
			}
		}
		if got, err := o.Member(o.ctx, "work", "usr_2"); err != nil || !cmp.Equal(got, eve) {
			t.Errorf("got %+v, %v, want %+v", got, err, eve)
		}
		before := o.changed.Load()
		if err := o.DeleteMember(o.ctx, "work", "usr_2"); err != nil {
			t.Fatal(err)
		}
		if before != 4 || o.changed.Load() != 5 {
			t.Errorf("memberships were said to have changed %d and then %d times, want 4 and 5", before, o.changed.Load())
		}
		if _, err := o.Member(o.ctx, "other", "usr_2"); err != nil {
			t.Errorf("the membership in another project: %v", err)
		}
		o.wantEvents("work", `1 project.created {"name":"work","by":"ann@example.com"}`,
			`2 member.updated {"user":"usr_1","roles":["editor","viewer"],"by":"ann@example.com"}`,
			`3 member.updated {"user":"usr_2","roles":["admin"],"by":"ann@example.com"}`,
			`4 member.updated {"user":"usr_1","roles":["operator"],"by":"ann@example.com"}`,
			`5 member.deleted {"user":"usr_2","by":"ann@example.com"}`)
		if got, want := o.entries("work"), `ann@example.com member.updated project:work usr_1 ["operator"]`; len(got) != 5 || got[3] != want {
			t.Errorf("audit entries %q, want %q fourth", got, want)
		}
		if p, err := o.Project(o.ctx, "work"); err != nil || p.Revision != 1 {
			t.Errorf("got %+v, %v, want the first revision: members do not count", p, err)
		}
	})
}

func TestMembersThatCannotBe(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		o := openOffice(t, db)
		o.create("work")
		o.user("usr_1", "Bob")
		viewer := []gathering.Role{gathering.RoleViewer}
		for _, test := range []struct {
			name    string
			project gathering.ProjectID
			user    gathering.UserID
			roles   []gathering.Role
			kind    gathering.Kind
			tells   string
		}{
			{"no such project", "none", "usr_1", viewer, gathering.KindNotFound, "there is no project none"},
			{"no such user", "work", "usr_none", viewer, gathering.KindNotFound, "there is no user usr_none"},
			{"no role", "work", "usr_1", nil, gathering.KindInvalid, "roles must name at least one role"},
			{"the role of nobody", "work", "usr_1", []gathering.Role{gathering.RoleViewer, gathering.RoleNone}, gathering.KindInvalid, "roles[1] must be"},
			{"no such role", "work", "usr_1", []gathering.Role{"owner"}, gathering.KindInvalid, "roles[0] must be"},
		} {
			_, err := o.SetMember(o.ctx, test.project, test.user, test.roles)
			if gathering.KindOf(err) != test.kind || !strings.Contains(fmt.Sprint(err), test.tells) {
				t.Errorf("%s: got %v, want an error of kind %s that says %q", test.name, err, test.kind, test.tells)
			}
		}
		_, err := o.Member(o.ctx, "work", "usr_1")
		wantKind(t, err, gathering.KindNotFound, "project work has no member usr_1")
		wantKind(t, o.DeleteMember(o.ctx, "work", "usr_1"), gathering.KindNotFound, "project work has no member usr_1")
		wantKind(t, o.DeleteMember(o.ctx, "none", "usr_1"), gathering.KindNotFound, "there is no project none")
		o.wantEvents("work", `1 project.created {"name":"work","by":"ann@example.com"}`)
	})
}

// TestMembersAtOnce changes members from two sides: the log tells of each change
// once, in order.
func TestMembersAtOnce(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		var m meeting
		o := openOffice(t, open(store.Options{Commit: m.commit}))
		o.create("work")
		set := func(user gathering.UserID) func(ctx context.Context) error {
			o.user(user, string(user))
			return func(ctx context.Context) error {
				_, err := o.SetMember(ctx, "work", user, []gathering.Role{gathering.RoleViewer})
				return err
			}
		}
		one, two := m.meet(o.ctx, set("usr_1"), set("usr_2"))
		if one != nil || two != nil {
			t.Errorf("got %v and %v", one, two)
		}
		out := func(ctx context.Context) error { return o.DeleteMember(ctx, "work", "usr_1") }
		one, two = m.meet(o.ctx, out, out)
		if one != nil {
			t.Error(one)
		}
		wantKind(t, two, gathering.KindNotFound, "has no member usr_1")
		name := "Work"
		rename := func(ctx context.Context) error {
			_, err := o.Update(ctx, "work", project.Update{Name: &name, Revision: 1})
			return err
		}
		one, two = m.meet(o.ctx, rename, rename)
		if one != nil {
			t.Error(one)
		}
		wantKind(t, two, gathering.KindConflict, "changed by somebody else")
		for i, e := range o.events("work") {
			if !strings.HasPrefix(e, fmt.Sprint(i+1, " ")) {
				t.Errorf("event %d is %s", i+1, e)
			}
		}
		if got := len(o.events("work")); got != 5 {
			t.Errorf("the log tells of %d changes, want 5", got)
		}
	})
}

// TestRepeatedRequests makes each change twice under one key: it happens once,
// and the answers are the same.
func TestRepeatedRequests(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		o := openOffice(t, db)
		o.user("usr_1", "Bob")
		name := "Work"
		twice := func(what string, change func(ctx context.Context) (any, error)) {
			t.Helper()
			key, err := once.NewKey(once.Request{Who: "usr_ann", Key: what, What: what}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			var answers [2]string
			for i := range answers {
				answer, err := change(once.With(o.ctx, key))
				if err != nil {
					t.Fatalf("%s, time %d: %v", what, i+1, err)
				}
				text, err := json.Marshal(answer)
				if err != nil {
					t.Fatal(err)
				}
				answers[i] = string(text)
			}
			if answers[0] != answers[1] {
				t.Errorf("%s: got %s and then %s", what, answers[0], answers[1])
			}
		}
		twice("create", func(ctx context.Context) (any, error) { return o.Create(ctx, "work", "", "") })
		twice("update", func(ctx context.Context) (any, error) {
			return o.Update(ctx, "work", project.Update{Name: &name, Revision: 1})
		})
		twice("member", func(ctx context.Context) (any, error) {
			return o.SetMember(ctx, "work", "usr_1", []gathering.Role{gathering.RoleViewer})
		})
		twice("no member", func(ctx context.Context) (any, error) { return nil, o.DeleteMember(ctx, "work", "usr_1") })
		twice("delete", func(ctx context.Context) (any, error) { return nil, o.Delete(ctx, "work", 2) })
		if got := o.events("work"); len(got) != 5 {
			t.Errorf("got %q, want one event of each change", got)
		}
	})
}
