package ratelimit_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"gathering"
	"gathering/internal/ratelimit"
)

// journal keeps what is logged.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// Printf keeps what the Redis library says.
func (j *journal) Printf(_ context.Context, format string, args ...any) {
	fmt.Fprintf(j, format+"\n", args...)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// holds says how often each of the texts is in the journal.
func (j *journal) holds(texts ...string) []int {
	var counts []int
	for _, text := range texts {
		counts = append(counts, strings.Count(j.String(), text))
	}
	return counts
}

const (
	goes = "not shared for now"
	back = "shared again"
)

// sharing returns a limiter that asks Redis and fails the test if it does not
// answer.
func sharing(t *testing.T, o ratelimit.Options) *ratelimit.Limiter {
	t.Helper()
	var j journal
	if o.Redis == "" {
		o.Redis = redisURL(t)
	}
	o.Timeout, o.Logger = patience, j.logger()
	l := open(t, o)
	t.Cleanup(func() {
		if j.String() != "" {
			t.Errorf("logged:\n%s", j.String())
		}
	})
	return l
}

func TestShared(t *testing.T) {
	t.Parallel()
	one, other := sharing(t, ratelimit.Options{}), sharing(t, ratelimit.Options{})
	r, key := rate(t, "4/24h"), unique("ada")
	for i, l := range []*ratelimit.Limiter{one, other, other, one} {
		if look := other.Look(t.Context(), key, r); !look.Allowed || look.Remaining != 4-i || look.RetryAfter != 0 {
			t.Errorf("before the request %d it looks like %+v", i, look)
		}
		v := l.Take(t.Context(), key, r)
		full := time.Duration(i+1) * 6 * time.Hour
		if !v.Allowed || v.Limit != 4 || v.Remaining != 3-i || v.RetryAfter != 0 || !near(v.Reset, full) {
			t.Errorf("the request %d: got %+v, want it let through, %d left and full in %s", i, v, 3-i, full)
		}
	}
	for _, l := range []*ratelimit.Limiter{one, other} {
		for _, v := range []ratelimit.Verdict{l.Look(t.Context(), key, r), l.Take(t.Context(), key, r)} {
			if v.Allowed || v.Limit != 4 || v.Remaining != 0 || !near(v.Reset, 24*time.Hour) || !near(v.RetryAfter, 6*time.Hour) {
				t.Errorf("got %+v, want it refused for 6h", v)
			}
		}
	}
	for _, other := range []string{"4/23h", "5/24h"} {
		if v := one.Look(t.Context(), key, rate(t, other)); v.Remaining != v.Limit {
			t.Errorf("a bucket of another rate: got %+v, want it full", v)
		}
	}
	if v := one.Look(t.Context(), key+"x", r); v.Remaining != v.Limit {
		t.Errorf("a bucket of another key: got %+v, want it full", v)
	}
}

// near reports whether a duration is what it should be, or less by what the
// test took.
func near(got, want time.Duration) bool {
	return got <= want+time.Millisecond && got >= want-10*time.Minute
}

func TestSharedAtOnce(t *testing.T) {
	t.Parallel()
	limiters := []*ratelimit.Limiter{sharing(t, ratelimit.Options{}), sharing(t, ratelimit.Options{})}
	// Intervals of which floating-point seconds know the exact length and none.
	for _, text := range []string{"128/24h", "600/24h", "997/24h"} {
		r, key := rate(t, text), unique("ada")
		var (
			let     atomic.Int64
			callers sync.WaitGroup
			mu      sync.Mutex
			left    = map[int]int{}
		)
		for i := range 64 {
			callers.Go(func() {
				for range 20 {
					if v := limiters[i%2].Take(context.Background(), key, r); v.Allowed {
						let.Add(1)
						mu.Lock()
						left[v.Remaining]++
						mu.Unlock()
					}
				}
			})
		}
		callers.Wait()
		if got := let.Load(); got != int64(r.Requests) {
			t.Errorf("%s: %d requests were let through", text, got)
		}
		for i := range r.Requests {
			if left[i] != 1 {
				t.Errorf("%s: %d requests were told that %d remain, want 1", text, left[i], i)
			}
		}
	}
}

// TestSharedRemaining holds that no request is lost in Redis' arithmetic.
func TestSharedRemaining(t *testing.T) {
	t.Parallel()
	l := sharing(t, ratelimit.Options{})
	for n := 2; n < 100; n++ {
		r, key := ratelimit.Rate{Requests: n, Per: 24 * time.Hour}, unique("ada")
		for want := n - 1; want >= n-2; want-- {
			if v := l.Take(t.Context(), key, r); v.Remaining != want {
				t.Errorf("%s: %d remain, want %d", r, v.Remaining, want)
			}
			if v := l.Look(t.Context(), key, r); v.Remaining != want {
				t.Errorf("%s: it looks as if %d remain, want %d", r, v.Remaining, want)
			}
		}
	}
}

// TestSharedRefill holds that whoever waits for as long as Redis' bucket says
// is let through, and by the rate alone.
func TestSharedRefill(t *testing.T) {
	t.Parallel()
	l := sharing(t, ratelimit.Options{})
	for _, text := range []string{"50/s", "333/1.1s"} {
		r, key := rate(t, text), unique("ada")
		begin, let := time.Now(), 0
		for range r.Requests + 20 {
			v := l.Take(t.Context(), key, r)
			if !v.Allowed {
				if look := l.Look(t.Context(), key, r); look.RetryAfter > v.RetryAfter {
					t.Errorf("%s: it looks like %+v after %+v", text, look, v)
				}
				<-time.After(v.RetryAfter)
				if v = l.Take(t.Context(), key, r); !v.Allowed {
					t.Fatalf("%s: who waited is refused: %+v", text, v)
				}
			}
			let++
		}
		refilled := int(time.Since(begin) * time.Duration(r.Requests) / r.Per)
		if let > r.Requests+refilled+1 {
			t.Errorf("%s: %d requests were let through where %d were refilled", text, let, refilled)
		}
	}
}

// TestRedisClockThatGoesBack makes it seem so by what is kept of a bucket.
func TestRedisClockThatGoesBack(t *testing.T) {
	t.Parallel()
	options, err := redis.ParseURL(redisURL(t))
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	l := sharing(t, ratelimit.Options{})
	r, key := rate(t, "4/24h"), unique("ada")
	l.Take(t.Context(), key, r)
	if err := client.IncrByFloat(t.Context(), "rate:"+ratelimit.RedisKey(key, r), 100*3600).Err(); err != nil {
		t.Fatal(err)
	}
	if v := l.Take(t.Context(), key, r); v.Allowed || !near(v.Reset, 24*time.Hour) || !near(v.RetryAfter, 6*time.Hour) {
		t.Errorf("got %+v, want it taken to be empty", v)
	}
	if got := used(l, key, r); got != 4 {
		t.Errorf("%d requests were let through then, want 4", got)
	}
}

func TestCallerThatWentAwayIsCounted(t *testing.T) {
	t.Parallel()
	l := sharing(t, ratelimit.Options{})
	r, key := rate(t, "3/24h"), unique("ada")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l.Take(ctx, key, r)
	if v := sharing(t, ratelimit.Options{}).Look(t.Context(), key, r); v.Remaining != 2 {
		t.Errorf("got %+v, want that one was taken", v)
	}
}

// TestRedisGoesAndComesBack holds that the limits hold at once without Redis,
// and are shared again once it is back.
func TestRedisGoesAndComesBack(t *testing.T) {
	t.Parallel()
	f := newFlaky(t)
	var j journal
	o := ratelimit.Options{Redis: f.url(), Timeout: patience, Logger: j.logger()}
	one, other := open(t, o), open(t, o)
	r, usedUp, half, fresh := rate(t, "4/24h"), unique("a"), unique("b"), unique("c")
	if got := used(one, usedUp, r); got != 4 {
		t.Fatalf("%d requests were let through, want 4", got)
	}
	one.Take(t.Context(), half, r)
	other.Take(t.Context(), half, r)
	other.Take(t.Context(), half, r)

	f.stop()
	begin := time.Now()
	for key, want := range map[string][2]int{
		usedUp: {0, 4}, // which only the one has seen
		half:   {3, 1}, // as each saw it last
		fresh:  {4, 4},
	} {
		if got := [2]int{used(one, key, r), used(other, key, r)}; got != want {
			t.Errorf("%s: %v requests were let through without Redis, want %v", key[:1], got, want)
		}
	}
	if took := time.Since(begin); took > patience/2 {
		t.Errorf("verdicts without Redis took %s", took)
	}
	if got := j.holds(goes, back); got[0] != 2 || got[1] != 0 {
		t.Errorf("logged:\n%s", j.String())
	}

	if err := f.start(); err != nil {
		t.Fatal(err)
	}
	witness, often := sharing(t, ratelimit.Options{Redis: f.url()}), rate(t, "1000000/24h")
	for _, l := range []*ratelimit.Limiter{one, other} {
		key := unique("d")
		until(t, func() bool {
			l.Take(t.Context(), key, often)
			v := witness.Look(t.Context(), key, often)
			return v.Remaining < v.Limit
		})
	}
	again := unique("e")
	one.Take(t.Context(), again, r)
	if got := used(other, again, r); got != 3 {
		t.Errorf("%d requests were let through after one elsewhere, want 3", got)
	}
	if got := j.holds(goes, back); got[0] != 2 || got[1] != 2 {
		t.Errorf("logged:\n%s", j.String())
	}

	// What was used up without Redis is there anew, and without it is not.
	if v := one.Take(t.Context(), fresh, r); v.Remaining != 3 {
		t.Errorf("got %+v, want it of a full bucket", v)
	}
	f.stop()
	for key, want := range map[string]int{fresh: 0, again: 3} {
		if got := used(one, key, r); got != want {
			t.Errorf("%s: %d requests were let through without Redis again, want %d", key[:1], got, want)
		}
	}
	other.Close()
	if got := used(other, again, r); got != 0 {
		t.Errorf("a closed limiter let %d requests through after it saw the bucket empty", got)
	}
	if got := j.holds(goes, back); got[0] != 3 || got[1] != 2 {
		t.Errorf("logged:\n%s", j.String())
	}
}

func until(t *testing.T, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatal("it does not happen")
		}
	}
}

