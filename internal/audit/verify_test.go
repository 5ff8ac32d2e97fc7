package audit_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/keyring"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// ring is of keys with these IDs; the same IDs are the same keys.
func ring(t *testing.T, ids ...string) *keyring.Ring {
	t.Helper()
	var parts []string
	for _, id := range ids {
		part, _, _ := strings.Cut(id, "'")
		secret := fmt.Sprintf("%-32s", id+"-QWERTYUIOPasdfghjklzxcvbnm0")[:32]
		parts = append(parts, part+":"+encode(secret))
	}
	r, err := keyring.Parse(strings.Join(parts, ","))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newSealer(t *testing.T, db *store.DB, r *keyring.Ring, dir string) *audit.Sealer {
	t.Helper()
	return &audit.Sealer{DB: db, Ring: r, Anchor: audit.Anchor{Dir: dir}, Now: noon, Logger: slog.New(slog.DiscardHandler)}
}

func sealAll(t *testing.T, s *audit.Sealer) {
	t.Helper()
	if err := s.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func verify(t *testing.T, db *store.DB, r *keyring.Ring, dir string) audit.Report {
	t.Helper()
	report, err := audit.Verify(t.Context(), db, r, audit.Anchor{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// clean holds that nothing is wrong with a trail whose end is known.
func clean(t *testing.T, db *store.DB, r *keyring.Ring, dir string) audit.Report {
	t.Helper()
	report := verify(t, db, r, dir)
	if len(report.Faults) > 0 || !report.Anchored {
		t.Errorf("got %+v, want it clean and anchored", report)
	}
	return report
}

// words is what a report finds, a line for each.
func words(r audit.Report) []string {
	lines := []string{}
	for _, f := range r.Faults {
		if f.Entry > 0 {
			lines = append(lines, fmt.Sprintf("%d/%d %s", f.Seal, f.Entry, f.Problem))
		} else {
			lines = append(lines, fmt.Sprintf("%d %s", f.Seal, f.Problem))
		}
	}
	return lines
}

// trail writes entries and seals them so:
//
//	entries  1 2 3   4   5 6   7 8 9   10   11 12
//	seals    └─1─┘   2   └3┘   └─4─┘    5
func trail(t *testing.T, db *store.DB, s *audit.Sealer) {
	t.Helper()
	n := 0
	for i, count := range []int{3, 1, 2, 3, 1, 2} {
		for range count {
			n++
			record(t, db, gathering.AuditEntry{Action: "runs.cancel", Object: fmt.Sprintf("run_%d", n), Reason: "asked"}, noon())
		}
		if i < 5 {
			sealAll(t, s)
		}
	}
}

// keep notes what the trail is and returns what puts it back.
func keep(t *testing.T, db *store.DB) (restore func(t *testing.T)) {
	t.Helper()
	exec(t, db, `CREATE TABLE kept_audit AS SELECT id, `+rowColumns+` FROM audit`, `CREATE TABLE kept_seals AS SELECT `+sealColumns+` FROM audit_seals`)
	return func(t *testing.T) {
		t.Helper()
		exec(t, db, `DELETE FROM audit`, `DELETE FROM audit_seals`,
			`INSERT INTO audit (id, `+rowColumns+`)`+overriding(db)+` SELECT id, `+rowColumns+` FROM kept_audit`,
			`INSERT INTO audit_seals (`+sealColumns+`) SELECT `+sealColumns+` FROM kept_seals`)
	}
}

// overriding lets an INSERT give an ID.
func overriding(db *store.DB) string {
	if db.Dialect().Database == store.SQLite {
		return ""
	}
	return " OVERRIDING SYSTEM VALUE"
}

const (
	sealColumns = `number, at, entries, root, previous, pruned, key, signature`
	rowColumns  = `at, actor, actor_name, credential, address, agent, request, action, object, project, outcome, reason, times, seal, digest`
)

func TestVerify(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		dir, r := t.TempDir(), ring(t, "k1")
		empty := verify(t, db, r, dir)
		if diff := cmp.Diff(audit.Report{Faults: []audit.Fault{}}, empty); diff != "" {
			t.Errorf("an empty trail (-want +got):\n%s", diff)
		}
		s := newSealer(t, db, r, dir)
		sealAll(t, s)
		trail(t, db, s)
		want := audit.Report{Seals: 5, Entries: 10, Unsealed: 2, Faults: []audit.Fault{}, Anchored: true}
		if diff := cmp.Diff(want, verify(t, db, r, dir)); diff != "" {
			t.Errorf("a trail (-want +got):\n%s", diff)
		}
		want.Anchored = false
		if diff := cmp.Diff(want, verify(t, db, r, filepath.Join(dir, "none"))); diff != "" {
			t.Errorf("without an anchor (-want +got):\n%s", diff)
		}
		sealAll(t, s)
		seals := map[int64]int64{}
		for _, e := range entries(t, db, gathering.AuditFilter{}) {
			seals[e.ID] = e.Seal
		}
		if diff := cmp.Diff(map[int64]int64{1: 1, 2: 1, 3: 1, 4: 2, 5: 3, 6: 3, 7: 4, 8: 4, 9: 4, 10: 5, 11: 6, 12: 6}, seals); diff != "" {
			t.Errorf("seals by entry (-want +got):\n%s", diff)
		}
		rotated := ring(t, "k1", "k2")
		record(t, db, gathering.AuditEntry{Action: "keys.rotated"}, noon())
		sealAll(t, newSealer(t, db, rotated, dir))
		want = audit.Report{Seals: 7, Entries: 13, Faults: []audit.Fault{}, Anchored: true}
		if diff := cmp.Diff(want, verify(t, db, rotated, dir)); diff != "" {
			t.Errorf("after a rotation (-want +got):\n%s", diff)
		}
	})
}

// tampering is what somebody does to the trail of [trail] and what is found.
type tampering struct {
	name string
	do   []string // statements
	want []string
}

// Faults as they are told.
const (
	changed   = "the entry was changed"
	signature = "its signature is wrong: the seal was changed"
	follow    = "it does not follow the seal before it: one of the two was changed"
	notHere   = "it is not the seal that was made here under this number"
)

func undetermined(first, last int) string {
	return fmt.Sprintf("an entry was changed so that it cannot be told which: they are %d to %d", first, last)
}

func tamperings(db *store.DB, forged string) []tampering {
	entry := func(values string) string { // a copy of entry 5 with other values
		return `INSERT INTO audit (id, ` + rowColumns + `)` + overriding(db) + ` SELECT ` + values + ` FROM audit WHERE id = 5`
	}
	list := []tampering{
		{"nothing", nil, []string{}},
		{"an entry's ID", []string{
			entry(`50, ` + rowColumns), `DELETE FROM audit WHERE id = 5`,
		}, []string{"3/50 " + changed, "3 " + undetermined(6, 50)}},
		{"an entry and its digest", []string{
			`UPDATE audit SET reason = 'forged', digest = '` + forged + `' WHERE id = 5`,
		}, []string{"3 " + undetermined(5, 6)}},
		{"a digest taken away", []string{`UPDATE audit SET digest = NULL WHERE id = 5`}, []string{"3/5 " + changed, "3 " + undetermined(5, 6)}},
		{"two entries' texts exchanged", []string{
			`UPDATE audit SET object = CASE id WHEN 5 THEN 'run_6' ELSE 'run_5' END WHERE id IN (5, 6)`,
		}, []string{"3/5 " + changed, "3/6 " + changed}},
		{"text moved to the next column", []string{
			`UPDATE audit SET action = 'runs.cancelrun', object = '_5' WHERE id = 5`,
		}, []string{"3/5 " + changed}},
		{"an entry taken away", []string{`DELETE FROM audit WHERE id = 5`}, []string{"3 1 of its 2 entries were taken away"}},
		{"the first entry taken away", []string{`DELETE FROM audit WHERE id = 1`}, []string{"1 1 of its 3 entries were taken away"}},
		{"the last sealed entry taken away", []string{`DELETE FROM audit WHERE id = 10`}, []string{"5 1 of its 1 entries were taken away"}},
		{"an entry put under an old seal", []string{entry(`50, ` + rowColumns)}, []string{"3/50 " + changed, "3 1 entries were put to its 2"}},
		{"an entry put in the place of another", []string{
			`DELETE FROM audit WHERE id = 6`, entry(`6, ` + rowColumns),
		}, []string{"3/6 " + changed, "3 " + undetermined(5, 6)}},
		{"an entry moved to another seal", []string{
			`UPDATE audit SET seal = 2 WHERE id = 5`,
		}, []string{"2 1 entries were put to its 1", "3 1 of its 2 entries were taken away"}},
		{"two entries moved to each other's seals", []string{
			`UPDATE audit SET seal = CASE id WHEN 4 THEN 5 ELSE 2 END WHERE id IN (4, 10)`,
		}, []string{"2 " + undetermined(10, 10), "5 " + undetermined(4, 4)}},
		{"an entry unsealed", []string{`UPDATE audit SET seal = NULL, digest = NULL WHERE id = 5`}, []string{"3 1 of its 2 entries were taken away"}},
		{"an entry under a seal to come", []string{entry(`50, ` + strings.Replace(rowColumns, "seal", "9", 1))}, []string{"0 1 entries bear the number of a seal that is not there"}},
		{"an entry under seal 0", []string{entry(`50, ` + strings.Replace(rowColumns, "seal", "0", 1))}, []string{"0 1 entries bear the number of a seal that is not there"}},
		{"a seal before the first, with an entry", []string{
			`INSERT INTO audit_seals SELECT -7, at, 1, root, previous, pruned, key, signature FROM audit_seals WHERE number = 1`,
			entry(`50, ` + strings.Replace(rowColumns, "seal", "-7", 1)),
		}, []string{"0 1 entries bear the number of a seal that is not there", "0 1 seals bear a number below 1, which none was made with"}},
		{"a seal taken away", []string{`DELETE FROM audit_seals WHERE number = 3`}, []string{
			"4 the seals before it are missing, back to 2", "0 2 entries bear the number of a seal that is not there",
		}},
		{"a seal taken away with its entries", []string{
			`DELETE FROM audit_seals WHERE number = 3`, `DELETE FROM audit WHERE seal = 3`,
		}, []string{"4 the seals before it are missing, back to 2"}},
		{"the first seals taken away with their entries", []string{
			`DELETE FROM audit_seals WHERE number <= 2`, `DELETE FROM audit WHERE seal <= 2`,
		}, []string{"3 the seals before it are missing, back to 0"}},
		{"the last seals taken away with their entries", []string{
			`DELETE FROM audit_seals WHERE number >= 4`, `DELETE FROM audit WHERE seal >= 4`,
		}, []string{"5 the trail was cut: seals up to this one were made, and the last that is there is 3"}},
		{"everything taken away", []string{`DELETE FROM audit`, `DELETE FROM audit_seals`}, []string{
			"5 the trail was cut: seals up to this one were made, and the last that is there is 0",
		}},
		{"two seals exchanged", []string{
			`UPDATE audit_seals SET number = -number WHERE number IN (2, 3)`,
			`UPDATE audit_seals SET number = 5 + number WHERE number < 0`,
		}, []string{
			"2 " + follow, "2 " + signature, "2 1 of its 2 entries were taken away",
			"3 " + follow, "3 " + signature, "3 1 entries were put to its 1", "4 " + follow,
		}},
		{"a deletion that nobody signed", []string{
			`UPDATE audit_seals SET pruned = 3 WHERE number = 5`, `DELETE FROM audit WHERE seal <= 3`,
		}, []string{"5 " + signature, "5 " + notHere}},
		{"a seal added that says so", []string{
			`INSERT INTO audit_seals SELECT 6, at, 0, root, previous, 5, key, signature FROM audit_seals WHERE number = 5`,
			`DELETE FROM audit WHERE seal <= 5`,
		}, []string{"6 " + follow, "6 " + signature}},
	}
	for column := range strings.SplitSeq(strings.ReplaceAll(rowColumns, " ", ""), ",") {
		value := column + ` || 'x'`
		switch column {
		case "at", "times":
			value = column + ` + 1`
		case "seal", "digest": // above and below
			continue
		}
		list = append(list, tampering{"an entry's " + column, []string{`UPDATE audit SET ` + column + ` = ` + value + ` WHERE id = 5`}, []string{"3/5 " + changed}})
	}
	return append(list, sealTamperings()...)
}

// sealTamperings changes each column of a seal in the middle and of the last one.
func sealTamperings() []tampering {
	var list []tampering
	for _, c := range []struct {
		column, value string
		middle, last  []string
	}{
		{"at", `at + 1`, []string{signature}, []string{signature, notHere}},
		{"entries", `entries + 1`, []string{signature, "1 of its 3 entries were taken away"}, []string{signature, "1 of its 2 entries were taken away", notHere}},
		{"root", `root || '0'`, []string{signature, undetermined(5, 6)}, []string{signature, undetermined(10, 10), notHere}},
		{"previous", `'00'`, []string{follow, signature}, []string{follow, signature, notHere}},
		{"pruned", `2`, []string{signature}, []string{signature, notHere}},
		{"key", `'k2'`, []string{"it was signed by key k2, which is not in the ring"}, []string{"it was signed by key k2, which is not in the ring", notHere}},
		{"signature", `'AA' || substr(signature, 3)`, []string{signature}, []string{signature, notHere}},
		{"signature's form", `signature || 'x'`, []string{signature}, []string{signature, notHere}},
		{"signature's line", `signature || '` + "\n" + `'`, []string{signature}, []string{signature, notHere}},
	} {
		column, _, _ := strings.Cut(c.column, "'")
		middle, last := []string{}, []string{}
		for _, problem := range c.middle {
			middle = append(middle, "3 "+problem)
		}
		middle = append(middle, "4 "+follow)
		for _, problem := range c.last {
			last = append(last, "5 "+problem)
		}
		list = append(list,
			tampering{"a seal's " + c.column, []string{`UPDATE audit_seals SET ` + column + ` = ` + c.value + ` WHERE number = 3`}, middle},
			tampering{"the last seal's " + c.column, []string{`UPDATE audit_seals SET ` + column + ` = ` + c.value + ` WHERE number = 5`}, last})
	}
	return list
}

func TestTampering(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		dir, r := t.TempDir(), ring(t, "k1")
		trail(t, db, newSealer(t, db, r, dir))
		restore := keep(t, db)
		for _, test := range tamperings(db, forgedDigest(t, db, r)) {
			restore(t)
			exec(t, db, test.do...)
			if diff := cmp.Diff(test.want, words(verify(t, db, r, dir))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.name, diff)
			}
		}
		signedAnew(t, db, dir, restore)
	})
}

