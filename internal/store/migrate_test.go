package store_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func eachDatabase(t *testing.T, fn func(t *testing.T, where store.Options)) {
	t.Helper()
	for name, fresh := range map[string]func(testing.TB) store.Options{"sqlite": storetest.SQLite, "postgresql": storetest.PostgreSQL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fn(t, fresh(t))
		})
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	all := func(applied bool) []string {
		return []string{
			fmt.Sprintf("1 00001_initial.sql %t", applied), fmt.Sprintf("2 00002_front_door.sql %t", applied),
			fmt.Sprintf("3 00003_overview.sql %t", applied),
		}
	}
	applied := func(list []store.Migration) (names []string) {
		for _, m := range list {
			names = append(names, fmt.Sprintf("%d %s %t", m.Version, m.Name, m.Applied))
		}
		return names
	}
	eachDatabase(t, func(t *testing.T, where store.Options) {
		ctx := t.Context()
		steps := []struct {
			name string
			do   func() ([]store.Migration, error)
			want []string
		}{
			{"status before", func() ([]store.Migration, error) { return store.MigrationStatus(ctx, where) }, all(false)},
			{"migrate", func() ([]store.Migration, error) { return store.Migrate(ctx, where) }, all(true)},
			{"again", func() ([]store.Migration, error) { return store.Migrate(ctx, where) }, nil},
			{"status after", func() ([]store.Migration, error) { return store.MigrationStatus(ctx, where) }, all(true)},
		}
		for _, step := range steps {
			got, err := step.do()
			if err != nil {
				t.Fatal(step.name, err)
			}
			if diff := cmp.Diff(step.want, applied(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step.name, diff)
			}
		}
	})
}

// A schema that is behind is not read.
func TestOldSchema(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, where store.Options) {
		if where.Dir != "" { // otherwise there is no file yet
			db := storetest.Open(t, where)
			run(t, db, `DROP TABLE goose_db_version`)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := store.MigrationStatus(t.Context(), where); err != nil {
			t.Fatal(err)
		}
		where.ReadOnly = true
		_, err := store.Open(t.Context(), where)
		wantKind(t, err, gathering.KindConflict, "older than this GatheRing")
	})
}

func run(t *testing.T, db *store.DB, query string, args ...any) {
	t.Helper()
	err := db.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(t.Context(), query, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNewerSchema(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, where store.Options) {
		db := storetest.Open(t, where)
		yes := "true"
		if db.Dialect().Database == store.SQLite {
			yes = "1"
		}
		run(t, db, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, `+yes+`)`)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		const newer = "schema version 99, made by a newer GatheRing; this one knows versions up to 3"
		for _, where.ReadOnly = range []bool{false, true} {
			_, err := store.Open(t.Context(), where)
			wantKind(t, err, gathering.KindConflict, newer)
		}
		steps, err := store.MigrationStatus(t.Context(), where)
		wantKind(t, err, gathering.KindConflict, newer)
		if len(steps) > 0 {
			t.Errorf("steps of another schema are listed: %v", steps)
		}
	})
}

// Instances that start together migrate once.
func TestMigrateTogether(t *testing.T) {
	t.Parallel()
	where := storetest.PostgreSQL(t)
	ids := make([]string, 5)
	var instances sync.WaitGroup
	for i := range ids {
		instances.Go(func() {
			db, err := store.Open(t.Context(), where)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = db.LogID()
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	instances.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("log IDs differ: %q", ids)
		}
	}
	var versions int
	const query = `SELECT count(*) FROM goose_db_version WHERE version_id > 0`
	if err := storetest.Open(t, where).Read().QueryRow(t.Context(), query).Scan(&versions); err != nil || versions != 3 {
		t.Errorf("%d migrations were noted (%v), want 3", versions, err)
	}
}

// Both databases have the same tables, columns, keys and indexes.
func TestSchemasAgree(t *testing.T) {
	t.Parallel()
	lite := schema(t, storetest.Open(t, storetest.SQLite(t)), `
		SELECT m.name, c.name, upper(c.type), c."notnull", c.pk
		FROM sqlite_master m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> 'goose_db_version'`,
		`SELECT tbl_name, name FROM sqlite_master WHERE type = 'index' AND name NOT LIKE 'sqlite_%'`)
	post := schema(t, storetest.Open(t, storetest.PostgreSQL(t)), `
		SELECT c.table_name, c.column_name, upper(c.data_type), CASE c.is_nullable WHEN 'NO' THEN 1 ELSE 0 END, coalesce(k.ordinal_position, 0)
		FROM information_schema.columns c
		LEFT JOIN information_schema.table_constraints p ON p.table_schema = c.table_schema AND p.table_name = c.table_name AND p.constraint_type = 'PRIMARY KEY'
		LEFT JOIN information_schema.key_column_usage k ON k.table_schema = c.table_schema AND k.constraint_name = p.constraint_name AND k.column_name = c.column_name
		WHERE c.table_schema = current_schema() AND c.table_name <> 'goose_db_version'`,
		`SELECT tablename, indexname FROM pg_indexes WHERE schemaname = current_schema()
		 AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE '%_key' OR schemaname = current_schema() AND indexname = 'runs_key'`)
	if diff := cmp.Diff(lite, post); diff != "" {
		t.Errorf("SQLite's schema (-) and PostgreSQL's (+) differ:\n%s", diff)
	}
	if len(lite) < 71 {
		t.Errorf("only %d columns and indexes found", len(lite))
	}
}

func schema(t *testing.T, db *store.DB, columns, indexes string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	read := func(query string, scan func(row store.Scanner) error) {
		rows, err := db.Read().Query(t.Context(), query)
		if err == nil {
			err = rows.Each(scan)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	same := strings.NewReplacer("BYTEA", "BLOB", "INTEGER", "BIGINT")
	read(columns, func(row store.Scanner) error {
		var table, column, kind string
		var notNull, key int
		err := row.Scan(&table, &column, &kind, &notNull, &key)
		if table == "feed" && column == "pos" || table == "audit" && column == "id" {
			notNull = 1 // SQLite's row number is never NULL and need not say so
		}
		found[table+"."+column] = fmt.Sprintf("%s, not null %d, key %d", same.Replace(kind), notNull, key)
		return err
	})
	read(indexes, func(row store.Scanner) error {
		var table, index string
		err := row.Scan(&table, &index)
		found["index "+index] = table
		return err
	})
	return found
}
