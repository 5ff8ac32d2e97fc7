package audit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/event"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func noon() time.Time { return time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC) }

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: noon()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// as returns a context of somebody's request.
func as(t *testing.T, actor string) context.Context {
	t.Helper()
	return audit.WithCaller(t.Context(), audit.Caller{
		Actor: actor, Name: actor + "@example.com", Credential: "ses_1", Address: "192.0.2.1", Agent: "curl/8", Request: "req_1",
	})
}

// record writes an entry in a transaction of its own.
func record(t *testing.T, db *store.DB, e gathering.AuditEntry, at time.Time) {
	t.Helper()
	if err := db.Tx(t.Context(), func(tx *store.Tx) error { return audit.Record(as(t, "usr_1"), tx, e, at) }); err != nil {
		t.Fatal(err)
	}
}

func entries(t *testing.T, db *store.DB, f gathering.AuditFilter) []gathering.AuditEntry {
	t.Helper()
	list, err := audit.Entries(t.Context(), db.Read(), f)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// exec runs statements in one transaction.
func exec(tb testing.TB, db *store.DB, statements ...string) {
	tb.Helper()
	err := db.Tx(tb.Context(), func(tx *store.Tx) error {
		for _, s := range statements {
			if _, err := tx.Exec(tb.Context(), s); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// number is the answer of a query that counts.
func number(t *testing.T, db *store.DB, query string) (n int64) {
	t.Helper()
	if err := db.Read().QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRecord(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		at := noon().Add(1234567 * time.Nanosecond).In(time.FixedZone("", 3600))
		record(t, db, gathering.AuditEntry{Action: "pipelines.write", Object: "pip_1", Project: "p"}, at)
		record(t, db, gathering.AuditEntry{
			Actor: "usr_2", Action: "auth.signed_in", Outcome: gathering.OutcomeDenied, Reason: "why", Times: 3,
		}, at)
		record(t, db, gathering.AuditEntry{ActorName: "nobody@example.com", Action: "auth.signed_in", Outcome: gathering.OutcomeFailed}, at)
		given := gathering.AuditEntry{
			At: noon().Add(1234 * time.Microsecond), Actor: "usr_1", ActorName: "usr_1@example.com", Credential: "ses_1",
			Address: "192.0.2.1", Agent: "curl/8", Request: "req_1",
			Action: "pipelines.write", Object: "pip_1", Project: "p", Outcome: gathering.OutcomeDone, Times: 1,
		}
		other, nobody := given, given
		other.Actor, other.ActorName, other.Credential, other.Object, other.Project = "usr_2", "", "", "", ""
		other.Action, other.Outcome, other.Reason, other.Times = "auth.signed_in", gathering.OutcomeDenied, "why", 3
		nobody.Actor, nobody.ActorName, nobody.Credential, nobody.Object, nobody.Project = "", "nobody@example.com", "", "", ""
		nobody.Action, nobody.Outcome = "auth.signed_in", gathering.OutcomeFailed
		got := entries(t, db, gathering.AuditFilter{})
		if diff := cmp.Diff([]gathering.AuditEntry{nobody, other, given}, got, cmpopts.IgnoreFields(gathering.AuditEntry{}, "ID")); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
		if got[0].ID <= got[1].ID || got[1].ID <= got[2].ID {
			t.Errorf("the IDs are %d, %d, %d, want the newest first", got[0].ID, got[1].ID, got[2].ID)
		}

		wrong := errors.New("wrong")
		err := db.Tx(t.Context(), func(tx *store.Tx) error {
			return errors.Join(audit.Record(as(t, "usr_1"), tx, gathering.AuditEntry{Action: "undone"}, noon()), wrong)
		})
		if !errors.Is(err, wrong) {
			t.Errorf("got %v", err)
		}
		if err := db.Tx(t.Context(), func(tx *store.Tx) error {
			return audit.Record(t.Context(), tx, gathering.AuditEntry{Action: "by the program itself"}, noon())
		}); err != nil {
			t.Error(err)
		}
		if got := len(entries(t, db, gathering.AuditFilter{})); got != 3 {
			t.Errorf("there are %d entries, want none of what was undone or nobody did", got)
		}
	})
}

// Whatever somebody says of themselves is stored, within bounds: it does not
// undo the change.
func TestHostileText(t *testing.T) {
	t.Parallel()
	texts := map[string]string{
		"a NUL": "a\x00b", "no UTF-8": "a\xff\xfeb", "a megabyte": strings.Repeat("x", 1<<20),
		"a megabyte of NULs": strings.Repeat("\x00", 1<<20), "a cut rune": strings.Repeat("x", 511) + "€",
		"SQL": `'; DROP TABLE audit; --`, "lines": "a\nb\r\n\t\x1b[31m",
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for name, text := range texts {
			who := audit.WithCaller(t.Context(), audit.Caller{Actor: text, Name: text, Credential: text, Address: text, Agent: text, Request: text})
			e := gathering.AuditEntry{
				Action: text, Object: text, Project: gathering.ProjectID(text), Outcome: gathering.Outcome(text), Reason: text,
			}
			for _, actor := range []string{"", text} {
				e.Actor, e.ActorName, e.Credential = actor, actor, actor
				if err := db.Tx(t.Context(), func(tx *store.Tx) error { return audit.Record(who, tx, e, noon()) }); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				got := entries(t, db, gathering.AuditFilter{Limit: 1})[0]
				for field, stored := range map[string]string{
					"actor": got.Actor, "name": got.ActorName, "credential": got.Credential, "address": got.Address, "agent": got.Agent,
					"request": got.Request, "action": got.Action, "object": got.Object, "project": string(got.Project),
					"outcome": string(got.Outcome), "reason": got.Reason,
				} {
					if len(stored) == 0 || len(stored) > 512 || !utf8.ValidString(stored) || !strings.HasPrefix(stored, text[:1]) && text[0] != 0 {
						t.Errorf("%s: the %s is %d bytes, %.20q", name, field, len(stored), stored)
					}
				}
			}
		}
		if got := entries(t, db, gathering.AuditFilter{Object: texts["SQL"]}); len(got) != 2 || got[0].Reason != texts["SQL"] {
			t.Errorf("text that fits was changed: %v", got)
		}
	})
}

func TestEntries(t *testing.T) {
	t.Parallel()
	type filter = gathering.AuditFilter
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for i, e := range []gathering.AuditEntry{
			1: {Actor: "usr_1", ActorName: "ann@example.com", Action: "runs.cancel", Object: "run_1", Project: "a_b"},
			2: {Actor: "usr_2", ActorName: "bob@example.com", Action: "runs.cancel", Object: "run_1", Project: "axb", Outcome: "denied"},
			3: {Actor: "usr_1", ActorName: "ann@example.org", Action: "users.write", Object: "usr_2"},
			4: {ActorName: "ann@example.com", Action: "auth.signed_in", Outcome: "failed"},
			5: {Actor: "usr_2", ActorName: "bob@example.com", Action: "runs.cancel", Object: "run_2", Project: "%"},
			6: {Actor: "usr_2", ActorName: "bob@example.com", Action: "runs.cancel", Object: "run_2", Project: `a_b","axb`},
			7: {Actor: "usr_2", ActorName: "bob@example.com", Action: "runs.cancel", Object: "run_2", Project: ","},
			8: {Actor: "usr_2", ActorName: "bob@example.com", Action: "runs.cancel", Object: "run_2", Project: `"`},
			9: {Actor: "usr_2", ActorName: "bob@example.com", Action: "runs.cancel", Object: "run_2", Project: `a\b`},
		} {
			if i > 0 {
				record(t, db, e, noon().Add(time.Duration(i)*time.Minute))
			}
		}
		minute := func(n int) time.Time { return noon().Add(time.Duration(n) * time.Minute) }
		projects := func(ids ...gathering.ProjectID) []gathering.ProjectID { return append([]gathering.ProjectID{}, ids...) }
		tests := []struct {
			name   string
			filter filter
			want   []int64
		}{
			{"nothing", filter{}, []int64{9, 8, 7, 6, 5, 4, 3, 2, 1}},
			{"an actor", filter{Actor: "usr_1"}, []int64{3, 1}},
			{"an actor's name", filter{Actor: "ann@example.com"}, []int64{4, 1}},
			{"an action", filter{Action: "users.write"}, []int64{3}},
			{"an object", filter{Object: "run_1"}, []int64{2, 1}},
			{"an outcome", filter{Outcome: "failed"}, []int64{4}},
			{"since", filter{Since: minute(8)}, []int64{9, 8}},
			{"till", filter{Till: minute(2)}, []int64{1}},
			{"since and till", filter{Since: minute(2), Till: minute(4)}, []int64{3, 2}},
			{"before", filter{Before: 3}, []int64{2, 1}},
			{"before the first", filter{Before: 1}, nil},
			{"before what there will never be", filter{Before: 1 << 62}, []int64{9, 8, 7, 6, 5, 4, 3, 2, 1}},
			{"a limit", filter{Limit: 2}, []int64{9, 8}},
			{"a limit below 0", filter{Limit: -1}, []int64{9, 8, 7, 6, 5, 4, 3, 2, 1}},
			{"a limit beyond all bounds", filter{Limit: 1 << 40}, []int64{9, 8, 7, 6, 5, 4, 3, 2, 1}},
			{"all", filter{
				Actor: "usr_2", Action: "runs.cancel", Object: "run_1", Outcome: "denied", Projects: projects("axb"),
				Since: minute(2), Till: minute(3), Before: 3, Limit: 5,
			}, []int64{2}},
			{"all, one of them another", filter{Actor: "usr_2", Action: "runs.cancel", Object: "run_1", Outcome: "done", Projects: projects("axb")}, nil},
			{"no project", filter{Projects: projects()}, nil},
			{"a project", filter{Projects: projects("axb")}, []int64{2}},
			{"a project with an underscore", filter{Projects: projects("a_b")}, []int64{1}},
			{"two projects", filter{Projects: projects("a_b", "axb")}, []int64{2, 1}},
			{"a project with a wildcard", filter{Projects: projects("%")}, []int64{5}},
			{"a project that is a part", filter{Projects: projects("a", "b", "x")}, nil},
			{"a project with a quote", filter{Projects: projects(`a_b","axb`, `"`)}, nil},
			{"a project with a backslash", filter{Projects: projects(`a\b`)}, []int64{9}},
			{"a project without a name", filter{Projects: projects("")}, nil},
			{"wildcards", filter{Actor: "usr_%", Action: "%", Object: "run__"}, nil},
			{"SQL", filter{Object: `' OR 1=1 --`}, nil},
		}
		for _, test := range tests {
			var got []int64
			for _, e := range entries(t, db, test.filter) {
				got = append(got, e.ID)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.name, diff)
			}
		}
		for name, f := range map[string]filter{
			"a NUL": {Actor: "a\x00"}, "no UTF-8": {Object: "\xff"}, "a project with a NUL": {Projects: projects("\x00")},
		} {
			if _, err := audit.Entries(t.Context(), db.Read(), f); gathering.KindOf(err) != gathering.KindInvalid {
				t.Errorf("%s: got %v, want it invalid", name, err)
			}
		}
	})
}

