package run_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/event"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

func TestRunToItsEnd(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "line", []engine.Node{trigger(), p.work("a"), p.work("b"), p.work("c")}, "t→a", "a→b", "a→c")
		h := openHouse(t, db, p).work()
		id := h.start("line")
		h.until(id, gathering.EventRunCompleted, "")
		r := h.wantState(id, gathering.RunCompleted)
		if r.Owner != "" || r.FinishedAt == nil || r.Epoch != 1 {
			t.Errorf("got %+v, want an ended run without owner, of epoch 1", r)
		}
		if got := h.history(id); !strings.HasPrefix(got, "run.queued run.started t:completed a:started a:completed b:started c:started") {
			t.Errorf("got %s", got)
		}
		report, err := h.Report(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		var outputs []string
		for _, n := range report.Nodes {
			outputs = append(outputs, n.ID+"="+string(n.Output))
		}
		if diff := cmp.Diff([]string{"t=", `a="a"`, `b="b"`, `c="c"`}, outputs); diff != "" {
			t.Errorf("outputs (-want +got):\n%s", diff)
		}
	})
}

func TestFeedNamesEveryEventOnceInOrder(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "line", []engine.Node{trigger(), p.work("a"), p.work("b")}, "t→a", "a→b")
		h := openHouse(t, db, p).work()
		var ids []gathering.RunID
		for range 20 {
			ids = append(ids, h.start("line"))
		}
		for _, id := range ids {
			h.until(id, gathering.EventRunCompleted, "")
		}
		next := map[string]int64{}
		for after := int64(0); ; {
			feed, err := event.Feed(t.Context(), db.Read(), after, 7)
			if err != nil {
				t.Fatal(err)
			}
			if len(feed) == 0 {
				break
			}
			for _, a := range feed {
				after = a.Pos
				for _, e := range a.Entries {
					if got, want := e.First, next[e.Stream]+1; got != want {
						t.Errorf("%s goes on at %d, want %d", e.Stream, got, want)
					}
					next[e.Stream] = e.Last
				}
			}
		}
		for _, id := range ids {
			events, err := h.Events(t.Context(), id, 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := next[string(id)], events[len(events)-1].Seq; got != want {
				t.Errorf("the feed tells %d events of %s, want %d", got, id, want)
			}
		}
	})
}

func TestDelayParksAndWakes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "nap", []engine.Node{trigger(), sleep("z", 300*time.Millisecond), p.work("a")}, "t→z", "z→a")
		h := openHouse(t, db, p).work()
		id := h.start("nap")
		h.until(id, gathering.EventRunWaiting, "")
		h.until(id, gathering.EventRunCompleted, "")
		h.wantHistory(id, "run.queued run.started t:completed z:started z:waiting run.waiting run.resumed z:completed a:started a:completed run.completed")
		if r := h.wantState(id, gathering.RunCompleted); r.Epoch != 2 || r.Crashes != 0 {
			t.Errorf("got %+v, want epoch 2 and no crash", r)
		}
	})
}

func TestChildRun(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "inner", []engine.Node{trigger(), p.work("in")}, "t→in")
		p.add(t, "outer", []engine.Node{trigger(), child("c", "inner"), p.work("after")}, "t→c", "c→after")
		h := openHouse(t, db, p).work()
		id := h.start("outer")
		h.until(id, gathering.EventRunCompleted, "")
		children, err := h.Runs(t.Context(), gathering.RunFilter{Parent: id})
		if err != nil {
			t.Fatal(err)
		}
		if len(children) != 1 || children[0].State != gathering.RunCompleted || children[0].Root != id || children[0].Depth != 1 {
			t.Errorf("got children %+v, want one completed one below the run", children)
		}
	})
}