// forgedDigest is that of entry 5 with the reason 'forged', which anybody can work out.
func forgedDigest(t *testing.T, db *store.DB, r *keyring.Ring) (digest string) {
	t.Helper()
	exec(t, db, `UPDATE audit SET reason = 'forged', seal = NULL WHERE id = 5`)
	sealAll(t, newSealer(t, db, r, t.TempDir()))
	if err := db.Read().QueryRow(t.Context(), `SELECT digest FROM audit WHERE id = 5`).Scan(&digest); err != nil {
		t.Fatal(err)
	}
	return digest
}

// signedAnew holds that whoever makes the whole trail anew is found.
func signedAnew(t *testing.T, db *store.DB, dir string, restore func(t *testing.T)) {
	t.Helper()
	for name, test := range map[string]struct {
		key, want string
	}{
		"another key":                {"k2", "1 it was signed by key k2, which is not in the ring"},
		"another key of the same ID": {"k1'", "1 " + signature},
		"the key itself, as leaked":  {"k1", "5 the trail was cut: seals up to this one were made, and the last that is there is 1"},
	} {
		restore(t)
		exec(t, db, `DELETE FROM audit_seals`, `UPDATE audit SET seal = NULL, digest = NULL`)
		sealAll(t, newSealer(t, db, ring(t, test.key), t.TempDir()))
		if got := words(verify(t, db, ring(t, "k1"), dir)); len(got) == 0 || got[0] != test.want {
			t.Errorf("made anew by %s: got %q, want %q first", name, got, test.want)
		}
	}
}

