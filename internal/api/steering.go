package api

import (
	"context"
	"encoding/json"
	"net/http"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/run"
)

// Steering is what the routes ask of runs that have not ended.
type Steering interface {
	Cancel(ctx context.Context, id gathering.RunID, by string) error
	Pause(ctx context.Context, id gathering.RunID, by string) error
	Resume(ctx context.Context, id gathering.RunID, by string) error
	Decide(ctx context.Context, id gathering.RunID, d engine.DecideMail) error
}

// Repeating is how the routes make runs that repeat others.
type Repeating interface {
	Redrive(ctx context.Context, id gathering.RunID, a run.Again) (gathering.Run, error)
	Fork(ctx context.Context, id gathering.RunID, a run.Again) (gathering.Run, error)
}

// CommandLine is by whom things are done, here and by commands themselves: this
// process's user alone reaches the control socket, by a command.
const CommandLine = "the command line"

// steer asks something of a run and answers with the run as it is by then.
func (a *api) steer(ask func(context.Context, gathering.RunID, string) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := noBody(r); err != nil {
			return err
		}
		if err := ask(r.Context(), runOf(r), CommandLine); err != nil {
			return err
		}
		return a.replyRun(w, r, http.StatusAccepted)
	}
}

// Decision is somebody's word on a node whose outcome nobody knows.
type Decision struct {
	Node   string          `json:"node"` // or an item of a map, as "each[3]"
	As     string          `json:"as"`   // "done", "retry" or "fail"
	Output json.RawMessage `json:"output,omitempty"`
}

func (a *api) decideRun(w http.ResponseWriter, r *http.Request) error {
	var d Decision
	if err := decode(r, &d); err != nil {
		return err
	}
	if err := a.Steering.Decide(r.Context(), runOf(r), engine.DecideMail{Node: d.Node, As: d.As, Output: d.Output, By: CommandLine}); err != nil {
		return err
	}
	return a.replyRun(w, r, http.StatusAccepted)
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
	From  []string                   `json:"from"`
	Input json.RawMessage            `json:"input,omitempty"`
	Vars  map[string]json.RawMessage `json:"vars,omitempty"`
}

func (a *api) redriveRun(w http.ResponseWriter, r *http.Request) error {
	var order RedriveOrder
	if err := decode(r, &order); err != nil {
		return err
	}
	next, err := a.Repeating.Redrive(r.Context(), runOf(r), run.Again{Input: order.Input, Vars: order.Vars})
	if err != nil {
		return err
	}
	return reply(w, http.StatusCreated, next)
}

func (a *api) forkRun(w http.ResponseWriter, r *http.Request) error {
	var order ForkOrder
	if err := decode(r, &order); err != nil {
		return err
	}
	next, err := a.Repeating.Fork(r.Context(), runOf(r), run.Again{From: order.From, Input: order.Input, Vars: order.Vars})
	if err != nil {
		return err
	}
	return reply(w, http.StatusCreated, next)
}

// CancelRun asks a run to stop and returns it as it was then. Where nobody
// listens the error is of KindUnavailable, as it is of all that is asked of a
// process.
func (c *Client) CancelRun(ctx context.Context, id gathering.RunID) (gathering.Run, error) {
	return c.steer(ctx, id, "/cancel", nil)
}

// PauseRun asks a run to begin nothing more and returns it as it was then.
func (c *Client) PauseRun(ctx context.Context, id gathering.RunID) (gathering.Run, error) {
	return c.steer(ctx, id, "/pause", nil)
}

// ResumeRun ends a pause and returns the run as it was then.
func (c *Client) ResumeRun(ctx context.Context, id gathering.RunID) (gathering.Run, error) {
	return c.steer(ctx, id, "/resume", nil)
}

// DecideRun says what became of a node whose outcome nobody knows, and returns
// the run as it was then.
func (c *Client) DecideRun(ctx context.Context, id gathering.RunID, d Decision) (gathering.Run, error) {
	return c.steer(ctx, id, "/decide", d)
}

// RedriveRun returns a new run that goes on where another did not end well.
func (c *Client) RedriveRun(ctx context.Context, id gathering.RunID, order RedriveOrder) (gathering.Run, error) {
	return c.steer(ctx, id, "/redrive", order)
}

// ForkRun returns a new run that repeats another from some nodes on.
func (c *Client) ForkRun(ctx context.Context, id gathering.RunID, order ForkOrder) (gathering.Run, error) {
	return c.steer(ctx, id, "/fork", order)
}

func (c *Client) steer(ctx context.Context, id gathering.RunID, what string, body any) (gathering.Run, error) {
	var r gathering.Run
	err := c.post(ctx, runPath(id, what), body, &r)
	return r, err
}
