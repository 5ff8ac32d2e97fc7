package store_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gathering"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// A full disk is an error with a name; what was there stays, reading works, and
// so does writing once there is room.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := storetest.Open(t, storetest.SQLite(t))
	pages := func(query string) (n int) {
		err := db.Tx(ctx, func(tx *store.Tx) error { return tx.QueryRow(ctx, query).Scan(&n) })
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	run(t, db, `INSERT INTO meta (key, value) VALUES ('before', '1')`)
	pages(`PRAGMA max_page_count = 1`) // as many as there are
	err := db.Tx(ctx, func(tx *store.Tx) error {
		if err := put(ctx, tx, "huge", strings.Repeat("x", 1<<20)); err == nil {
			t.Error("a megabyte was written into no room")
		}
		return put(ctx, tx, "after", "1") // must not be written outside the transaction
	})
	wantKind(t, err, gathering.KindUnavailable, "the disk is full")
	wantKeys(t, db, "before")
	pages(`PRAGMA max_page_count = 100000`)
	run(t, db, `INSERT INTO meta (key, value) VALUES ('later', $1)`, strings.Repeat("x", 1<<20))
	wantKeys(t, db, "before", "later")
}

// lockDatabase keeps the file locked against writers until released.
func lockDatabase(t *testing.T, dir string) (release func()) {
	t.Helper()
	ctx := t.Context()
	other, err := sql.Open("sqlite", filepath.Join(dir, "gathering.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	conn, err := other.Conn(ctx)
	if err == nil {
		_, err = conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(func() error { _, err := conn.ExecContext(ctx, "ROLLBACK"); return err }(), conn.Close()); err != nil {
			t.Error(err)
		}
	}
}

func TestLockedByAnotherConnection(t *testing.T) {
	t.Parallel()
	where := storetest.SQLite(t)
	db := storetest.Open(t, where.WithBusyTimeout(50*time.Millisecond))
	release := lockDatabase(t, where.Dir)
	err := db.Tx(t.Context(), func(*store.Tx) error { t.Error("it ran"); return nil })
	wantKind(t, err, gathering.KindUnavailable, "the database is locked by another process")
	wantKeys(t, db) // reading goes on
	release()
	run(t, db, `INSERT INTO meta (key, value) VALUES ('a', '1')`)
	wantKeys(t, db, "a")
}

// A committer waits for a lock to go away.
func TestCommitterWaitsForLock(t *testing.T) {
	t.Parallel()
	where := storetest.SQLite(t)
	db := storetest.Open(t, where.WithBusyTimeout(10*time.Millisecond))
	release := lockDatabase(t, where.Dir)
	var refused atomic.Bool
	c := store.NewCommitter(store.CommitterOptions[entry]{
		Write: func(ctx context.Context, members []entry) ([]error, error) {
			err := db.Run(ctx, appendEntries(db, members))
			if err != nil && refused.CompareAndSwap(false, true) {
				release()
			}
			return nil, err
		},
	})
	defer c.Close()
	commitEntries(t, c, 0, 1)
	if !refused.Load() {
		t.Error("the lock was not met")
	}
}

// cut ends the connection of the transaction from the server's side.
func cut(ctx context.Context, db *store.DB, tx *store.Tx) error {
	var pid int
	if err := tx.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
		return err
	}
	return terminate(ctx, db, pid)
}

func terminate(ctx context.Context, db *store.DB, pid int) error {
	var done bool
	return db.Read().QueryRow(ctx, `SELECT pg_terminate_backend($1, 5000)`, pid).Scan(&done)
}

// A connection that breaks before the commit means that nothing was written,
// and the pool goes on with another.
func TestConnectionCut(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := storetest.Open(t, storetest.PostgreSQL(t))
	err := db.Tx(ctx, func(tx *store.Tx) error {
		if err := errors.Join(put(ctx, tx, "a", "1"), cut(ctx, db, tx)); err != nil {
			return err
		}
		err := put(ctx, tx, "b", "1")
		wantKind(t, err, gathering.KindUnavailable, "the database cannot be reached")
		return err
	})
	wantKind(t, err, gathering.KindUnavailable, "the database cannot be reached")
	if store.Ambiguous(err) {
		t.Errorf("%v is ambiguous, though no commit was sent", err)
	}
	run(t, db, `INSERT INTO meta (key, value) VALUES ('c', '1')`)
	wantKeys(t, db, "c")
}

// Everything that may be the matter with a PostgreSQL server has a name.
func TestServerErrors(t *testing.T) {
	t.Parallel()
	tests := []struct{ code, want string }{
		{"53100", "the disk is full"},
		{"53200", "the database's host is out of order"},
		{"53300", "the database takes no more connections"},
		{"55P03", "the database is locked by others"},
		{"25006", "the database cannot be written"},
		{"58030", "the database's host is out of order"},
		{"57P03", "the database cannot be reached"},
		{"08006", "the database cannot be reached"},
		{"28P01", "the database refuses the user or the password"},
		{"25P03", "the transaction waited too long"},
	}
	db := storetest.Open(t, storetest.PostgreSQL(t))
	for _, test := range tests {
		t.Run(test.code, func(t *testing.T) {
			t.Parallel()
			var b store.Batch
			b.Exec(`DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '` + test.code + `', MESSAGE = 'test'; END $$`)
			err := db.Run(t.Context(), &b)
			wantKind(t, err, gathering.KindUnavailable, test.want)
			if store.Ambiguous(err) {
				t.Errorf("%v is ambiguous, though the server said no", err)
			}
		})
	}
}

// Whoever opens a database is told which server has what the matter, and
// neither the user nor the password.
func TestServerCannotBeOpened(t *testing.T) {
	t.Parallel()
	_, where := behindProxy(t, storetest.PostgreSQL(t))
	there, err := url.Parse(where.URL)
	if err != nil {
		t.Fatal(err)
	}
	const port = "127.0.0.1:1" // nobody listens there
	mute, ends, plain := listen(t, nil), listen(t, answering("")), listen(t, answering("N"))
	long, socket := strings.Repeat("a", 64), t.TempDir()
	tests := []struct {
		name, url, want string
	}{
		{
			"a closed port", "postgres://ada:secret@" + port + "/x",
			"the database at " + port + " cannot be reached: connection refused",
		},
		{
			"several servers", "postgres://ada:secret@" + port + "," + port + "," + long + ":7/x",
			"the database at " + port + ", " + long + ":7 cannot be reached: no such host",
		},
		{
			"no host", "postgres://ada:secret@" + long + "/x",
			"the database at " + long + ":5432 cannot be reached: no such host",
		},
		{
			"no socket", "postgres://ada:secret@/x?host=" + socket,
			"the database at " + socket + "/.s.PGSQL.5432 cannot be reached: there is no such socket",
		},
		{
			"words instead of a URL", "host=127.0.0.1 port=" + strings.TrimPrefix(port, "127.0.0.1:") + " user=ada password=secret",
			"the database at " + port + " cannot be reached: connection refused",
		},
		{
			"no answer", "postgres://ada:secret@" + mute + "/x?sslmode=disable&connect_timeout=1",
			"the database at " + mute + " cannot be reached: no answer in the time allowed",
		},
		{
			"an end", "postgres://ada:secret@" + ends + "/x",
			"the database at " + ends + " cannot be reached: it closed the connection",
		},
		{
			"no TLS", "postgres://ada:secret@" + plain + "/x?sslmode=require",
			"the database at " + plain + " cannot be reached: it has no TLS, which sslmode asks for",
		},
		{
			"an unknown user", "postgres://ada:secret@" + there.Host + there.Path,
			"the database at " + there.Host + " refuses the user or the password",
		},
		{
			"an unknown database", "postgres://" + there.User.String() + "@" + there.Host + "/nowhere",
			`there is no database "nowhere" at ` + there.Host,
		},
		{
			"a password with a slash", "postgres://" + long + ":1/secret@" + there.Host + "/x",
			"the database cannot be reached: no such host",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := store.Options{URL: test.url}
			_, opened := store.Open(t.Context(), o)
			_, asked := store.MigrationStatus(t.Context(), o)
			for _, err := range []error{opened, asked} {
				f := gathering.FailureOf(err)
				if f == nil || f.Kind != gathering.KindUnavailable || f.Message != test.want {
					t.Errorf("got %+v, want %q of kind unavailable", f, test.want)
				}
			}
		})
	}
}

