package store_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gathering"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// holdVariable makes the test binary another process that holds a directory.
const holdVariable = "GATHERING_TEST_HOLD"

func holdForParent(dir string) {
	db, err := store.Open(context.Background(), store.Options{Dir: dir, Command: "hold the door"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer db.Close()
	fmt.Fprintln(os.Stdout, "held")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// startHolder runs another process that holds dir until it is killed.
func startHolder(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	holder := exec.CommandContext(t.Context(), os.Args[0])
	holder.Env = append(os.Environ(), holdVariable+"="+dir)
	holder.Stderr = os.Stderr
	if _, err := holder.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = holder.Process.Kill(); _ = holder.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("the holder says %q (%v)", line, err)
	}
	return holder
}

func TestDirectoryHeldByAnotherProcess(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data?#% ")
	if _, held, err := store.HolderOf(dir); held || err != nil {
		t.Errorf("a directory that does not exist: held %t, %v", held, err)
	}
	process := startHolder(t, dir)

	_, err := store.Open(t.Context(), store.Options{Dir: dir})
	wantKind(t, err, gathering.KindConflict, fmt.Sprintf("held by pid %d (hold the door) since 2", process.Process.Pid))
	if gathering.CodeOf(err) != gathering.CodeDirectoryHeld {
		t.Errorf("code is %q", gathering.CodeOf(err))
	}
	h, held, err := store.HolderOf(dir)
	if err != nil || !held || h.PID != process.Process.Pid || h.Command != "hold the door" || time.Since(h.Since) > time.Minute {
		t.Errorf("holder is %+v, held %t, %v", h, held, err)
	}
	beside := storetest.Open(t, store.Options{Dir: dir, ReadOnly: true})
	wantKeys(t, beside)

	if err := process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = process.Wait()
	if _, held, err := store.HolderOf(dir); held || err != nil {
		t.Errorf("after kill -9: held %t, %v", held, err)
	}
	storetest.Open(t, store.Options{Dir: dir})
}

func TestDirectoryHeldByThisProcess(t *testing.T) {
	t.Parallel()
	where := storetest.SQLite(t)
	db := storetest.Open(t, where)
	_, err := store.Open(t.Context(), where)
	wantKind(t, err, gathering.KindConflict, fmt.Sprintf("held by pid %d (", os.Getpid()))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	storetest.Open(t, where)
}

func TestDirectoryRights(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	db := storetest.Open(t, store.Options{Dir: dir})
	if err := db.Tx(t.Context(), func(tx *store.Tx) error { return put(t.Context(), tx, "a", "1") }); err != nil {
		t.Fatal(err)
	}
	want := map[string]os.FileMode{".": 0o700, "gathering.db": 0o600, "gathering.db-wal": 0o600, "gathering.db-shm": 0o600, "lock": 0o600}
	for name, want := range want {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
}

func TestDirectoryUnusable(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(t.Context(), store.Options{Dir: file})
	wantKind(t, err, gathering.KindUnavailable, "the data directory cannot be made")
	_, err = store.Open(t.Context(), store.Options{Dir: t.TempDir(), ReadOnly: true})
	wantKind(t, err, gathering.KindNotFound, "no database")
}

// What is in the place of the database and is none is told by its name, with
// what to do, whoever opens it, and is left as it is.
func TestNotOurFile(t *testing.T) {
	t.Parallel()
	const another = "name another directory with --data"
	tests := []struct {
		name  string
		put   func(file string) error
		kind  gathering.Kind
		tells string
	}{
		{"text", func(file string) error {
			return os.WriteFile(file, []byte(strings.Repeat("no database ", 1000)), 0o600)
		}, gathering.KindInternal, "the database file FILE is damaged: restore a backup of it, or " + another},
		{"cut short", func(file string) error {
			return errors.Join(foreign(file, `CREATE TABLE meta (x); CREATE TABLE runs (x)`), os.Truncate(file, 5000))
		}, gathering.KindInternal, "the database file FILE is damaged: restore a backup of it, or " + another},
		{"directory", func(file string) error {
			return os.Mkdir(file, 0o700)
		}, gathering.KindConflict, "FILE is not a file; " + another},
		{"another program's", func(file string) error {
			return foreign(file, `CREATE TABLE meta (key TEXT, value TEXT); CREATE TABLE songs (title TEXT)`)
		}, gathering.KindConflict, "FILE is a SQLite database, but not GatheRing's; " + another},
		{"another program's, with migrations", func(file string) error {
			return foreign(file, `CREATE TABLE songs (title TEXT); CREATE TABLE goose_db_version (version_id INTEGER);
				INSERT INTO goose_db_version VALUES (99)`)
		}, gathering.KindConflict, "FILE is a SQLite database, but not GatheRing's; " + another},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			where := storetest.SQLite(t)
			file := filepath.Join(where.Dir, "gathering.db")
			if err := test.put(file); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(file) // a directory has nothing to read
			tells := strings.ReplaceAll(test.tells, "FILE", file)
			for _, where.ReadOnly = range []bool{false, true} {
				_, err := store.Open(t.Context(), where)
				wantKind(t, err, test.kind, tells)
			}
			_, err := store.MigrationStatus(t.Context(), where)
			wantKind(t, err, test.kind, tells)
			if after, _ := os.ReadFile(file); !bytes.Equal(after, before) {
				t.Error("the file was changed")
			}
			if _, held, err := store.HolderOf(where.Dir); held || err != nil {
				t.Errorf("after a failed open: held %t, %v", held, err)
			}
		})
	}
}

// A file without a table may become the database: one that is empty, and one
// in which a migration had just begun.
func TestFileWithoutTables(t *testing.T) {
	t.Parallel()
	for name, statements := range map[string]string{
		"empty": "",
		"begun": `CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL,
			is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')));
			INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where := storetest.SQLite(t)
			if err := foreign(filepath.Join(where.Dir, "gathering.db"), statements); err != nil {
				t.Fatal(err)
			}
			wantKeys(t, storetest.Open(t, where))
		})
	}
}

// Damage that shows only when a page is read names the file as well.
func TestDamageFoundLater(t *testing.T) {
	t.Parallel()
	where := storetest.SQLite(t)
	db := storetest.Open(t, where)
	run(t, db, `INSERT INTO meta (key, value) VALUES ('large', $1)`, strings.Repeat("x", 1<<20))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	where.ReadOnly = true
	db = storetest.Open(t, where)
	file := filepath.Join(where.Dir, "gathering.db")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	half := data[len(data)-1<<19:] // of the large value, which is last
	copy(half, bytes.Repeat([]byte{0xff}, len(half)))
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	var value string
	err = db.Read().QueryRow(t.Context(), `SELECT value FROM meta WHERE key = 'large'`).Scan(&value)
	wantKind(t, err, gathering.KindInternal, "the database file "+file+" is damaged")
}

// foreign makes a SQLite database with these statements.
func foreign(file, statements string) error {
	db, err := sql.Open("sqlite", file)
	if err != nil {
		return err
	}
	_, err = db.Exec("VACUUM;" + statements)
	return errors.Join(err, db.Close())
}
