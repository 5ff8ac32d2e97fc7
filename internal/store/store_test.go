package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(holdVariable); dir != "" {
		holdForParent(dir)
		return
	}
	storetest.Main(m)
}

// put and count stand for any noun's SQL: the meta table takes any text.
func put(ctx context.Context, tx *store.Tx, key, value string) error {
	_, err := tx.Exec(ctx, `INSERT INTO meta (key, value) VALUES ($1, $2)`, key, value)
	return err
}

func keys(t *testing.T, db *store.DB) []string {
	t.Helper()
	rows, err := db.Read().Query(t.Context(), `SELECT key FROM meta WHERE key <> 'log_id' ORDER BY key`)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	err = rows.Each(func(row store.Scanner) error {
		var key string
		err := row.Scan(&key)
		keys = append(keys, key)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func wantKeys(t *testing.T, db *store.DB, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, keys(t, db)); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func wantKind(t *testing.T, err error, want gathering.Kind, message string) {
	t.Helper()
	if got := gathering.KindOf(err); got != want || !strings.Contains(err.Error(), message) {
		t.Errorf("got error %v of kind %q, want %q of kind %q", err, got, message, want)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		db := open(store.Options{})
		name, id := db.Dialect().String(), db.LogID()
		if !strings.HasPrefix(name, string(db.Dialect().Database)+" ") || len(name) < len("sqlite 3.5") {
			t.Errorf("dialect is %q", name)
		}
		if len(id) < 20 {
			t.Errorf("log ID is %q", id)
		}
		for range 2 {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
		wantKind(t, db.Tx(t.Context(), func(*store.Tx) error { return nil }), gathering.KindUnavailable, "closed")
		_, err := db.Read().Query(t.Context(), `SELECT 1`)
		wantKind(t, err, gathering.KindUnavailable, "closed")

		again := open(store.Options{})
		if again.LogID() != id {
			t.Errorf("log ID changed from %q to %q", id, again.LogID())
		}
	})
}

func TestOpenNothing(t *testing.T) {
	t.Parallel()
	_, err := store.Open(t.Context(), store.Options{})
	wantKind(t, err, gathering.KindInvalid, "no database is named")
	_, err = store.Open(t.Context(), store.Options{URL: "postgres://[broken"})
	wantKind(t, err, gathering.KindInvalid, "the database URL cannot be read")
	_, err = store.Open(t.Context(), store.Options{URL: "postgres://u:secret@/x?host=" + t.TempDir()})
	wantKind(t, err, gathering.KindUnavailable, "cannot be reached: there is no such socket")
}

func TestSettings(t *testing.T) {
	t.Parallel()
	want := map[store.Database]map[string]string{
		store.SQLite: {
			"PRAGMA journal_mode": "wal", "PRAGMA synchronous": "2", "PRAGMA foreign_keys": "1",
			"PRAGMA auto_vacuum": "2", "PRAGMA busy_timeout": "5000", "PRAGMA query_only": "0",
		},
		store.PostgreSQL: {
			"SHOW synchronous_commit": "on", "SHOW lock_timeout": "5s",
			"SHOW idle_in_transaction_session_timeout": "5s", "SHOW application_name": "gathering",
		},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		err := db.Tx(t.Context(), func(tx *store.Tx) error {
			for query, want := range want[db.Dialect().Database] {
				var got string
				if err := tx.QueryRow(t.Context(), query).Scan(&got); err != nil {
					return err
				}
				if got != want {
					t.Errorf("%s: got %s, want %s", query, got, want)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestTx(t *testing.T) {
	t.Parallel()
	wrong := errors.New("wrong")
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		if err := db.Tx(ctx, func(tx *store.Tx) error { return put(ctx, tx, "a", "1") }); err != nil {
			t.Fatal(err)
		}
		err := db.Tx(ctx, func(tx *store.Tx) error { return errors.Join(put(ctx, tx, "b", "1"), wrong) })
		if !errors.Is(err, wrong) {
			t.Errorf("got %v, want the function's own error", err)
		}
		func() {
			defer func() {
				if got := recover(); got != "halt" {
					t.Errorf("recovered %v, want the function's own panic", got)
				}
			}()
			_ = db.Tx(ctx, func(tx *store.Tx) error {
				if err := put(ctx, tx, "c", "1"); err != nil {
					t.Error(err)
				}
				panic("halt")
			})
		}()
		err = db.Tx(ctx, func(tx *store.Tx) error {
			var seen string
			if err := put(ctx, tx, "d", "own"); err != nil {
				return err
			}
			if err := tx.QueryRow(ctx, `SELECT value FROM meta WHERE key = $1`, "d").Scan(&seen); err != nil {
				return err
			}
			if seen != "own" {
				t.Errorf("the transaction reads %q of its own write", seen)
			}
			n, err := tx.Exec(ctx, `UPDATE meta SET value = value || '!' WHERE key IN ('a', 'd')`)
			if n != 2 {
				t.Errorf("%d rows changed, want 2", n)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		wantKeys(t, db, "a", "d")
	})
}

// A statement that failed ends the transaction, whatever the function makes of it.
func TestTxFailedStatement(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		err := db.Tx(ctx, func(tx *store.Tx) error {
			if err := put(ctx, tx, "a", "1"); err != nil {
				return err
			}
			first := put(ctx, tx, "a", "2")
			if !store.IsUniqueViolation(first) {
				t.Errorf("got %v, want a unique violation", first)
			}
			if err := put(ctx, tx, "b", "1"); !errors.Is(err, first) {
				t.Errorf("after a failure: got %v, want the failure again", err)
			}
			return nil
		})
		if !store.IsUniqueViolation(err) {
			t.Errorf("got %v, want a unique violation", err)
		}
		var escaped *store.Tx
		if err := db.Tx(ctx, func(tx *store.Tx) error { escaped = tx; return nil }); err != nil {
			t.Fatal(err)
		}
		if err := put(ctx, escaped, "c", "1"); err == nil {
			t.Error("a transaction that is over still writes")
		}
		wantKeys(t, db)
	})
}

func TestTxContext(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Tx(ctx, func(tx *store.Tx) error {
			if err := put(ctx, tx, "a", "1"); err != nil {
				return err
			}
			cancel()
			return put(ctx, tx, "b", "1")
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled within: got %v", err)
		}
		err = db.Tx(ctx, func(*store.Tx) error { t.Error("the function ran"); return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled before: got %v", err)
		}
		wantKeys(t, db)
	})
}

func TestLocking(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		insertRuns(t, db, 1)
		err := db.Tx(ctx, func(tx *store.Tx) error {
			d := tx.Dialect()
			var id string
			return errors.Join(
				tx.QueryRow(ctx, `SELECT id FROM runs WHERE id = $1`+d.ForUpdate(), "run_0").Scan(&id),
				tx.QueryRow(ctx, `SELECT r.id FROM runs r WHERE r.id = $1`+d.Locking("FOR NO KEY UPDATE OF r SKIP LOCKED"), "run_0").Scan(&id),
			)
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// Rows stay readable while the same statement runs again, and what is left open
// is closed at the end.
func TestRows(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		ctx, db := t.Context(), open(store.Options{})
		const query = `SELECT value FROM meta WHERE key LIKE $1 ORDER BY key`
		err := db.Tx(ctx, func(tx *store.Tx) error {
			return errors.Join(put(ctx, tx, "k1", "one"), put(ctx, tx, "k2", "two"))
		})
		if err != nil {
			t.Fatal(err)
		}
		if db.Dialect().Database == store.SQLite {
			err = db.Tx(ctx, func(tx *store.Tx) error {
				outer, err := tx.Query(ctx, query, "k%")
				if err != nil {
					return err
				}
				var got []string
				err = outer.Each(func(row store.Scanner) error {
					var a, b string
					if err := row.Scan(&a); err != nil {
						return err
					}
					err := tx.QueryRow(ctx, query, "k%").Scan(&b)
					got = append(got, a+b)
					return err
				})
				if diff := cmp.Diff([]string{"oneone", "twoone"}, got); diff != "" {
					t.Errorf("nested (-want +got):\n%s", diff)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for range 20 { // more often than the pool has connections
			if err := db.Tx(ctx, func(tx *store.Tx) error { _, err := tx.Query(ctx, query, "k%"); return err }); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Read().QueryRow(ctx, query, "x%").Scan(new(string)); !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("no row: got %v", err)
		}
		wrong := errors.New("wrong")
		rows, err := db.Read().Query(ctx, query, "k%")
		if err != nil {
			t.Fatal(err)
		}
		if err := rows.Each(func(store.Scanner) error { return wrong }); !errors.Is(err, wrong) {
			t.Errorf("scan's error: got %v", err)
		}
	})
}

func TestReadersDoNotWrite(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t))
	rows, err := db.Read().Query(t.Context(), `INSERT INTO meta (key, value) VALUES ('a', '1') RETURNING key`)
	if err == nil {
		err = rows.Each(func(store.Scanner) error { return nil })
	}
	wantKind(t, err, gathering.KindUnavailable, "cannot be written")
	wantKeys(t, db)
}

type label string

// Every parameter comes back as it was given, on both databases alike.
func TestValues(t *testing.T) {
	t.Parallel()
	text := label("a 'quoted' \"label\" € 😀 \x01\n")
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		err := db.Tx(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO run_inbox (run_id, id, kind, data, at) VALUES
				($1, 'full', $2, $3, $4), ($1, 'empty', $5, $6, $7), ($1, 'null', $8, $9, $10)`,
				text, json.RawMessage(`{"a":"\u0000"}`), []byte{0, 1, 255}, math.MaxInt64,
				"", []byte{}, int64(math.MinInt64), sql.NullString{String: "set", Valid: true}, []byte(nil), new(7))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		type row struct {
			RunID, Kind string
			Data        []byte
			At          int64
			Null        bool
		}
		tests := []struct {
			id   string
			want row
		}{
			{"full", row{string(text), `{"a":"\u0000"}`, []byte{0, 1, 255}, math.MaxInt64, false}},
			{"empty", row{string(text), "", nil, math.MinInt64, false}},
			{"null", row{string(text), "set", nil, 7, true}},
		}
		for _, test := range tests {
			var got row
			err := db.Read().QueryRow(ctx, `SELECT run_id, kind, data, at, data IS NULL FROM run_inbox WHERE run_id = $1 AND id = $2`, text, test.id).
				Scan(&got.RunID, &got.Kind, &got.Data, &got.At, &got.Null)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Data) == 0 {
				got.Data = nil
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.id, diff)
			}
		}
	})
}

// What PostgreSQL could not store is refused before it is sent, and what the
// two would store differently too.
func TestUnportableValues(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		value any
		kind  gathering.Kind
		want  string
	}{
		{"nul", "a\x00b", gathering.KindInvalid, "NUL"},
		{"nul in a named type", label("a\x00b"), gathering.KindInvalid, "NUL"},
		{"not utf-8", "a\xffb", gathering.KindInvalid, "UTF-8"},
		{"not utf-8 in json", json.RawMessage("\"\xff\""), gathering.KindInvalid, "UTF-8"},
		{"lone surrogate in utf-8", "\xed\xa0\x80", gathering.KindInvalid, "UTF-8"},
		{"float", 1.5, gathering.KindInternal, "float64"},
		{"bool", true, gathering.KindInternal, "bool"},
		{"strings", []string{"a"}, gathering.KindInternal, "[]string"},
	}
	columns := []store.Column{{Name: "value", Type: store.Text}}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				ctx := t.Context()
				const query = `SELECT key FROM meta WHERE value = $1`
				_, err := db.Read().Query(ctx, query, test.value)
				wantKind(t, err, test.kind, test.want)
				err = db.Read().QueryRow(ctx, query, test.value).Scan(new(string))
				wantKind(t, err, test.kind, test.want)
				err = db.Tx(ctx, func(tx *store.Tx) error {
					_, err := tx.Exec(ctx, `DELETE FROM meta WHERE value = $1`, test.value)
					wantKind(t, err, test.kind, test.want)
					return nil
				})
				wantKind(t, err, test.kind, test.want)
				var single, rows store.Batch
				single.Exec(`DELETE FROM meta WHERE value = $1`, test.value)
				wantKind(t, db.Run(ctx, &single), test.kind, test.want)
				rows.Rows(`DELETE FROM meta WHERE value IN (SELECT w.value FROM {rows})`, columns, [][]any{{"fine"}, {test.value}}, nil)
				wantKind(t, db.Run(ctx, &rows), test.kind, test.want)
			})
		}
	})
}

func TestHugeValue(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("0123456789abcdef", gathering.MaxValueBytes/16)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		var b store.Batch
		b.Rows(`INSERT INTO blobs (run_id, hash, data) SELECT w.run, w.hash, w.data FROM {rows}`,
			[]store.Column{{Name: "run", Type: store.Text}, {Name: "hash", Type: store.Text}, {Name: "data", Type: store.Bytes}},
			[][]any{{"r", "h", []byte(text)}}, nil)
		b.Rows(`INSERT INTO meta (key, value) SELECT w.key, w.value FROM {rows}`,
			[]store.Column{{Name: "key", Type: store.Text}, {Name: "value", Type: store.Text}}, [][]any{{"huge", text}}, nil)
		if err := db.Run(ctx, &b); err != nil {
			t.Fatal(err)
		}
		var data []byte
		var value string
		if err := db.Read().QueryRow(ctx, `SELECT data, value FROM blobs, meta WHERE hash = 'h' AND key = 'huge'`).Scan(&data, &value); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(data, []byte(text)) || value != text {
			t.Errorf("%d bytes and %d of text came back changed", len(data), len(value))
		}
	})
}
