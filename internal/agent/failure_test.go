package agent_test

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/llm/llmtest"
)

// circuits let so many calls of a provider through, and then none for a while.
// They let all calls through of one that is not among them.
type circuits struct {
	mu    sync.Mutex
	calls map[string]int
	delay map[string]time.Duration
}

func (c *circuits) Do(ctx context.Context, name string, call func(context.Context) error) error {
	c.mu.Lock()
	left, bounded := c.calls[name]
	if bounded {
		c.calls[name] = left - 1
	}
	c.mu.Unlock()
	if bounded && left <= 0 {
		return gathering.Delayed(gathering.NewError(gathering.KindUnavailable, "%s is not called at the moment", name).
			WithCode(gathering.CodeCircuitOpen), c.delay[name])
	}
	return call(ctx)
}

// TestChainFails holds that a turn in which any model was called ends as that
// call did, since it is an attempt, and can be made again as soon as any model
// of the chain can be asked again.
func TestChainFails(t *testing.T) {
	t.Parallel()
	const (
		away503, limit      = ": the provider answered 503", ": the provider's limit is reached"
		closedA, closedB    = "a/1: provider:a is not called at the moment", "b/1: provider:b is not called at the moment"
		unavailable, noMore = gathering.KindUnavailable, gathering.KindExhausted
	)
	tests := map[string]struct {
		a, b  []llmtest.Turn
		calls map[string]int // that circuits let through
		want  gathering.Failure
		after time.Duration
	}{
		"called, then open": {
			a: []llmtest.Turn{away(), away()}, calls: map[string]int{"provider:b": 0},
			want: gathering.Failure{Kind: unavailable, Message: "a/1" + away503 + "; " + closedB},
		},
		"open, then called": {
			b: []llmtest.Turn{limited(time.Hour)}, calls: map[string]int{"provider:a": 0},
			want: gathering.Failure{Kind: noMore, Message: closedA + "; b/1" + limit}, after: time.Minute,
		},
		"called, then open, for less than it wants": {
			a: []llmtest.Turn{limited(time.Hour)}, calls: map[string]int{"provider:b": 0},
			want: gathering.Failure{Kind: noMore, Message: "a/1" + limit + "; " + closedB}, after: 30 * time.Second,
		},
		"called once, which opened it": {
			a: []llmtest.Turn{away()}, calls: map[string]int{"provider:a": 1, "provider:b": 0},
			want: gathering.Failure{Kind: unavailable, Message: "a/1" + away503 + "; " + closedB}, after: 30 * time.Second,
		},
		"all open": {
			calls: map[string]int{"provider:a": 0, "provider:b": 0}, after: 30 * time.Second,
			want: gathering.Failure{Kind: unavailable, Code: gathering.CodeCircuitOpen, Message: closedA + "; " + closedB},
		},
		"the second can be asked sooner": {
			a: []llmtest.Turn{limited(time.Minute)}, b: []llmtest.Turn{limited(7 * time.Second)},
			want: gathering.Failure{Kind: noMore, Message: "a/1" + limit + "; b/1" + limit}, after: 7 * time.Second,
		},
		"the first can be asked sooner": {
			a: []llmtest.Turn{limited(7 * time.Second)}, b: []llmtest.Turn{limited(time.Minute)},
			want: gathering.Failure{Kind: noMore, Message: "a/1" + limit + "; b/1" + limit}, after: 7 * time.Second,
		},
		"one can be asked at any time": {
			a: []llmtest.Turn{away(), away()}, b: []llmtest.Turn{limited(time.Minute)},
			want: gathering.Failure{Kind: noMore, Message: "a/1" + away503 + "; b/1" + limit},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, a1, b1 := &journal{}, llmtest.New(tt.a...), llmtest.New(tt.b...)
			l := chained(newWorkshop(t, nil), a1, b1, llmtest.New())
			l.Guard = &circuits{
				calls: maps.Clone(tt.calls), delay: map[string]time.Duration{"provider:a": time.Minute, "provider:b": 30 * time.Second},
			}
			work := chainTask(j)
			work.Spec.Fallback = []string{"b/1"}
			_, err := l.Run(t.Context(), work)
			tt.want.Message = "no model answered: " + tt.want.Message
			if diff := cmp.Diff(&tt.want, gathering.FailureOf(err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := gathering.RetryAfter(err); got != tt.after {
				t.Errorf("got retry after %s, want %s", got, tt.after)
			}
			if len(a1.Asked()) != len(tt.a) || len(b1.Asked()) != len(tt.b) || len(j.steps) != 0 {
				t.Errorf("asked a/1 %d times and b/1 %d times, recorded %v", len(a1.Asked()), len(b1.Asked()), j.keys())
			}
		})
	}
}