// listen is the address of a server that does no more than serve; with nil it
// takes connections and is silent.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	t.Cleanup(served.Wait)
	t.Cleanup(func() { _ = listener.Close() })
	if serve != nil {
		served.Go(func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				serve(conn)
				_ = conn.Close()
			}
		})
	}
	return listener.Addr().String()
}

// answering reads what a client says first, whether there is TLS, and answers.
func answering(answer string) func(net.Conn) {
	return func(conn net.Conn) {
		_, _ = io.ReadFull(conn, make([]byte, 8))
		_, _ = io.WriteString(conn, answer)
	}
}

// An outcome that the server itself does not know is ambiguous.
func TestServerDoesNotKnow(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.PostgreSQL(t))
	var b store.Batch
	b.Exec(`DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40003'; END $$`)
	if err := db.Run(t.Context(), &b); !store.Ambiguous(err) {
		t.Errorf("%v is not ambiguous", err)
	}
}

// Two transactions that lock each other out are sorted out by repeating one.
func TestDeadlockIsRepeated(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := storetest.Open(t, storetest.PostgreSQL(t))
	run(t, db, `INSERT INTO meta (key, value) VALUES ('a', ''), ('b', '')`)
	locked := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
	answers := make(chan error)
	var runs atomic.Int64
	for i, keys := range [2][2]string{{"a", "b"}, {"b", "a"}} {
		go func() {
			first := true
			answers <- db.Tx(ctx, func(tx *store.Tx) error {
				runs.Add(1)
				for n, key := range keys {
					if _, err := tx.Exec(ctx, `UPDATE meta SET value = value || 'x' WHERE key = $1`, key); err != nil {
						return err
					}
					if n == 0 && first {
						first = false
						close(locked[i])
						<-locked[1-i]
					}
				}
				return nil
			})
		}()
	}
	for range locked {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if runs.Load() != 3 {
		t.Errorf("the functions ran %d times, want 3", runs.Load())
	}
	var value string
	if err := db.Read().QueryRow(ctx, `SELECT value FROM meta WHERE key = 'a'`).Scan(&value); err != nil || value != "xx" {
		t.Errorf("value is %q (%v), want two updates", value, err)
	}
}

// The order of the feed's positions is the order of commits: who took a
// position has committed before another can take the next.
func TestFeedOrder(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const writers, each = 8, 25
		errs := make(chan error)
		for range writers {
			go func() {
				var err error
				for range each {
					var b store.Batch
					b.Exec(db.Dialect().FeedLock())
					b.Exec(`INSERT INTO feed (at, entries) VALUES (1, '[]')`)
					err = errors.Join(err, db.Run(ctx, &b))
				}
				errs <- err
			}()
		}
		var last, seen int64
		for ended := 0; ended < writers || seen < writers*each; {
			select {
			case err := <-errs:
				ended++
				if err != nil {
					t.Fatal(err)
				}
			default:
			}
			rows, err := db.Read().Query(ctx, `SELECT pos FROM feed WHERE pos > $1 ORDER BY pos`, last)
			if err == nil {
				err = rows.Each(func(row store.Scanner) error { seen++; return row.Scan(&last) })
			}
			if err != nil {
				t.Fatal(err)
			}
			if ended == writers && seen < writers*each {
				t.Fatalf("a reader that follows the positions saw %d rows of %d", seen, writers*each)
			}
		}
	})
}
