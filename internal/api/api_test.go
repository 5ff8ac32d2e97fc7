package api_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runs is a run that exists, one that has ended, and nothing else.
type runs struct{ cancelled chan gathering.RunID }

func (r runs) Run(_ context.Context, id gathering.RunID) (gathering.Run, error) {
	if id != "run_live" {
		return gathering.Run{}, gathering.NewError(gathering.KindNotFound, "there is no run %s", id)
	}
	return gathering.Run{ID: id, State: gathering.RunCancelling, CreatedAt: time.Unix(0, 0).UTC()}, nil
}

func (r runs) Cancel(_ context.Context, id gathering.RunID, _ string) error {
	switch id {
	case "run_live":
		r.cancelled <- id
		return nil
	case "run_ended":
		return gathering.NewError(gathering.KindConflict, "run run_ended has ended: completed")
	case "run_broken":
		return io.ErrUnexpectedEOF
	case "run_panics":
		panic("a defect")
	}
	return gathering.NewError(gathering.KindNotFound, "there is no run %s", id)
}

func (runs) Why(_ context.Context, id gathering.RunID) (gathering.Why, error) {
	return gathering.Why{Run: id}, nil
}

func (runs) Pause(context.Context, gathering.RunID, string) error             { return nil }
func (runs) Resume(context.Context, gathering.RunID, string) error            { return nil }
func (runs) Decide(context.Context, gathering.RunID, engine.DecideMail) error { return nil }

func newRuns() runs { return runs{make(chan gathering.RunID, 10)} }

func TestRoutes(t *testing.T) {
	t.Parallel()
	problem := func(status int, kind gathering.Kind, detail string) api.Problem {
		return api.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Kind: kind, Detail: detail}
	}
	tests := []struct {
		name, method, path, body string
		want                     int
		problem                  api.Problem
	}{
		{"cancel", "POST", "/api/v1/runs/run_live/cancel", "", 202, api.Problem{}},
		{"cancel with an empty object", "POST", "/api/v1/runs/run_live/cancel", " {} ", 202, api.Problem{}},
		{"read", "GET", "/api/v1/runs/run_live", "", 200, api.Problem{}},
		{"no such run", "POST", "/api/v1/runs/run_x/cancel", "", 404, problem(404, gathering.KindNotFound, "there is no run run_x")},
		{"ended", "POST", "/api/v1/runs/run_ended/cancel", "", 409, problem(409, gathering.KindConflict, "run run_ended has ended: completed")},
		{"a body", "POST", "/api/v1/runs/run_live/cancel", `{"force":true}`, 400, problem(400, gathering.KindInvalid, "this request takes no body")},
		{"a huge body", "POST", "/api/v1/runs/run_live/cancel", strings.Repeat(" ", 2<<20), 413, problem(413, gathering.KindTooLarge, "the body is over the limit of 1048576 bytes")},
		{"a defect", "POST", "/api/v1/runs/run_broken/cancel", "", 500, problem(500, gathering.KindInternal, "internal error; the log has the cause under the request ID")},
		{"no route", "GET", "/api/v1/nothing", "", 404, problem(404, gathering.KindNotFound, "there is no such route")},
		{"outside", "GET", "/", "", 404, problem(404, gathering.KindNotFound, "there is no such route")},
		{"another method", "DELETE", "/api/v1/runs/run_live", "", 404, problem(404, gathering.KindNotFound, "there is no such route")},
	}
	live := newRuns()
	handler := api.NewHandler(api.Services{Runs: live, Steering: live}, slog.New(slog.DiscardHandler))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), test.method, test.path, strings.NewReader(test.body)))
			if w.Code != test.want {
				t.Fatalf("status %d, want %d: %s", w.Code, test.want, w.Body)
			}
			if test.want < 400 {
				var r gathering.Run
				if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil || r.ID != "run_live" {
					t.Errorf("got %s, want the run", w.Body)
				}
				return
			}
			if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type %q", got)
			}
			var got api.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(got.RequestID, "req_") {
				t.Errorf("request ID %q", got.RequestID)
			}
			got.RequestID = ""
			if diff := cmp.Diff(test.problem, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func serve(t *testing.T, dir string) runs {
	t.Helper()
	r := newRuns()
	c, err := api.ServeControl(dir, api.Services{Runs: r, Steering: r}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "control.sock")); err == nil {
			t.Error("the socket is still there")
		}
	})
	return r
}

func TestControl(t *testing.T) {
	t.Parallel()
	short := t.TempDir()
	long := filepath.Join(t.TempDir(), strings.Repeat("long", 40), strings.Repeat("é", 60))
	if err := os.MkdirAll(long, 0o700); err != nil {
		t.Fatal(err)
	}
	pattern := filepath.Join(t.TempDir(), "a[b*")
	if err := os.MkdirAll(pattern, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"short path": short, "long path": long, "path like a pattern": pattern} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := serve(t, dir)
			info, err := os.Stat(filepath.Join(dir, "control.sock"))
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Mode(); got != os.ModeSocket|0o600 {
				t.Errorf("mode %v, want that of a socket for its owner alone", got)
			}
			left, err := os.ReadDir(dir)
			if err != nil || len(left) != 1 {
				t.Errorf("beside the socket: %v, %v", left, err)
			}
			client := api.NewClient(dir)
			run, err := client.CancelRun(t.Context(), "run_live")
			if err != nil || run.State != gathering.RunCancelling {
				t.Errorf("got %+v, %v", run, err)
			}
			if got := <-r.cancelled; got != "run_live" {
				t.Errorf("cancelled %s", got)
			}
			_, err = client.CancelRun(t.Context(), "run_ended")
			if gathering.KindOf(err) != gathering.KindConflict || !strings.Contains(err.Error(), "has ended") {
				t.Errorf("got %v, want the conflict", err)
			}
			if _, err = client.CancelRun(t.Context(), "run_panics"); gathering.KindOf(err) != gathering.KindUnavailable {
				t.Errorf("got %v, want that the process broke off", err)
			}
		})
	}
}

func TestControlReplacesWhatADeadProcessLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"control.sock", ".control-123"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := api.NewClient(dir).CancelRun(t.Context(), "run_live"); gathering.KindOf(err) != gathering.KindUnavailable {
		t.Errorf("nobody listens: got %v, want unavailable", err)
	}
	serve(t, dir)
	if _, err := api.NewClient(dir).CancelRun(t.Context(), "run_live"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".control-123")); err == nil {
		t.Error("what a dead process left is still there")
	}
}

func TestControlNeedsADirectory(t *testing.T) {
	t.Parallel()
	_, err := api.ServeControl(filepath.Join(t.TempDir(), "nothing"), api.Services{Runs: newRuns()}, slog.New(slog.DiscardHandler))
	if gathering.KindOf(err) != gathering.KindUnavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	if _, err := api.NewClient(t.TempDir()).CancelRun(t.Context(), "run_live"); gathering.KindOf(err) != gathering.KindUnavailable {
		t.Errorf("got %v, want unavailable", err)
	}
}
