package store_test

import (
	"bufio"
	"context"
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

func TestDamagedDatabase(t *testing.T) {
	t.Parallel()
	where := storetest.SQLite(t)
	if err := os.WriteFile(filepath.Join(where.Dir, "gathering.db"), []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(t.Context(), where)
	wantKind(t, err, gathering.KindInternal, "the database file is damaged")
	if _, held, err := store.HolderOf(where.Dir); held || err != nil {
		t.Errorf("after a failed open: held %t, %v", held, err)
	}
}
