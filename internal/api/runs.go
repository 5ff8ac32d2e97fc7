package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/engine"
	"gathering/internal/once"
	"gathering/internal/run"
)

// NewRun says how a run begins.
type NewRun struct {
	Version  int                        `json:"version,omitempty" minimum:"1" doc:"Of the pipeline; left out it is the published one."`
	Input    json.RawMessage            `json:"input,omitempty"`
	Vars     map[string]json.RawMessage `json:"vars,omitempty" doc:"Override vars of the pipeline."`
	Labels   map[string]string          `json:"labels,omitempty"`
	Priority int                        `json:"priority,omitempty" doc:"Of runs that are due, those with the higher number are begun first."`
	Key      string                     `json:"key,omitempty" maxLength:"200" doc:"One that a single run of the project may have at a time."`
	OnKey    run.OnKey                  `json:"on_key,omitempty" enum:"reject,existing,cancel" doc:"What to do where another run has the key."`
}

// StartedRun is a run as it is by now, and what came of it if it has ended.
type StartedRun struct {
	gathering.Run

	Output json.RawMessage    `json:"output,omitempty"`
	Error  *gathering.Failure `json:"error,omitempty"`
}

// Decision is somebody's word on a node whose outcome nobody knows.
type Decision struct {
	Node   string          `json:"node" minLength:"1" maxLength:"200" doc:"Or an item of a map, as each[3]."`
	As     string          `json:"as" enum:"done,retry,fail"`
	Output json.RawMessage `json:"output,omitempty"`
}

// RedriveOrder says what is different in a run that goes on where another did
// not end well. What is absent stays as it was.
type RedriveOrder struct {
	Input json.RawMessage            `json:"input,omitempty"`
	Vars  map[string]json.RawMessage `json:"vars,omitempty"`
}

// ForkOrder says from which nodes on a run is to be repeated and what is
// different then. What is absent stays as it was.
type ForkOrder struct {
	From  []string                   `json:"from" minItems:"1" maxItems:"1000" nullable:"false"`
	Input json.RawMessage            `json:"input,omitempty"`
	Vars  map[string]json.RawMessage `json:"vars,omitempty"`
}

// RunPath is the path of a run.
type RunPath struct {
	ID gathering.RunID `path:"id" maxLength:"100"`
}

// runAnswer is a run as it is by now.
type runAnswer = answer[gathering.Run]