// TestWithoutRedis holds that a limiter whose Redis was never there limits.
func TestWithoutRedis(t *testing.T) {
	t.Parallel()
	var j journal
	l := open(t, ratelimit.Options{Redis: "unix://:hunter2@" + t.TempDir() + "/none", Logger: j.logger()})
	for range 30 {
		if got := used(l, unique("ada"), rate(t, "5/24h")); got != 5 {
			t.Errorf("%d requests were let through, want 5", got)
		}
	}
	if text := j.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "/none: connect: no such file") {
		t.Errorf("logged, want one line that says why:\n%s", text)
	}
}

// listen calls serve for each connection, until the test ends.
func listen(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		conns.Wait()
	})
	return listener.Addr().String()
}

// TestRedisThatDoesNotAnswer holds that few wait for a Redis that takes
// connections and says nothing.
func TestRedisThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	address := listen(t, func(conn net.Conn) {
		asked.Add(1)
		_, _ = conn.Read(make([]byte, 1<<10))
		_, _ = conn.Read(make([]byte, 1<<10)) // ends when the other side does
	})
	var j journal
	const timeout = 50 * time.Millisecond
	l := open(t, ratelimit.Options{Redis: "redis://" + address, Timeout: timeout, Logger: j.logger()})
	begin := time.Now()
	for i := range 2000 {
		l.Take(t.Context(), fmt.Sprint(i), rate(t, "5/h"))
	}
	if took := time.Since(begin); took < timeout || took > 3*time.Second {
		t.Errorf("2000 verdicts took %s", took)
	}

	// After a second one of many asks again.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for asked.Load() < 2 && ctx.Err() == nil {
				l.Take(ctx, "ada", rate(t, "5/h"))
			}
		})
	}
	callers.Wait()
	took := time.Since(begin)
	if got := asked.Load(); got < 2 || got > 1+int64(took/time.Second) {
		t.Errorf("it was asked %d times in %s", got, took)
	}
	if j.holds(goes)[0] != 1 {
		t.Errorf("logged, want one line:\n%s", j.String())
	}
}

