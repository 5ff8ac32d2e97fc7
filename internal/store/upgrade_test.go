package store_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// past is a database as an older program left it.
type past struct {
	t  *testing.T
	db *sql.DB
}

// openPast makes a database of a schema's version, without the program.
func openPast(t *testing.T, where store.Options, version int64) *past {
	t.Helper()
	// Statements are not kept prepared: a migration changes what they return.
	driver, name, migrations, dialect := "pgx", where.URL+"&default_query_exec_mode=exec", "migrations/postgresql", goose.DialectPostgres
	if where.URL == "" {
		driver, name, migrations, dialect = "sqlite", filepath.Join(where.Dir, "gathering.db"), "migrations/sqlite", goose.DialectSQLite3
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(dialect, db, os.DirFS(migrations), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
	return &past{t, db}
}

func (p *past) exec(query string, args ...any) {
	p.t.Helper()
	if _, err := p.db.ExecContext(p.t.Context(), query, args...); err != nil {
		p.t.Fatalf("%s: %v", query, err)
	}
}

func (p *past) close() {
	p.t.Helper()
	if err := p.db.Close(); err != nil {
		p.t.Fatal(err)
	}
}

// firstTables are those of version 1, each with what its rows are sorted by.
func firstTables() map[string]string {
	return map[string]string{
		"meta": "key", "instances": "id", "runs": "id", "run_log": "run_id, seq", "snapshots": "run_id", "noun_log": "stream, seq", "feed": "pos",
		"run_inbox": "run_id, id", "blobs": "run_id, hash", "pipelines": "id", "pipeline_versions": "pipeline, number", "breakers": "name",
	}
}

// fill stores what a program of version 1 may have left: pipelines of several
// projects, of which one is that by default, and runs in every state of affairs.
func (p *past) fill() {
	p.t.Helper()
	p.exec(`INSERT INTO meta (key, value) VALUES ('log_id', 'LOGIDOFTHEPAST')`)
	p.exec(`INSERT INTO instances (id, started_at, counter, host, pid, version, max_engine, beat) VALUES ('ins_1', 1, 7, 'host', 1, 'v0', 1, 2000000)`)
	for i, of := range []struct{ id, project, name string }{
		{"pip_1", "default", "triage"}, {"pip_2", "work", "triage"}, {"pip_3", "work", "report"}, {"pip_4", "My Project & more", "demo"},
	} {
		p.exec(`INSERT INTO pipelines (id, project, name, published, seq, created_at, updated_at) VALUES ($1, $2, $3, 2, 2, $4, $5)`,
			of.id, of.project, of.name, 1000*(i+1), 5000)
		for number := 1; number <= 2; number++ {
			p.exec(`INSERT INTO pipeline_versions (pipeline, number, hash, document, created_at) VALUES ($1, $2, $3, $4, 1000)`,
				of.id, number, fmt.Sprint("hash", number), append([]byte{0}, `{"name":"x"}`...))
			p.exec(`INSERT INTO noun_log (stream, seq, at, version, rows) VALUES ($1, $2, 1000, 1, $3)`, of.id, number, append([]byte{0}, `[]`...))
		}
		for n, state := range []string{"queued", "running", "waiting", "completed", "failed"} {
			id := fmt.Sprintf("run_%d%d", i, n)
			var owner, ready, finished, dead any
			switch state {
			case "queued":
				ready = 1
			case "running":
				owner = "ins_1"
			case "failed":
				finished, dead = 2, 2
			case "completed":
				finished = 2
			}
			p.exec(`INSERT INTO runs (id, project, pipeline, version, state, owner, epoch, inbox, crashes, ready_at, priority, queue, labels,
				root_run, depth, min_engine, created_at, finished_at, dead_at, run_key, concurrency_key, concurrency_max)
				VALUES ($1, $2, $3, 1, $4, $5, 3, 1, 0, $6, 0, 'q', '{"a":"b"}', $1, 0, 1, $7, $8, $9, $10, 'c', 2)`,
				id, of.project, of.id, state, owner, ready, 1000+n, finished, dead, "key "+id)
			p.exec(`INSERT INTO run_log (run_id, seq, at, version, rows) VALUES ($1, 1, 1000, 1, $2)`, id, []byte{0, '[', ']'})
			p.exec(`INSERT INTO snapshots (run_id, seq, at, version, data) VALUES ($1, 1, 1000, 1, $2)`, id, []byte{0, 1, 2})
			p.exec(`INSERT INTO run_inbox (run_id, id, kind, data, at, n) VALUES ($1, 'box_1', 'cancel', $2, 1000, 1)`, id, []byte{0})
			p.exec(`INSERT INTO blobs (run_id, hash, data) VALUES ($1, 'h', $2)`, id, []byte{0, 255, 0})
			p.exec(`INSERT INTO feed (at, entries) VALUES (1000, $1)`, `[["`+id+`",1,1]]`)
		}
	}
	p.exec(`INSERT INTO breakers (name, state, since, until, failures, reason, by_whom, seq) VALUES ('tool:x', 'open', 1, NULL, 0, 'late', 'me', 1)`)
}

// rows are those of a table with all of its columns, each as text.
func (p *past) rows(table, order string) []string {
	p.t.Helper()
	rows, err := p.db.QueryContext(p.t.Context(), fmt.Sprintf("SELECT %s FROM %s ORDER BY %s", table+".*", table, order))
	if err != nil {
		p.t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		p.t.Fatal(err)
	}
	var list []string
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			p.t.Fatal(err)
		}
		var text []string
		for i, v := range values {
			text = append(text, fmt.Sprintf("%s=%v", columns[i], v))
		}
		list = append(list, strings.Join(text, " "))
	}
	if err := rows.Err(); err != nil {
		p.t.Fatal(err)
	}
	return list
}

