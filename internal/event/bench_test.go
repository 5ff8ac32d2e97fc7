package event_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gathering"
	"gathering/internal/event"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

const benchReaders = 1000

func databases() map[string]func(testing.TB) store.Options {
	return map[string]func(testing.TB) store.Options{"sqlite": storetest.SQLite, "postgresql": storetest.PostgreSQL}
}

// audience is many readers of one sequence, each of which notes how long each
// item was on its way.
type audience struct {
	stamp   atomic.Int64 // when the item that is on its way was durable
	heard   sync.WaitGroup
	ended   sync.WaitGroup
	delays  [][]time.Duration
	stop    context.CancelFunc
	started time.Time
}

// gather has readers begin to read a tail after a position.
func gather[T any](b *testing.B, tail *event.Tail[T], after int64) *audience {
	b.Helper()
	ctx, stop := context.WithCancel(context.Background())
	a := &audience{delays: make([][]time.Duration, benchReaders), stop: stop, started: time.Now()}
	for i := range benchReaders {
		a.ended.Go(func() {
			for _, err := range tail.Read(ctx, after) {
				if err != nil {
					return
				}
				a.delays[i] = append(a.delays[i], time.Since(a.started)-time.Duration(a.stamp.Load()))
				a.heard.Done()
			}
		})
	}
	return a
}

// say makes an item durable and rings, and returns when all have heard.
func (a *audience) say(write, ring func()) {
	a.heard.Add(benchReaders)
	write()
	a.stamp.Store(int64(time.Since(a.started)))
	ring()
	a.heard.Wait()
}

// measure says things, of which the first does not count.
func (a *audience) measure(b *testing.B, reads func() int64, say func()) {
	b.Helper()
	say()
	before := reads()
	clear(a.delays)
	b.ResetTimer()
	for range b.N {
		say()
	}
	b.ReportMetric(float64(reads()-before)/float64(b.N), "reads/append")
	a.report(b)
}

func (a *audience) report(b *testing.B) {
	b.Helper()
	b.StopTimer()
	a.stop()
	a.ended.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(a.delays...)))
	for _, percent := range []int{50, 99} {
		b.ReportMetric(float64(all[len(all)*percent/100].Microseconds())/1000, fmt.Sprintf("p%d-ms", percent))
	}
}

// BenchmarkTail measures from an append to its receipt by each of 1,000 readers,
// of a sequence in memory: what the tail itself costs.
func BenchmarkTail(b *testing.B) {
	p := &tape{}
	a, next := gather(b, event.NewTail(p.options()), 0), int64(0)
	a.measure(b, func() int64 { return int64(p.count()) }, func() {
		next++
		a.say(func() { p.change(func() { p.positions = append(p.positions, next) }) }, func() { p.bell.Ring("tape") })
	})
}

// BenchmarkFeedTail measures from a commit to its receipt by each of 1,000
// readers of the feed.
func BenchmarkFeedTail(b *testing.B) {
	for name, fresh := range databases() {
		b.Run(name, func(b *testing.B) {
			db := storetest.Open(b, fresh(b))
			var (
				reads atomic.Int64
				bell  event.Bell
				seq   int64
			)
			through, _ := db.Through(func(_ context.Context, a store.Access) error {
				reads.Add(1)
				return a.Do()
			})
			a := gather(b, event.FeedTail(through.Read(), &bell), 0)
			a.measure(b, reads.Load, func() {
				seq++
				a.say(func() {
					if err := write(b.Context(), db, "pip_1", seq); err != nil {
						b.Fatal(err)
					}
				}, func() { bell.Ring(event.TopicFeed) })
			})
		})
	}
}

// BenchmarkCommits measures pages of the feed with its events.
func BenchmarkCommits(b *testing.B) {
	for name, fresh := range databases() {
		db := storetest.Open(b, fresh(b))
		writeFeed(b, db, 10_000)
		for _, limit := range []int{1, 32, 128} {
			b.Run(name+"/"+strconv.Itoa(limit), func(b *testing.B) {
				for b.Loop() {
					commits, err := event.Commits(b.Context(), db.Read(), 5000, limit)
					if err != nil || len(commits) != limit {
						b.Fatalf("got %d commits, %v", len(commits), err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*limit), "µs/commit")
			})
		}
	}
}

// writeFeed writes so many commits of an event of 200 bytes.
func writeFeed(b *testing.B, db *store.DB, commits int) {
	b.Helper()
	var (
		batch store.Batch
		rows  [][]any
	)
	for range commits {
		id := string(gathering.NewRunID(time.Now()))
		row, _, err := event.Pack(history(id, 1, 1, text(200)))
		if err != nil {
			b.Fatal(err)
		}
		rows = append(rows, []any{id, row.Seq, row.At, int64(row.Version), row.Rows})
		batch.Exec(`INSERT INTO feed (at, entries) VALUES ($1, $2)`, row.At, fmt.Sprintf(`[[%q,1,1]]`, id))
	}
	batch.Rows(`INSERT INTO run_log (run_id, seq, at, version, rows) {values}`, []store.Column{
		{Name: "run_id", Type: store.Text},
		{Name: "seq", Type: store.Int},
		{Name: "at", Type: store.Int},
		{Name: "version", Type: store.Int},
		{Name: "rows", Type: store.Bytes},
	}, rows, nil)
	if err := db.Run(b.Context(), &batch); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPublish measures one delta of 100 bytes on its way to so many
// subscribers who take what comes.
func BenchmarkPublish(b *testing.B) {
	data := text(100)
	for _, subscribers := range []int{0, 1, 10, 100} {
		for _, key := range []string{"", "k"} {
			b.Run(fmt.Sprintf("%d/key=%t", subscribers, key != ""), func(b *testing.B) {
				d := event.NewDeltas(event.DeltasOptions{})
				defer d.Close()
				for range subscribers {
					d.Handle(func(context.Context, event.Delivery) {}, "run_1")
				}
				d.Handle(func(context.Context, event.Delivery) {}, "run_2")
				delta := gathering.Delta{Type: gathering.DeltaText, Stream: "run_1", Key: key, Data: data}
				b.ReportAllocs()
				for b.Loop() {
					d.Publish(b.Context(), "run_1", delta)
				}
				if c := d.Counts(); c.Offered > 0 {
					b.ReportMetric(100*float64(c.Dropped)/float64(c.Offered), "%dropped")
					b.ReportMetric(100*float64(c.Replaced)/float64(c.Offered), "%replaced")
				}
			})
		}
	}
}