func (a *API) runRoutes() {
	of := func(o Operation) Operation {
		o.Tag = tagRuns
		return o
	}
	all, one := Prefix+"/runs", Prefix+"/runs/{id}"
	register(a, of(Operation{
		ID: "start-run", Method: http.MethodPost, Path: Prefix + "/pipelines/{id}/runs", Action: auth.RunsStart, Status: http.StatusAccepted, value: true,
		Summary: "Start a run",
	}), a.startRun)
	start := a.huma.OpenAPI().Paths[Prefix+"/pipelines/{id}/runs"].Post
	start.Responses["200"] = &huma.Response{Description: "It has ended in the time that it was waited for", Content: start.Responses["202"].Content}
	register(a, of(Operation{ID: "list-pipeline-runs", Method: http.MethodGet, Path: Prefix + "/pipelines/{id}/runs", Action: auth.RunsRead, Summary: "List runs of a pipeline, the newest first"}), a.listPipelineRuns)
	register(a, of(Operation{ID: "list-runs", Method: http.MethodGet, Path: all, Action: auth.RunsRead, Summary: "List runs, the newest first"}), a.listRuns)
	register(a, of(Operation{ID: "read-run", Method: http.MethodGet, Path: one, Action: auth.RunsRead, Summary: "Read a run"}), a.readRun)
	register(a, of(Operation{ID: "read-report", Method: http.MethodGet, Path: one + "/report", Action: auth.RunsRead, Summary: "Read a run with its nodes, output and usage"}), a.readReport)
	register(a, of(Operation{ID: "why-run", Method: http.MethodGet, Path: one + "/why", Action: auth.RunsRead, Summary: "Tell what a run waits for"}), a.whyRun)
	steer := func(verb, summary string, ask func(context.Context, gathering.RunID, string) (gathering.Run, error)) {
		register(a, of(Operation{
			ID: verb + "-run", Method: http.MethodPost, Path: one + "/" + verb, Action: auth.RunsWrite, Status: http.StatusAccepted, Summary: summary,
		}), a.steer(ask))
	}
	steer("cancel", "Ask a run to stop", a.Launcher.Runs.Cancel)
	steer("pause", "Ask a run to begin nothing more", a.Launcher.Runs.Pause)
	steer("resume", "End a pause", a.Launcher.Runs.Resume)
	register(a, of(Operation{
		ID: "decide-run", Method: http.MethodPost, Path: one + "/decide", Action: auth.RunsWrite, Status: http.StatusAccepted, value: true,
		Summary: "Say what became of a node whose outcome nobody knows",
	}), a.decideRun)
	register(a, of(Operation{
		ID: "redrive-run", Method: http.MethodPost, Path: one + "/redrive", Action: auth.RunsStart, Status: http.StatusCreated, value: true,
		Summary: "Start a run that goes on where this one did not end well",
	}), a.redriveRun)
	register(a, of(Operation{
		ID: "fork-run", Method: http.MethodPost, Path: one + "/fork", Action: auth.RunsStart, Status: http.StatusCreated, value: true,
		Summary: "Start a run that repeats this one from some nodes on",
	}), a.forkRun)
	register(a, of(Operation{
		ID: "delete-run", Method: http.MethodDelete, Path: one, Action: auth.RunsDelete, Status: http.StatusNoContent,
		Summary: "Delete a run that has ended, with those that it led to",
	}), a.deleteRun)
}

// seeRun decides about the run of a path and returns it.
func (a *API) seeRun(ctx context.Context, id gathering.RunID) (gathering.Run, error) {
	r, err := a.Launcher.Runs.Run(ctx, id)
	if err != nil {
		askedOf(ctx).decided = true // there is nothing to decide about
		return r, err
	}
	return r, a.see(ctx, r.Project, func() error { return gathering.NewError(gathering.KindNotFound, "there is no run %s", id) })
}

// by is the name of who asks, as others read it.
func by(ctx context.Context) string { return askedOf(ctx).principal.Name() }

// maxWait is how long a request may wait for the end of a run.
const maxWait = time.Minute