func (p *past) tables() map[string][]string {
	p.t.Helper()
	all := map[string][]string{}
	for table, order := range firstTables() {
		all[table] = p.rows(table, order)
	}
	return all
}

// TestUpgrade opens a database of version 1 that is in use: everything is there
// as it was, and every project that had a pipeline is one.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, where store.Options) {
		p := openPast(t, where, 1)
		defer p.close()
		p.fill()
		before := p.tables()
		for table, rows := range before {
			if len(rows) == 0 {
				t.Errorf("nothing is in %s: this proves nothing of it", table)
			}
		}
		steps, err := store.MigrationStatus(t.Context(), where)
		if err != nil || len(steps) < 2 || !steps[0].Applied || steps[1].Applied {
			t.Errorf("before: %+v, %v, want the first step alone applied", steps, err)
		}
		db := storetest.Open(t, where)
		after := p.tables()
		for i, row := range after["pipelines"] {
			after["pipelines"][i] = strings.TrimSuffix(row, " deleted_at=<nil>")
		}
		for i, row := range after["runs"] {
			after["runs"][i] = strings.TrimSuffix(row, " undecided=0")
		}
		for i, row := range before["runs"] {
			if strings.Contains(row, "state=waiting") { // it is looked at once more
				before["runs"][i] = strings.Replace(row, "ready_at=<nil>", "ready_at=1", 1)
			}
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("what was there (-before +after):\n%s", diff)
		}
		if got, want := db.LogID(), "LOGIDOFTHEPAST"; got != want {
			t.Errorf("the log's ID is %s, want %s", got, want)
		}
		if diff := cmp.Diff([]string{
			"id=My Project & more name=My Project & more description= revision=1 seq=0 created_at=4000 updated_at=4000",
			"id=default name=default description= revision=1 seq=0 created_at=1000 updated_at=1000",
			"id=work name=work description= revision=1 seq=0 created_at=2000 updated_at=2000",
		}, p.rows("projects", "id")); diff != "" {
			t.Errorf("projects (-want +got):\n%s", diff)
		}
		for _, table := range []string{"users", "sessions", "api_tokens", "members", "audit", "audit_seals", "idempotency", "settings", "providers", "signin_failures"} {
			if rows := p.rows(table, "1"); len(rows) > 0 {
				t.Errorf("%s holds %v", table, rows)
			}
		}
	})
}

// TestUpgradeOfNothing opens a database of version 1 in which nothing is.
func TestUpgradeOfNothing(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, where store.Options) {
		p := openPast(t, where, 1)
		defer p.close()
		storetest.Open(t, where)
		want := []string{"id=default name=Default description= revision=1 seq=0 created_at=0 updated_at=0"}
		if diff := cmp.Diff(want, p.rows("projects", "id")); diff != "" {
			t.Errorf("projects (-want +got):\n%s", diff)
		}
	})
}