// TestPasswordIsNotLogged has a server send it back.
func TestPasswordIsNotLogged(t *testing.T) {
	t.Parallel()
	const password = "hunter2"
	address := listen(t, func(conn net.Conn) {
		for {
			if _, err := conn.Read(make([]byte, 1<<10)); err != nil {
				return
			}
			fmt.Fprintf(conn, "-ERR unknown command, with args beginning with: `%s`\r\n", password)
		}
	})
	var j journal
	l := open(t, ratelimit.Options{Redis: "redis://ada:" + password + "@" + address, Timeout: patience, Logger: j.logger()})
	if v := l.Take(t.Context(), "ada", rate(t, "5/h")); v.Remaining != 4 {
		t.Errorf("got %+v, want it counted here", v)
	}
	if text := j.String(); strings.Contains(text, password) || !strings.Contains(text, "beginning with: `…`") {
		t.Errorf("logged:\n%s", text)
	}
}

func TestCloseEndsConnections(t *testing.T) {
	t.Parallel()
	options, err := redis.ParseURL(redisURL(t))
	if err != nil {
		t.Fatal(err)
	}
	witness := redis.NewClient(options)
	defer witness.Close()
	name := unique("limiter")
	connected := func() bool {
		list, err := witness.ClientList(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(list, name)
	}
	where, err := url.Parse(redisURL(t))
	if err != nil {
		t.Fatal(err)
	}
	query := where.Query()
	query.Set("client_name", name)
	where.RawQuery = query.Encode()
	l := sharing(t, ratelimit.Options{Redis: where.String()})
	l.Take(t.Context(), unique("ada"), rate(t, "5/h"))
	if !connected() {
		t.Fatal("it did not connect")
	}
	l.Close()
	until(t, func() bool { return !connected() })
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"redis", "localhost:6379", "http://:hunter2@localhost", "redis://:hunter2@localhost:none", "redis://:hun/ter2@localhost",
		"redis://:hunter2@localhost/zero", "redis://:hunter2@localhost?password=hunter2", "unix://:hunter2@", "redis://:hunter2%zz@localhost", "\x00",
	} {
		_, err := ratelimit.New(ratelimit.Options{Redis: url})
		if gathering.KindOf(err) != gathering.KindInvalid || strings.Contains(err.Error(), "hun") {
			t.Errorf("%q: got %v", url, err)
		}
	}
	for _, url := range []string{"redis://localhost", "rediss://ada:p%40ss@example.com:6380/2", "unix:///run/redis.sock?db=1", "redis://[::1]:1"} {
		l, err := ratelimit.New(ratelimit.Options{Redis: url})
		if err != nil {
			t.Errorf("%q: got %v", url, err)
			continue
		}
		l.Close()
	}
}