func (a *API) startRun(ctx context.Context, in *struct {
	PipelinePath
	Keyed

	Wait string `query:"wait" maxLength:"20" doc:"How long to wait for its end, as 30s; at most 1m."`
	Body *NewRun
},
) (*struct {
	Status int
	Body   StartedRun
}, error,
) {
	p, err := a.seePipeline(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	wait, err := waitOf(in.Wait)
	if err != nil {
		return nil, err
	}
	n := NewRun{}
	if in.Body != nil {
		n = *in.Body
	}
	started, err := a.reserved(ctx, func(ctx context.Context, id gathering.RunID) (gathering.Run, error) {
		return a.Launcher.Start(ctx, p, run.New{
			ID: id, Version: n.Version, Input: n.Input, Vars: n.Vars, Labels: n.Labels, Priority: n.Priority, Key: n.Key, OnKey: n.OnKey,
		})
	})
	out := &struct {
		Status int
		Body   StartedRun
	}{http.StatusAccepted, StartedRun{Run: started}}
	if err != nil || wait == 0 {
		return out, err
	}
	ended, err := a.awaitEnd(ctx, started.ID, wait)
	if err != nil {
		return nil, err
	}
	if out.Body = ended; ended.State.Terminal() {
		out.Status = http.StatusOK
	}
	return out, nil
}

func waitOf(given string) (time.Duration, error) {
	if given == "" {
		return 0, nil
	}
	wait, err := time.ParseDuration(given)
	if err != nil || wait < 0 || wait > maxWait {
		return 0, gathering.NewError(gathering.KindInvalid, "it cannot be waited that long").
			WithFields(gathering.FieldError{Field: "wait", Problem: "must be a duration from 0s to 1m, as 30s"})
	}
	return wait, nil
}

// reserved makes a run, once under an idempotency key.
func (a *API) reserved(ctx context.Context, start func(ctx context.Context, id gathering.RunID) (gathering.Run, error)) (gathering.Run, error) {
	fresh := func() string { return string(gathering.NewRunID(a.Now())) }
	return once.Reserved(ctx, a.DB, fresh, func(ctx context.Context, id string, repeated bool) (gathering.Run, error) {
		if repeated {
			r, err := a.Launcher.Runs.Run(ctx, gathering.RunID(id))
			if gathering.KindOf(err) != gathering.KindNotFound {
				return r, err
			}
		}
		return start(ctx, gathering.RunID(id))
	})
}

// awaitEnd waits for the end of a run, or of the service, and returns the run
// as it is by then.
func (a *API) awaitEnd(ctx context.Context, id gathering.RunID, wait time.Duration) (StartedRun, error) {
	patience, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	go func() {
		select {
		case <-a.ending:
			cancel()
		case <-patience.Done():
		}
	}()
	if err := a.Launcher.Runs.Wait(patience, id); err != nil && patience.Err() == nil {
		return StartedRun{}, err
	}
	r, err := a.Launcher.Runs.Run(ctx, id)
	if err != nil || !r.State.Terminal() {
		return StartedRun{Run: r}, err
	}
	report, err := a.Launcher.Runs.Report(ctx, id)
	return StartedRun{Run: r, Output: report.Output, Error: report.Error}, err
}

type runList struct {
	Listed

	Project  gathering.ProjectID  `query:"project" maxLength:"100"`
	State    []gathering.RunState `query:"state" maxItems:"20" enum:"queued,running,recovering,waiting,paused,cancelling,completed,failed,cancelled,timed_out,budget_exhausted"`
	Pipeline gathering.PipelineID `query:"pipeline" maxLength:"100"`
	Parent   gathering.RunID      `query:"parent" maxLength:"100" doc:"Only the runs that this one started."`
	Root     gathering.RunID      `query:"root" maxLength:"100" doc:"Only the runs that this one led to."`

	Undecided bool `query:"undecided" doc:"Only runs with a node whose outcome somebody is to decide."`
}

func (a *API) listRuns(ctx context.Context, in *runList) (*answer[Page[gathering.Run]], error) {
	return a.runPage(ctx, gathering.RunFilter{
		Projects: a.only(ctx, in.Project), Pipeline: in.Pipeline, States: in.State, Parent: in.Parent, Root: in.Root, Undecided: in.Undecided,
	}, in.Listed)
}

func (a *API) runPage(ctx context.Context, f gathering.RunFilter, in Listed) (*answer[Page[gathering.Run]], error) {
	before, err := in.after("run_")
	if err != nil {
		return nil, err
	}
	f.Before, f.Limit = gathering.RunID(before), in.Limit+1
	runs, err := a.Launcher.Runs.Runs(ctx, f)
	return page(runs, in.Limit, func(r gathering.Run) string { return string(r.ID) }), err
}

func (a *API) listPipelineRuns(ctx context.Context, in *struct {
	PipelinePath
	Listed
},
) (*answer[Page[gathering.Run]], error) {
	if _, err := a.seePipeline(ctx, in.ID); err != nil {
		return nil, err
	}
	return a.runPage(ctx, gathering.RunFilter{Pipeline: in.ID}, in.Listed)
}

func (a *API) readRun(ctx context.Context, in *RunPath) (*runAnswer, error) {
	r, err := a.seeRun(ctx, in.ID)
	return &runAnswer{r}, err
}

func (a *API) readReport(ctx context.Context, in *RunPath) (*answer[gathering.RunReport], error) {
	if _, err := a.seeRun(ctx, in.ID); err != nil {
		return nil, err
	}
	report, err := a.Launcher.Runs.Report(ctx, in.ID)
	return &answer[gathering.RunReport]{report}, err
}

func (a *API) whyRun(ctx context.Context, in *RunPath) (*answer[gathering.Why], error) {
	if _, err := a.seeRun(ctx, in.ID); err != nil {
		return nil, err
	}
	why, err := a.Launcher.Runs.Why(ctx, in.ID)
	return &answer[gathering.Why]{why}, err
}

// Steering is what asks something of a run.
type Steering struct {
	RunPath
	Keyed
}

// steer asks something of a run and answers with the run as it is by then.
func (a *API) steer(ask func(context.Context, gathering.RunID, string) (gathering.Run, error)) func(context.Context, *Steering) (*runAnswer, error) {
	return func(ctx context.Context, in *Steering) (*runAnswer, error) {
		if _, err := a.seeRun(ctx, in.ID); err != nil {
			return nil, err
		}
		return a.once(ctx, func() (gathering.Run, error) { return ask(ctx, in.ID, by(ctx)) })
	}
}

// once asks something of a run, unless the same request did before: what it
// asked may make no sense any more once it is done.
func (a *API) once(ctx context.Context, ask func() (gathering.Run, error)) (*runAnswer, error) {
	r, known, err := once.Recall[gathering.Run](ctx, a.DB)
	if known || err != nil {
		return &runAnswer{r}, err
	}
	r, err = ask()
	if gathering.KindOf(err) == gathering.KindConflict {
		if was, known, again := once.Recall[gathering.Run](ctx, a.DB); known && again == nil {
			return &runAnswer{was}, nil // it was quicker
		}
	}
	return &runAnswer{r}, err
}

func (a *API) decideRun(ctx context.Context, in *struct {
	Steering

	Body Decision
},
) (*runAnswer, error) {
	if _, err := a.seeRun(ctx, in.ID); err != nil {
		return nil, err
	}
	return a.once(ctx, func() (gathering.Run, error) {
		return a.Launcher.Runs.Decide(ctx, in.ID, engine.DecideMail{Node: in.Body.Node, As: in.Body.As, Output: in.Body.Output, By: by(ctx)})
	})
}

func (a *API) redriveRun(ctx context.Context, in *struct {
	Steering

	Body *RedriveOrder
},
) (*runAnswer, error) {
	if _, err := a.seeRun(ctx, in.ID); err != nil {
		return nil, err
	}
	var order RedriveOrder
	if in.Body != nil {
		order = *in.Body
	}
	r, err := a.reserved(ctx, func(ctx context.Context, id gathering.RunID) (gathering.Run, error) {
		return a.Launcher.Redrive(ctx, in.ID, run.Again{ID: id, Input: order.Input, Vars: order.Vars})
	})
	return &runAnswer{r}, err
}

func (a *API) forkRun(ctx context.Context, in *struct {
	Steering

	Body ForkOrder
},
) (*runAnswer, error) {
	if _, err := a.seeRun(ctx, in.ID); err != nil {
		return nil, err
	}
	r, err := a.reserved(ctx, func(ctx context.Context, id gathering.RunID) (gathering.Run, error) {
		return a.Launcher.Fork(ctx, in.ID, run.Again{ID: id, From: in.Body.From, Input: in.Body.Input, Vars: in.Body.Vars})
	})
	return &runAnswer{r}, err
}

func (a *API) deleteRun(ctx context.Context, in *Steering) (*nothing, error) {
	if _, err := a.seeRun(ctx, in.ID); err != nil {
		return nil, err
	}
	return &nothing{}, a.Launcher.Runs.Delete(ctx, in.ID)
}