func TestAnchor(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		dir, r := t.TempDir(), ring(t, "k1")
		path := filepath.Join(dir, "audit.anchor")
		s := newSealer(t, db, r, dir)
		seal := func() []byte {
			t.Helper()
			record(t, db, gathering.AuditEntry{Action: "one"}, noon())
			sealAll(t, s)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
		older := seal()
		seal()
		put(t, path, string(older)) // as from a backup
		clean(t, db, r, dir)
		newer := seal()
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the anchor is %v (%v), want it to be its owner's alone", info.Mode(), err)
		}
		if got := inside(t, dir); len(got) != 1 {
			t.Errorf("in the directory are %q", got)
		}
		for name, data := range map[string]string{
			"empty": "", "cut": string(newer[:len(newer)/2]), "something else": "{}", "a number below 1": `{"seal":-1,"hash":""}`, "binary": "\x00\xff",
		} {
			put(t, path, data)
			_, err := audit.Verify(t.Context(), db, r, audit.Anchor{Dir: dir})
			if gathering.KindOf(err) != gathering.KindConflict || !strings.Contains(err.Error(), "audit.anchor") {
				t.Errorf("%s: got %v, want a conflict that names the file", name, err)
			}
			record(t, db, gathering.AuditEntry{Action: "one more"}, noon())
			if err := s.Seal(t.Context()); err == nil {
				t.Errorf("%s: the sealer says nothing of it", name)
			}
			if got := number(t, db, `SELECT count(*) FROM audit WHERE seal IS NULL`); got != 0 {
				t.Errorf("%s: %d entries are not sealed for it", name, got)
			}
			if kept, err := os.ReadFile(path); err != nil || string(kept) != data {
				t.Errorf("%s: it was replaced (%v)", name, err)
			}
		}
		put(t, path, string(newer))
		sealAll(t, s)
		clean(t, db, r, dir)

		gone := newSealer(t, db, r, filepath.Join(dir, "gone"))
		record(t, db, gathering.AuditEntry{Action: "without a directory"}, noon())
		if err := gone.Seal(t.Context()); err == nil {
			t.Error("a seal that cannot be anchored is not told of")
		}
		sealAll(t, s)
		clean(t, db, r, dir)
	})
}

