package cli

import (
	"context"
	"fmt"
	"time"

	"gathering/internal/audit"
	"gathering/internal/bench"
)

type benchCmd struct {
	Runs benchRunsCmd `cmd:"" help:"Measure how many runs a second there are on this database, in a place of its own that is removed afterwards."`
}

type benchRunsCmd struct {
	Nodes    int           `default:"5" help:"Nodes of work after the trigger."`
	Inflight int           `default:"256" help:"Runs under way at once."`
	Duration time.Duration `default:"5s" help:"How long runs are measured, and as long again their bare limit."`
	Stored   int           `default:"0" help:"Runs that have ended and are stored beforehand."`
	JSON     bool          `name:"json" help:"Print one JSON document."`
}

// Bounds of what is measured, so that it is the database and not the memory.
const (
	maxBenchNodes    = 1000
	maxBenchInflight = 10_000
)

// Run measures runs.
func (c *benchRunsCmd) Run(ctx context.Context, s *shell) error {
	if c.Nodes < 1 || c.Nodes > maxBenchNodes || c.Inflight < 1 || c.Inflight > maxBenchInflight || c.Duration <= 0 || c.Stored < 0 {
		return &usageError{fmt.Errorf("--nodes must be from 1 to %d, --inflight from 1 to %d, and --duration more than 0", maxBenchNodes, maxBenchInflight)}
	}
	ctx, stop := s.interruptible(ctx)
	defer stop()
	result, err := bench.Runs(audit.Nobody(ctx), bench.Options{
		App: s.appOptions(), Nodes: c.Nodes, Inflight: c.Inflight, Duration: c.Duration, Stored: c.Stored,
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return writeDocument(s.Stdout, result)
	}
	s.say("%s, %d nodes, %d in flight: %.0f runs/s, p50 %.2f ms, p99 %.2f ms; the bare limit is %.0f runs/s, ratio %.2f",
		result.Database, result.Nodes, result.Inflight, result.Rate, result.P50, result.P99, result.Limit, result.Ratio)
	return nil
}