func TestChildThatCannotStartFailsItsNode(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "missing", []engine.Node{trigger(), child("c", "nowhere")}, "t→c")
		p.add(t, "endless", []engine.Node{trigger(), child("c", "endless")}, "t→c")
		h := openHouse(t, db, p).work()
		for pipeline, want := range map[string]string{"missing": "there is no pipeline", "endless": "runs start runs more than 16 deep"} {
			id := h.start(pipeline)
			h.until(id, gathering.EventRunFailed, "")
			report, err := h.Report(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if report.Error == nil || !strings.Contains(report.Error.Message, want) {
				t.Errorf("%s: got %+v, want %q", pipeline, report.Error, want)
			}
		}
	})
}

func TestCancelStopsWork(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		began, stopped := make(chan struct{}), make(chan struct{})
		p.add(t, "long", []engine.Node{trigger(), does("a", func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
			close(began)
			<-ctx.Done()
			close(stopped)
			return engine.Outcome{}, ctx.Err()
		})}, "t→a")
		h := openHouse(t, db, p).work()
		id := h.start("long")
		<-began
		if _, err := h.Cancel(t.Context(), id, "me"); err != nil {
			t.Fatal(err)
		}
		<-stopped
		h.until(id, gathering.EventRunCancelled, "")
		h.wantState(id, gathering.RunCancelled)
		_, err := h.Cancel(t.Context(), id, "me")
		if got := gathering.KindOf(err); got != gathering.KindConflict {
			t.Errorf("got %v, want a conflict: the run has ended", err)
		}
		_, err = h.Cancel(t.Context(), "run_none", "me")
		if got := gathering.KindOf(err); got != gathering.KindNotFound {
			t.Errorf("got %v, want not found", err)
		}
	})
}

func TestCancelReachesParkedRunsAndTheirChildren(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "inner", []engine.Node{trigger(), sleep("z", time.Hour)}, "t→z")
		p.add(t, "outer", []engine.Node{trigger(), child("c", "inner")}, "t→c")
		h := openHouse(t, db, p).work()
		id := h.start("outer")
		h.until(id, gathering.EventRunWaiting, "")
		children, err := h.Runs(t.Context(), gathering.RunFilter{Parent: id})
		if err != nil || len(children) != 1 {
			t.Fatalf("got %d children, %v, want one", len(children), err)
		}
		h.until(children[0].ID, gathering.EventRunWaiting, "")
		if _, err := h.Cancel(t.Context(), id, "me"); err != nil {
			t.Fatal(err)
		}
		h.until(id, gathering.EventRunCancelled, "")
		h.wantState(children[0].ID, gathering.RunCancelled)
	})
}

func TestStopLetsGoAndAnotherGoesOn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		begun := make(chan struct{}, 2)
		wait := true
		p.add(t, "line", []engine.Node{trigger(), p.work("a"), does("b", func(ctx context.Context, j engine.Job) (engine.Outcome, error) {
			begun <- struct{}{}
			if wait {
				<-ctx.Done()
				return engine.Outcome{}, ctx.Err()
			}
			return engine.Outcome{Output: json.RawMessage(`1`)}, nil
		})}, "t→a", "a→b")
		h := openHouse(t, db, p).work()
		id := h.start("line")
		<-begun
		h.worker.Stop()
		h.wantState(id, gathering.RunRecovering)
		wait = false
		h.work()
		h.until(id, gathering.EventRunCompleted, "")
		h.wantHistory(id, "run.queued run.started t:completed a:started a:completed b:started run.resumed b:completed run.completed")
		if got := p.count("a"); got != 1 {
			t.Errorf("a worked %d times, want once", got)
		}
		if r := h.wantState(id, gathering.RunCompleted); r.Crashes != 0 {
			t.Errorf("got %d crashes, want none: the worker let go", r.Crashes)
		}
	})
}

func TestStepsAreDurableAndNotMadeAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		first := true
		recorded := make(chan struct{})
		p.add(t, "steps", []engine.Node{trigger(), does("a", func(ctx context.Context, j engine.Job) (engine.Outcome, error) {
			if len(j.Steps) == 0 {
				p.called("step")
				if err := j.Record(ctx, gathering.Step{Key: "1", Kind: gathering.StepTool, Result: json.RawMessage(`"made"`)}); err != nil {
					return engine.Outcome{}, err
				}
			}
			if first {
				close(recorded)
				<-ctx.Done()
				return engine.Outcome{}, ctx.Err()
			}
			return engine.Outcome{Output: j.Steps[0].Result}, nil
		})}, "t→a")
		h := openHouse(t, db, p).work()
		id := h.start("steps")
		<-recorded
		h.worker.Stop()
		first = false
		h.work()
		h.until(id, gathering.EventRunCompleted, "")
		if got := p.count("step"); got != 1 {
			t.Errorf("the step was made %d times, want once", got)
		}
	})
}

