package cli_test

import (
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// way is the way to a PostgreSQL server. While it is cut the server is away: no
// connection is left, and none is made.
type way struct {
	t               *testing.T
	network, server string
	address         string // of the listener, "" before the first

	mu       sync.Mutex
	listener net.Listener // nil while it is cut
	open     map[net.Conn]bool
	all      sync.WaitGroup
}

// newWay returns a way to a database and the URL that leads over it.
func newWay(t *testing.T, where store.Options) (*way, string) {
	t.Helper()
	config, err := pgx.ParseConfig(where.URL)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(where.URL)
	if err != nil {
		t.Fatal(err)
	}
	w := &way{t: t, address: "127.0.0.1:0", open: map[net.Conn]bool{}}
	w.network, w.server = pgconn.NetworkAddress(config.Host, config.Port)
	w.restore()
	t.Cleanup(w.all.Wait)
	t.Cleanup(w.cut)
	query := u.Query()
	query.Del("host")
	u.Host, u.RawQuery = w.address, query.Encode()
	return w, u.String()
}

func (w *way) restore() {
	w.t.Helper()
	listener, err := net.Listen("tcp", w.address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listener, w.address = listener, listener.Addr().String()
	w.all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			w.all.Go(func() { w.serve(listener, client) })
		}
	})
}

func (w *way) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listener != nil {
		_ = w.listener.Close()
		w.listener = nil
	}
	for conn := range w.open {
		_ = conn.Close()
	}
}

func (w *way) serve(from net.Listener, client net.Conn) {
	defer client.Close()
	server, err := net.Dial(w.network, w.server)
	if err != nil {
		return
	}
	defer server.Close()
	w.mu.Lock()
	if w.listener != from {
		w.mu.Unlock()
		return
	}
	w.open[client] = true
	w.mu.Unlock()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	_, _ = io.Copy(server, client)
	_ = server.Close()
	back.Wait()
	w.mu.Lock()
	delete(w.open, client)
	w.mu.Unlock()
}

// awaitBeats waits until somebody works: an instance has said that it is alive.
func (d *desk) awaitBeats(db *store.DB, b *background) {
	d.t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for limit := time.Now().Add(patience); time.Now().Before(limit); <-ticker.C {
		var beats int64
		if err := db.Read().QueryRow(d.t.Context(), `SELECT coalesce(max(counter), 0) FROM instances`).Scan(&beats); err != nil {
			d.t.Fatal(err)
		}
		if beats > 1 {
			return
		}
	}
	d.t.Fatalf("nobody works\nstdout:\n%s\nstderr:\n%s", b.stdout, b.stderr)
}

// TestDatabaseThatGoesAway takes the database away from commands that work: they
// wait, say so once, and end what they began once it is back.
func TestDatabaseThatGoesAway(t *testing.T) {
	t.Parallel()
	here := func(t *testing.T) (*desk, *way, *store.DB) {
		t.Helper()
		d := newDesk(t)
		where := storetest.PostgreSQL(t)
		w, url := newWay(t, where)
		d.env["GATHERING_DATABASE_URL"], d.env["GATHERING_BEAT"], d.env["GATHERING_LOG_LEVEL"] = url, "100ms", "error"
		d.file("nap.yaml", strings.Replace(nap, "1h", "5s", 1))
		return d, w, storetest.Open(t, where)
	}
	const away, back = "the database cannot be reached; waiting for it\n", "the database is back\n"
	once := func(t *testing.T, b *background) {
		t.Helper()
		for _, text := range []string{away, back} {
			if got := strings.Count(b.stderr.String(), text); got != 1 {
				t.Errorf("%q is told %d times, want once:\n%s", text, got, b.stderr)
			}
		}
	}
	left := func(t *testing.T, d *desk) {
		t.Helper()
		b := d.start(nil, "run", "nap.yaml")
		d.await("the delay", b.stdout.seen("nap  waits"), b)
		b.signals <- syscall.SIGTERM
		<-b.ended
	}

	t.Run("from resume", func(t *testing.T) {
		t.Parallel()
		d, w, db := here(t)
		left(t, d)
		b := d.start(nil, "runs", "resume", "--wait", "1m")
		d.awaitBeats(db, b)
		w.cut()
		d.await("word that it is away", b.stderr.seen(away), b)
		w.restore()
		d.end(b, 0)
		once(t, b)
		if got := b.stdout.String(); !strings.Contains(got, "nap  completed") || !strings.Contains(got, "nothing waits") {
			t.Errorf("resume says:\n%s", got)
		}
	})
	t.Run("from resume, which is interrupted", func(t *testing.T) {
		t.Parallel()
		d, w, db := here(t)
		left(t, d)
		b := d.start(nil, "runs", "resume", "--wait", "1m")
		d.awaitBeats(db, b)
		w.cut()
		d.await("word that it is away", b.stderr.seen(away), b)
		b.signals <- syscall.SIGINT
		d.end(b, 130)
	})
	t.Run("from run", func(t *testing.T) {
		t.Parallel()
		d, w, _ := here(t)
		b := d.start(nil, "run", "nap.yaml")
		d.await("the delay", b.stdout.seen("nap  waits"), b)
		w.cut()
		d.await("word that it is away", b.stderr.seen(away), b)
		w.restore()
		d.end(b, 0)
		once(t, b)
		if got := b.stdout.String(); !strings.Contains(got, "after  completed") {
			t.Errorf("run says:\n%s", got)
		}
	})
	t.Run("from run, which is interrupted", func(t *testing.T) {
		t.Parallel()
		d, w, _ := here(t)
		b := d.start(nil, "run", "nap.yaml")
		d.await("the delay", b.stdout.seen("nap  waits"), b)
		w.cut()
		b.signals <- syscall.SIGINT
		d.end(b, 130)
		if got := b.stderr.String(); !strings.Contains(got, "left run_") || !strings.Contains(got, "gathering runs resume goes on with it") {
			t.Errorf("stderr: %s", got)
		}
	})
}
