package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/run"
	"gathering/internal/store"
)

// Options say what to measure and where.
type Options struct {
	// App says which database. What is measured is written to a fresh
	// directory inside Data, or to a fresh schema of Database, and removed
	// at the end.
	App app.Options
	// Nodes is how many nodes of work a run has after its trigger; 5.
	Nodes int
	// Inflight is how many runs are under way at once; 256.
	Inflight int
	// Duration is how long runs are measured, and again how long the bare
	// limit is; 5 s.
	Duration time.Duration
	// Stored is how many runs that have ended are in the database beforehand.
	Stored int
}

// Result is what was measured.
type Result struct {
	Database string  `json:"database"`
	Nodes    int     `json:"nodes"`
	Inflight int     `json:"inflight"`
	Rate     float64 `json:"runs_per_s"`
	P50      float64 `json:"p50_ms"` // from the start of a run until its end is known
	P99      float64 `json:"p99_ms"`
	// Limit is how many runs a second the same rows make, written by the same
	// group commit into the same tables, without an engine or an owner.
	Limit float64 `json:"limit_runs_per_s"`
	Ratio float64 `json:"ratio"` // Rate of Limit
}

// turns is in how many turns the measurements take their time: what else the
// machine does then meets both alike.
const turns = 5

// Runs measures runs of a trigger and nodes that do nothing, one after the
// other, each durable before the next.
func Runs(ctx context.Context, o Options) (result Result, err error) {
	o = o.withDefaults()
	place, err := settle(ctx, o.App)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, place.remove(context.WithoutCancel(ctx))) }()
	a, err := app.Open(ctx, place.product)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	// The limit has tables of its own, where no worker wonders about its runs.
	db, err := store.Open(ctx, place.bare)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return measure(ctx, a, db, o)
}

func (o Options) withDefaults() Options {
	if o.Nodes == 0 {
		o.Nodes = 5
	}
	if o.Inflight == 0 {
		o.Inflight = 256
	}
	if o.Duration == 0 {
		o.Duration = 5 * time.Second
	}
	return o
}

// measure lets the runs and the bare limit take turns, after one turn of each
// to warm up.
func measure(ctx context.Context, a *app.App, db *store.DB, o Options) (Result, error) {
	result := Result{Database: string(a.DB.Dialect().Database), Nodes: o.Nodes, Inflight: o.Inflight}
	p, err := a.Save(ctx, gathering.DefaultProject, line(o.Nodes))
	if err != nil {
		return result, err
	}
	worker, err := a.Runs.Work(ctx, run.WorkerOptions{Slots: 2 * o.Inflight, Version: "bench"})
	if err != nil {
		return result, err
	}
	defer worker.Stop()
	product := &contest{one: func(ctx context.Context) error { return runOnce(ctx, a, p) }, inflight: o.Inflight}
	turn := o.Duration / turns
	if err := product.turn(ctx, turn); err != nil {
		return result, err
	}
	bare, err := newBare(ctx, a.DB, db)
	if err != nil {
		return result, err
	}
	defer bare.close()
	if err := bare.fill(ctx, a.DB, o.Stored); err != nil {
		return result, err
	}
	limit := &contest{one: bare.run, inflight: o.Inflight}
	if err := limit.turn(ctx, turn); err != nil {
		return result, err
	}
	product.reset()
	limit.reset()
	for range turns {
		if err := errors.Join(product.turn(ctx, turn), limit.turn(ctx, turn)); err != nil {
			return result, err
		}
	}
	result.Rate, result.Limit = round(product.rate(), 1), round(limit.rate(), 1)
	result.P50, result.P99 = product.percentile(0.50), product.percentile(0.99)
	result.Ratio = round(product.rate()/limit.rate(), 3)
	return result, nil
}

// line is the definition of a trigger and nodes that do nothing, in a line.
func line(nodes int) []byte {
	var b strings.Builder
	b.WriteString("name: bench\nnodes:\n  start: {kind: trigger}\n")
	last := "start"
	for i := range nodes {
		id := "work" + strconv.Itoa(i+1)
		fmt.Fprintf(&b, "  %s: {kind: tool, tool: bench.noop, needs: [%s]}\n", id, last)
		last = id
	}
	return []byte(b.String())
}

func runOnce(ctx context.Context, a *app.App, p gathering.Pipeline) error {
	r, err := a.Start(ctx, p, run.New{})
	if err != nil {
		return err
	}
	return a.Runs.Wait(ctx, r.ID)
}

// contest is what takes turns, and how fast it was.
type contest struct {
	one      func(ctx context.Context) error
	inflight int
	took     time.Duration

	mu        sync.Mutex
	latencies []time.Duration
}

func (c *contest) reset() { c.took, c.latencies = 0, nil }

// turn keeps as many under way as there are to be, and waits for the last. It
// makes one each at least.
func (c *contest) turn(ctx context.Context, length time.Duration) error {
	began := time.Now()
	end := began.Add(length)
	var (
		group  sync.WaitGroup
		failed = make(chan error, c.inflight)
	)
	for range c.inflight {
		group.Go(func() {
			var mine []time.Duration
			for len(mine) == 0 || time.Now().Before(end) {
				at := time.Now()
				if err := c.one(ctx); err != nil {
					failed <- err
					break
				}
				mine = append(mine, time.Since(at))
			}
			c.mu.Lock()
			c.latencies = append(c.latencies, mine...)
			c.mu.Unlock()
		})
	}
	group.Wait()
	c.took += time.Since(began)
	close(failed)
	return <-failed
}

func (c *contest) rate() float64 { return float64(len(c.latencies)) / c.took.Seconds() }

// percentile is in milliseconds.
func (c *contest) percentile(p float64) float64 {
	if len(c.latencies) == 0 {
		return 0
	}
	slices.Sort(c.latencies)
	i := int(math.Ceil(p*float64(len(c.latencies)))) - 1
	return round(c.latencies[max(i, 0)].Seconds()*1000, 3)
}

func round(x float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(x*scale) / scale
}