// A sealer that goes on after the end of the trail was cut does not hide it.
func TestCutWhileSealing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		dir, r := t.TempDir(), ring(t, "k1")
		s := newSealer(t, db, r, dir)
		trail(t, db, s)
		restore := keep(t, db)
		for name, cut := range map[string][]string{
			"the end":    {`DELETE FROM audit WHERE seal >= 3`, `DELETE FROM audit_seals WHERE number >= 3`},
			"everything": {`DELETE FROM audit`, `DELETE FROM audit_seals`},
		} {
			restore(t)
			exec(t, db, cut...)
			for i := range 7 {
				record(t, db, gathering.AuditEntry{Action: "goes on", Object: fmt.Sprint(i)}, noon())
				if err := s.Seal(t.Context()); gathering.KindOf(err) != gathering.KindConflict {
					t.Errorf("got %v, want a conflict", err)
				}
				report := verify(t, db, r, dir)
				if report.Unsealed != 0 || len(report.Faults) != 1 || report.Faults[0].Seal != 5 {
					t.Errorf("%s was cut, after %d more seals: %+v, want one fault at seal 5", name, i+1, report)
				}
			}
		}
	})
}

// More seals than are read at once are verified, while others delete.
func TestVerifyLong(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		dir, r := t.TempDir(), ring(t, "k1")
		s, c := keeping(t, db, dir, time.Hour)
		for i := range 105 {
			if i == 1 {
				c.set(c.Now().Add(2 * time.Hour))
				prune(t, s)
			}
			fill(t, db, 1)
			sealAll(t, s)
		}
		if report := clean(t, db, r, dir); report.Seals != 106 || report.Entries != 104 || report.Pruned != 1 {
			t.Errorf("got %+v", report)
		}
		c.set(c.Now().Add(2 * time.Hour))
		seen, happened := between(db, 5, func() { prune(t, s) }) // before the entries of the last seals are read
		if report := clean(t, seen, r, dir); report.Seals != 107 || report.Entries >= 104 || report.Pruned < 2 {
			t.Errorf("while others delete: %+v", report)
		}
		if !happened() {
			t.Error("nobody deleted")
		}
	})
}
