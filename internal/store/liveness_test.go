package store_test

import (
	"testing"

	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// alive is "alive" or "dead".
func alive(t *testing.T, db *store.DB, key string) string {
	t.Helper()
	yes, err := db.Alive(t.Context(), key)
	switch {
	case err != nil:
		t.Fatal(err)
	case yes:
		return "alive"
	}
	return "dead"
}

func wantLife(t *testing.T, db *store.DB, key, want string) {
	t.Helper()
	if got := alive(t, db, key); got != want {
		t.Errorf("%s is %s, want %s", key, got, want)
	}
}

func TestLiveness(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		run(t, db, `INSERT INTO meta (key, value) VALUES ('beats', '')`)
		wantLife(t, db, "ins_1", "dead")
		l, err := db.HoldLiveness(ctx, "ins_1")
		if err != nil {
			t.Fatal(err)
		}
		wantLife(t, db, "ins_1", "alive")
		wantLife(t, db, "ins_2", "dead")
		for range 2 {
			n, err := l.Beat(ctx, `UPDATE meta SET value = value || 'x' WHERE key = $1`, "beats")
			if n != 1 || err != nil {
				t.Errorf("a beat changed %d rows (%v), want 1", n, err)
			}
		}
		var beats string
		if err := db.Read().QueryRow(ctx, `SELECT value FROM meta WHERE key = 'beats'`).Scan(&beats); err != nil || beats != "xx" {
			t.Errorf("beats are %q (%v), want xx", beats, err)
		}
		if _, err := l.Beat(ctx, `UPDATE nowhere SET a = 1`); err == nil {
			t.Error("a beat without its table succeeded")
		}
		wantLife(t, db, "ins_1", "alive")
		for range 2 {
			if err := l.Close(ctx); err != nil {
				t.Error(err)
			}
		}
		wantLife(t, db, "ins_1", "dead")
	})
}

// A holder whose connection broke is not seen alive until its next beat.
func TestLivenessConnectionCut(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	where := storetest.PostgreSQL(t)
	db, observer := storetest.Open(t, where), storetest.Open(t, where)
	l, err := db.HoldLiveness(ctx, "ins_"+t.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(ctx)
	wantLife(t, observer, "ins_"+t.Name(), "alive")
	run(t, db, `INSERT INTO meta (key, value) VALUES ('pid', '')`)
	if _, err := l.Beat(ctx, `UPDATE meta SET value = pg_backend_pid() WHERE key = 'pid'`); err != nil {
		t.Fatal(err)
	}
	var pid int
	if err := db.Read().QueryRow(ctx, `SELECT value::int FROM meta WHERE key = 'pid'`).Scan(&pid); err != nil {
		t.Fatal(err)
	}
	if err := terminate(ctx, observer, pid); err != nil {
		t.Fatal(err)
	}
	wantLife(t, observer, "ins_"+t.Name(), "dead")
	if n, err := l.Beat(ctx, `UPDATE meta SET value = 'again' WHERE key = 'pid'`); n != 1 || err != nil {
		t.Errorf("the next beat changed %d rows (%v), want 1", n, err)
	}
	wantLife(t, observer, "ins_"+t.Name(), "alive")
}