func TestValuesComeBackExactly(t *testing.T) {
	t.Parallel()
	values := map[string]string{
		"null bytes":   `{"a":"x\u0000y"}`,
		"huge numbers": `[123456789012345678901234567890, 1e308, -0.0, 1.10]`,
		"markup":       `"<b>&\u2028</b>"`,
		"long":         `"` + strings.Repeat("é", 5<<20) + `"`,
		"deep":         strings.Repeat("[", 60) + strings.Repeat("]", 60),
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "echo", []engine.Node{trigger(), {
			ID: "a", Input: nil,
			Do: engine.Work{Idempotent: true, Run: func(_ context.Context, j engine.Job) (engine.Outcome, error) {
				return engine.Outcome{Output: json.RawMessage(values[j.Workspace])}, nil
			}},
		}}, "t→a")
		h := openHouse(t, db, p).work()
		for name, value := range values {
			r, err := h.Start(t.Context(), run.New{
				Project: gathering.DefaultProject, Pipeline: "echo", Version: 1,
				Input: json.RawMessage(value), Workspace: name,
			})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			h.until(r.ID, gathering.EventRunCompleted, "")
			report, err := h.Report(t.Context(), r.ID)
			if err != nil {
				t.Fatal(err)
			}
			want := string(gathering.CompactJSON([]byte(value)))
			for i, node := range []string{"input", "output"} {
				if got := string(report.Nodes[i].Output); got != want {
					t.Errorf("%s: %s came back as %.60s…, want %.60s…", name, node, got, want)
				}
			}
		}
	})
}

func TestBadInputIsRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		p.add(t, "line", []engine.Node{trigger()})
		h := openHouse(t, db, p)
		_, err := h.Start(t.Context(), run.New{Pipeline: "line", Version: 1, Input: json.RawMessage(`{"a":["\ud800"]}`)})
		if got, want := gathering.KindOf(err), gathering.KindInvalid; got != want || !strings.Contains(err.Error(), "input.a[0]") {
			t.Errorf("got %v, want an error that names input.a[0]", err)
		}
		_, err = h.Start(t.Context(), run.New{Pipeline: "line", Version: 1, Workspace: "x", Labels: map[string]string{"a": "b\x00"}})
		if err != nil {
			t.Errorf("got %v: labels are JSON and take a null byte", err)
		}
		_, err = h.Start(t.Context(), run.New{Project: "a\x00b", Pipeline: "line", Version: 1})
		if got, want := gathering.KindOf(err), gathering.KindInvalid; got != want {
			t.Errorf("got %v, want %s: a project's name takes no null byte", err, want)
		}
	})
}

func TestInstanceThatIsCutOffComesBackAsAnother(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := newPipelines()
		first := make(chan struct{}, 1)
		first <- struct{}{}
		begun := make(chan struct{}, 2)
		p.add(t, "line", []engine.Node{trigger(), does("a", func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
			begun <- struct{}{}
			select {
			case <-first:
				<-ctx.Done()
				return engine.Outcome{}, ctx.Err()
			default:
				return engine.Outcome{}, nil
			}
		})}, "t→a")
		h := openHouse(t, db, p).work()
		id := h.start("line")
		<-begun
		former := h.wantState(id, gathering.RunRunning).Owner
		// Another instance takes it for dead.
		err := db.Tx(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(t.Context(), `DELETE FROM instances WHERE id = $1`, string(former))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		h.until(id, gathering.EventRunCompleted, "")
		h.wantHistory(id, "run.queued run.started t:completed a:started run.resumed a:completed run.completed")
	})
}
