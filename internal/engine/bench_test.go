package engine_test

import (
	"encoding/json"
	"testing"

	"gathering"
	"gathering/internal/engine"
)

// longRun is the log of a run with a map of so many items, each of which
// records a step.
func longRun(b *testing.B, items int) (*engine.Graph, *engine.State, []gathering.Event) {
	b.Helper()
	graph, err := engine.NewGraph([]engine.Node{trigger("t"), each("m", work("m"), items, items), work("a")}, parseEdges([]string{"t→m", "m→a"}))
	if err != nil {
		b.Fatal(err)
	}
	state := engine.NewState(graph, "run_1", "run_1", "default")
	queued, err := engine.Queue(state, begin, gathering.RunQueuedData{Input: json.RawMessage(`{"n":1}`)})
	if err != nil {
		b.Fatal(err)
	}
	log := queued.Events
	send := func(m engine.Message) {
		turn, err := engine.Next(state, begin, m)
		if err != nil {
			b.Fatal(err)
		}
		log = append(log, turn.Events...)
	}
	send(engine.Begin{})
	for i := range items {
		path := gathering.NodePath("m", i)
		send(engine.Stepped{Node: path, Attempt: 1, Step: step("turn/1")})
		send(engine.Finished{Node: path, Attempt: 1, Outcome: engine.Outcome{Output: json.RawMessage(`{"text":"a short answer"}`)}})
	}
	return graph, state, log
}

func BenchmarkFold(b *testing.B) {
	graph, _, log := longRun(b, 3000)
	b.ResetTimer()
	for range b.N {
		state := engine.NewState(graph, "run_1", "run_1", "default")
		for _, e := range log {
			if err := state.Fold(e); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(log)), "ns/event")
}

func BenchmarkSnapshot(b *testing.B) {
	graph, state, log := longRun(b, 3000)
	b.ResetTimer()
	for range b.N {
		shot, err := state.Snapshot()
		if err != nil {
			b.Fatal(err)
		}
		restored := engine.NewState(graph, "run_1", "run_1", "default")
		if err := engine.Restore(restored, shot.Data, func(hash string) (json.RawMessage, error) { return shot.Values[hash], nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(log)), "ns/event")
}

// BenchmarkNext moves runs of a trigger and five nodes in a line from their
// first event to their last.
func BenchmarkNext(b *testing.B) {
	nodes := []engine.Node{trigger("t")}
	var edges []gathering.Edge
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		edges = append(edges, gathering.Edge{From: nodes[len(nodes)-1].ID, To: id})
		nodes = append(nodes, work(id))
	}
	graph, err := engine.NewGraph(nodes, edges)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for range b.N {
		state := engine.NewState(graph, "run_1", "run_1", "default")
		if _, err := engine.Queue(state, begin, gathering.RunQueuedData{}); err != nil {
			b.Fatal(err)
		}
		if _, err := engine.Next(state, begin, engine.Begin{}); err != nil {
			b.Fatal(err)
		}
		for _, n := range nodes[1:] {
			if _, err := engine.Next(state, begin, engine.Finished{Node: n.ID, Attempt: 1}); err != nil {
				b.Fatal(err)
			}
		}
		if state.Run != gathering.RunCompleted {
			b.Fatal(state.Run)
		}
	}
}