// Reading on from the last entry misses none, whatever is written meanwhile.
func TestPaging(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var b store.Batch
		list := make([]gathering.AuditEntry, 603)
		for i := range list {
			list[i] = audit.Caller{Actor: "usr_1"}.By(gathering.AuditEntry{Action: "read"}, noon())
		}
		audit.Add(&b, list)
		if err := db.Run(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		if got := len(entries(t, db, gathering.AuditFilter{})); got != 50 {
			t.Errorf("without a limit there are %d, want 50", got)
		}
		var got, want []int64
		for page := (gathering.AuditFilter{Limit: 1000}); ; {
			list := entries(t, db, page)
			if len(list) == 0 {
				break
			}
			if len(list) > 500 {
				t.Fatalf("a page has %d", len(list))
			}
			for _, e := range list {
				got = append(got, e.ID)
			}
			page.Before = list[len(list)-1].ID
			record(t, db, gathering.AuditEntry{Action: "meanwhile"}, noon())
		}
		for id := int64(603); id > 0; id-- {
			want = append(want, id)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("all pages (-want +got):\n%s", diff)
		}
	})
}

// What happens is in the trail and in the log of its object, or in neither.
func TestTell(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		tell := func(ctx context.Context, seq int64, then error) {
			t.Helper()
			err := db.Tx(t.Context(), func(tx *store.Tx) error {
				e := gathering.Event{Stream: "usr_9", Seq: seq, Type: gathering.EventUserUpdated, At: noon()}
				return errors.Join(audit.Tell(ctx, tx, e, gathering.UserChangedData{Email: "a@b"}, gathering.AuditEntry{Reason: "role"}), then)
			})
			if !errors.Is(err, then) {
				t.Fatal(err)
			}
		}
		tell(as(t, "usr_1"), 1, nil)
		tell(as(t, "usr_1"), 2, context.Canceled)
		tell(t.Context(), 2, nil) // by the program itself
		var told []string
		for _, e := range entries(t, db, gathering.AuditFilter{}) {
			told = append(told, e.Actor+" "+e.Action+" "+e.Object+" "+e.Reason)
		}
		if diff := cmp.Diff([]string{"usr_1 user.updated usr_9 role"}, told); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
		feed, err := event.Feed(t.Context(), db.Read(), 0, 10)
		if err != nil || len(feed) != 2 {
			t.Errorf("the feed has %v (%v), want two events", feed, err)
		}
	})
}

func TestPending(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		pending := func(want bool) {
			t.Helper()
			if got, err := audit.Pending(t.Context(), db.Read()); err != nil || got != want {
				t.Errorf("got %v and %v, want %v", got, err, want)
			}
		}
		pending(false)
		nobody := audit.Nobody(as(t, "usr_1"))
		if c, ok := audit.CallerOf(nobody); ok {
			t.Errorf("nobody is %v", c)
		}
		if err := db.Tx(t.Context(), func(tx *store.Tx) error {
			return audit.Record(nobody, tx, gathering.AuditEntry{Action: "by nobody"}, noon())
		}); err != nil {
			t.Fatal(err)
		}
		pending(false)
		record(t, db, gathering.AuditEntry{Action: "one"}, noon())
		pending(true)
		sealAll(t, newSealer(t, db, ring(t, "k1"), t.TempDir()))
		pending(false)
	})
}
