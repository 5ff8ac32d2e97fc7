package store_test

import (
	"context"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"gathering"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// proxy stands between a store and its PostgreSQL server and cuts connections.
type proxy struct {
	network, server string
	next            atomic.Int32 // what becomes of the next request
}

const (
	forward    = iota
	cutRequest // it does not reach the server
	cutReply   // the server carries it out and the answer is lost
)

// behindProxy returns the way to the same database through a proxy.
func behindProxy(t *testing.T, where store.Options) (*proxy, store.Options) {
	t.Helper()
	config, err := pgx.ParseConfig(where.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{}
	p.network, p.server = pgconn.NetworkAddress(config.Host, config.Port)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var connections sync.WaitGroup
	t.Cleanup(connections.Wait)
	t.Cleanup(func() { _ = listener.Close() })
	connections.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { p.serve(client) })
		}
	})
	u, err := url.Parse(where.URL)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Del("host")
	u.Host, u.RawQuery = listener.Addr().String(), query.Encode()
	where.URL = u.String()
	return p, where
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial(p.network, p.server)
	if err != nil {
		return
	}
	defer server.Close()
	var replies sync.WaitGroup
	var mute atomic.Bool
	replies.Go(func() {
		defer client.Close()
		relay(server, client, func([]byte) bool { return !mute.Load() })
	})
	relay(client, server, func([]byte) bool {
		what := p.next.Swap(forward)
		mute.Store(what == cutReply)
		return what != cutRequest
	})
	_ = server.Close()
	replies.Wait()
}

// relay copies until either side ends or let refuses what was read.
func relay(from, to net.Conn, let func([]byte) bool) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if err != nil || !let(buffer[:n]) {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// A connection that breaks in the commit leaves its outcome open, and the pool
// goes on with another.
func TestCommitCut(t *testing.T) {
	t.Parallel()
	insert := func(ctx context.Context, db *store.DB, key string) error {
		return db.Tx(ctx, func(tx *store.Tx) error { return put(ctx, tx, key, "1") })
	}
	batch := func(ctx context.Context, db *store.DB, key string) error {
		var b store.Batch
		b.Exec(`INSERT INTO meta (key, value) VALUES ($1, '1')`, key)
		return db.Run(ctx, &b)
	}
	tests := []struct {
		name  string
		write func(ctx context.Context, db *store.DB, key string) error
		cut   int32
		want  string
	}{
		{"transaction's request", insert, cutRequest, "after before"},
		{"transaction's reply", insert, cutReply, "after before cut"},
		{"batch's request", batch, cutRequest, "after before"},
		{"batch's reply", batch, cutReply, "after before cut"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			var armed atomic.Int32
			proxy, where := behindProxy(t, storetest.PostgreSQL(t))
			where.Commit = func(_ context.Context, commit func() error) error {
				proxy.next.Store(armed.Swap(forward))
				return commit()
			}
			db := storetest.Open(t, where)
			if err := test.write(ctx, db, "before"); err != nil { // also prepares the statement
				t.Fatal(err)
			}
			armed.Store(test.cut)
			err := test.write(ctx, db, "cut")
			wantKind(t, err, gathering.KindUnavailable, "the database cannot be reached")
			if !store.Ambiguous(err) {
				t.Errorf("%v is not ambiguous", err)
			}
			if err := test.write(ctx, db, "after"); err != nil {
				t.Error(err)
			}
			wantKeys(t, db, strings.Fields(test.want)...)
		})
	}
}

// A committer over connections that keep breaking writes each row once.
func TestCommitterOverCutConnections(t *testing.T) {
	t.Parallel()
	proxy, where := behindProxy(t, storetest.PostgreSQL(t))
	var armed atomic.Bool
	var commits atomic.Int32
	where.Commit = func(_ context.Context, commit func() error) error {
		if armed.Load() {
			proxy.next.Store(commits.Add(1) % 3) // cut the request, cut the reply, forward
		}
		return commit()
	}
	where.Connections = 3
	db := storetest.Open(t, where)
	armed.Store(true)
	c := logCommitter(db)
	for i := range 4 {
		commitEntries(t, c, 50*i, 50*(i+1))
	}
	c.Close()
	if logged, _ := counts(t, db); logged != 200 {
		t.Errorf("%d rows logged, want 200", logged)
	}
}
