package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"gathering"
)

// Runs is what the routes ask of runs without changing them.
type Runs interface {
	Run(ctx context.Context, id gathering.RunID) (gathering.Run, error)
	Why(ctx context.Context, id gathering.RunID) (gathering.Why, error)
}

// DeadLetters is what the routes ask of runs that ended badly, and of old runs.
type DeadLetters interface {
	Runs(ctx context.Context, f gathering.RunFilter) ([]gathering.Run, error)
	Report(ctx context.Context, id gathering.RunID) (gathering.RunReport, error)
	Dismiss(ctx context.Context, id gathering.RunID, by string) error
	Delete(ctx context.Context, id gathering.RunID) error
}

func runOf(r *http.Request) gathering.RunID { return gathering.RunID(r.PathValue("id")) }

func (a *api) run(w http.ResponseWriter, r *http.Request) error {
	return a.replyRun(w, r, http.StatusOK)
}

// replyRun answers with the run of the path as it is by now.
func (a *api) replyRun(w http.ResponseWriter, r *http.Request, status int) error {
	run, err := a.Runs.Run(r.Context(), runOf(r))
	if err != nil {
		return err
	}
	return reply(w, status, run)
}

func (a *api) whyRun(w http.ResponseWriter, r *http.Request) error {
	why, err := a.Runs.Why(r.Context(), runOf(r))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, why)
}

// DeadLetter is a run that ended badly, and what nobody has seen to yet.
type DeadLetter struct {
	gathering.Run

	Error *gathering.Failure `json:"error"`
}

// maxDeadLetters is how many dead letters one page holds at most. The log of
// each is read.
const maxDeadLetters = 100

// listDeadLetters answers with the newest first.
func (a *api) listDeadLetters(w http.ResponseWriter, r *http.Request) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	limit = min(limit, maxDeadLetters)
	query := r.URL.Query()
	runs, err := a.DeadLetters.Runs(r.Context(), gathering.RunFilter{
		Dead: true, Project: gathering.ProjectID(query.Get("project")), Before: gathering.RunID(query.Get("cursor")), Limit: limit + 1,
	})
	if err != nil {
		return err
	}
	page := items[DeadLetter]{Items: []DeadLetter{}}
	if len(runs) > limit {
		runs = runs[:limit]
		page.NextCursor = string(runs[limit-1].ID)
	}
	for _, run := range runs {
		report, err := a.DeadLetters.Report(r.Context(), run.ID)
		if err != nil {
			return err
		}
		page.Items = append(page.Items, DeadLetter{run, report.Error})
	}
	return reply(w, http.StatusOK, page)
}

// dismissRun takes a run off the dead letters.
func (a *api) dismissRun(w http.ResponseWriter, r *http.Request) error {
	if err := noBody(r); err != nil {
		return err
	}
	if err := a.DeadLetters.Dismiss(r.Context(), runOf(r), CommandLine); err != nil {
		return err
	}
	return a.replyRun(w, r, http.StatusOK)
}

func (a *api) deleteRun(w http.ResponseWriter, r *http.Request) error {
	if err := noBody(r); err != nil {
		return err
	}
	if err := a.DeadLetters.Delete(r.Context(), runOf(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// WhyRun says what a run waits for, as the process that works on it sees it.
func (c *Client) WhyRun(ctx context.Context, id gathering.RunID) (gathering.Why, error) {
	var why gathering.Why
	err := c.get(ctx, runPath(id, "/why"), &why)
	return why, err
}

// DeadLetters returns a page of the runs that ended badly, the newest first,
// and the cursor of the page that follows, "" for none. The first has none.
func (c *Client) DeadLetters(ctx context.Context, cursor string, limit int) ([]DeadLetter, string, error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}, "cursor": {cursor}}
	var page items[DeadLetter]
	err := c.get(ctx, "/dead-letters?"+query.Encode(), &page)
	return page.Items, page.NextCursor, err
}

// DismissRun takes a run off the dead letters.
func (c *Client) DismissRun(ctx context.Context, id gathering.RunID) error {
	var run gathering.Run
	return c.post(ctx, runPath(id, "/dismiss"), nil, &run)
}

// DeleteRun deletes a run that has ended.
func (c *Client) DeleteRun(ctx context.Context, id gathering.RunID) error {
	return c.do(ctx, http.MethodDelete, runPath(id, ""), nil, nil)
}

func runPath(id gathering.RunID, rest string) string {
	return "/runs/" + url.PathEscape(string(id)) + rest
}
