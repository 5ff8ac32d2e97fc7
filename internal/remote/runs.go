package remote

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/definition"
)

func pathOfRun(id gathering.RunID, rest string) string {
	return "/runs/" + url.PathEscape(string(id)) + rest
}

// Run returns a run, or an error of kind not_found.
func (c *Client) Run(ctx context.Context, id gathering.RunID) (gathering.Run, error) {
	return ask[gathering.Run](ctx, c, http.MethodGet, pathOfRun(id, ""), nil)
}

// Runs returns the runs that the filter selects, newest first: one page of them.
func (c *Client) Runs(ctx context.Context, f gathering.RunFilter) ([]gathering.Run, error) {
	query := queryOf(f)
	if len(f.States) > 0 {
		states := make([]string, len(f.States))
		for i, state := range f.States {
			states[i] = string(state)
		}
		query.Set("state", strings.Join(states, ","))
	}
	for name, id := range map[string]gathering.RunID{"parent": f.Parent, "root": f.Root} {
		if id != "" {
			query.Set(name, string(id))
		}
	}
	p, err := ask[api.Page[gathering.Run]](ctx, c, http.MethodGet, "/runs?"+query.Encode(), nil)
	return p.Items, err
}

// DeadLetters returns the runs that ended badly and that nobody has seen to,
// newest first, those of a project before another run: one page of them.
func (c *Client) DeadLetters(ctx context.Context, f gathering.RunFilter) ([]api.DeadLetter, error) {
	p, err := ask[api.Page[api.DeadLetter]](ctx, c, http.MethodGet, "/dead-letters?"+queryOf(f).Encode(), nil)
	return p.Items, err
}

// queryOf is what all lists of runs are asked for by.
func queryOf(f gathering.RunFilter) url.Values {
	query := url.Values{}
	if f.Limit > 0 {
		query.Set("limit", strconv.Itoa(f.Limit))
	}
	if f.Before != "" {
		query.Set("cursor", string(f.Before))
	}
	for _, project := range f.Projects {
		query.Set("project", string(project))
	}
	return query
}

// Events returns the events of a run after a sequence number, oldest first, at
// most limit of them; 0 is all.
func (c *Client) Events(ctx context.Context, id gathering.RunID, after int64, limit int) ([]gathering.Event, error) {
	events := []gathering.Event{}
	for {
		part := 500
		if limit > 0 {
			part = min(part, limit-len(events))
		}
		query := url.Values{"cursor": {strconv.FormatInt(after, 10)}, "limit": {strconv.Itoa(part)}}
		p, err := ask[api.Page[gathering.Event]](ctx, c, http.MethodGet, pathOfRun(id, "/events?"+query.Encode()), nil)
		if err != nil {
			return nil, err
		}
		if events = append(events, p.Items...); p.NextCursor == "" || limit > 0 && len(events) >= limit {
			return events, nil
		}
		if len(p.Items) == 0 || p.Items[len(p.Items)-1].Seq <= after {
			return nil, c.stuck()
		}
		after = p.Items[len(p.Items)-1].Seq
	}
}

// Report tells where a run and its nodes stand.
func (c *Client) Report(ctx context.Context, id gathering.RunID) (gathering.RunReport, error) {
	return ask[gathering.RunReport](ctx, c, http.MethodGet, pathOfRun(id, "/report"), nil)
}

// Definition returns a version of a pipeline.
func (c *Client) Definition(ctx context.Context, id gathering.PipelineID, version int) (*gathering.Definition, error) {
	v, err := ask[api.VersionDocument](ctx, c, http.MethodGet, "/pipelines/"+url.PathEscape(string(id))+"/versions/"+strconv.Itoa(version), nil)
	if err != nil {
		return nil, err
	}
	return definition.Decode(v.Definition)
}

// StartRun starts a run of a pipeline.
func (c *Client) StartRun(ctx context.Context, id gathering.PipelineID, n api.NewRun) (gathering.Run, error) {
	return ask[gathering.Run](ctx, c, http.MethodPost, "/pipelines/"+url.PathEscape(string(id))+"/runs", n)
}

// Why says what a run waits for, as the process that works on it sees it.
func (c *Client) Why(ctx context.Context, id gathering.RunID) (gathering.Why, error) {
	return ask[gathering.Why](ctx, c, http.MethodGet, pathOfRun(id, "/why"), nil)
}

// CancelRun asks a run to stop and returns it as it was then.
func (c *Client) CancelRun(ctx context.Context, id gathering.RunID) (gathering.Run, error) {
	return ask[gathering.Run](ctx, c, http.MethodPost, pathOfRun(id, "/cancel"), nil)
}

// PauseRun asks a run to begin nothing more and returns it as it was then.
func (c *Client) PauseRun(ctx context.Context, id gathering.RunID) (gathering.Run, error) {
	return ask[gathering.Run](ctx, c, http.MethodPost, pathOfRun(id, "/pause"), nil)
}

// ResumeRun ends a pause and returns the run as it was then.
func (c *Client) ResumeRun(ctx context.Context, id gathering.RunID) (gathering.Run, error) {
	return ask[gathering.Run](ctx, c, http.MethodPost, pathOfRun(id, "/resume"), nil)
}

// DecideRun says what became of a node whose outcome nobody knows, and returns
// the run as it was then.
func (c *Client) DecideRun(ctx context.Context, id gathering.RunID, d api.Decision) (gathering.Run, error) {
	return ask[gathering.Run](ctx, c, http.MethodPost, pathOfRun(id, "/decide"), d)
}

// RedriveRun returns a new run that goes on where another did not end well.
func (c *Client) RedriveRun(ctx context.Context, id gathering.RunID, order api.RedriveOrder) (gathering.Run, error) {
	return ask[gathering.Run](ctx, c, http.MethodPost, pathOfRun(id, "/redrive"), order)
}

// ForkRun returns a new run that repeats another from some nodes on.
func (c *Client) ForkRun(ctx context.Context, id gathering.RunID, order api.ForkOrder) (gathering.Run, error) {
	return ask[gathering.Run](ctx, c, http.MethodPost, pathOfRun(id, "/fork"), order)
}

// DismissRun takes a run off the dead letters.
func (c *Client) DismissRun(ctx context.Context, id gathering.RunID) error {
	return c.do(ctx, http.MethodPost, pathOfRun(id, "/dismiss"), nil, nil)
}

// DeleteRun deletes a run that has ended.
func (c *Client) DeleteRun(ctx context.Context, id gathering.RunID) error {
	return c.do(ctx, http.MethodDelete, pathOfRun(id, ""), nil, nil)
}
