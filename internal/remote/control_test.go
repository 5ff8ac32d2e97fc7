package remote_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gathering"
	"gathering/internal/remote"
)

// control serves a handler on the control socket of a directory.
func control(t *testing.T, dir string, handler http.Handler) {
	t.Helper()
	c, err := remote.ServeControl(dir, handler, slog.New(slog.DiscardHandler))
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
}

// answers is a handler of one run: asked to stop it does, asked again it has
// ended, and asked why it breaks off.
func answers() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/runs/run_live/cancel", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(gathering.Run{ID: "run_live", State: gathering.RunCancelling})
	})
	mux.HandleFunc("POST /api/v1/runs/run_ended/cancel", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write([]byte(`{"kind":"conflict","detail":"run run_ended has ended: completed"}`))
	})
	mux.HandleFunc("GET /api/v1/runs/run_live/why", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	return mux
}

func TestControl(t *testing.T) {
	t.Parallel()
	short := t.TempDir()
	long := filepath.Join(t.TempDir(), strings.Repeat("long", 40), strings.Repeat("é", 60))
	pattern := filepath.Join(t.TempDir(), "a[b*")
	for _, dir := range []string{long, pattern} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, dir := range map[string]string{"short path": short, "long path": long, "path like a pattern": pattern} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			control(t, dir, answers())
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
			client := remote.NewClient(dir)
			run, err := client.CancelRun(t.Context(), "run_live")
			if err != nil || run.State != gathering.RunCancelling {
				t.Errorf("got %+v, %v", run, err)
			}
			_, err = client.CancelRun(t.Context(), "run_ended")
			if gathering.KindOf(err) != gathering.KindConflict || !strings.Contains(err.Error(), "has ended") {
				t.Errorf("got %v, want the conflict", err)
			}
			if _, err = client.Why(t.Context(), "run_live"); gathering.KindOf(err) != gathering.KindUnavailable {
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
	if _, err := remote.NewClient(dir).CancelRun(t.Context(), "run_live"); gathering.KindOf(err) != gathering.KindUnavailable {
		t.Errorf("nobody listens: got %v, want unavailable", err)
	}
	control(t, dir, answers())
	if _, err := remote.NewClient(dir).CancelRun(t.Context(), "run_live"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".control-123")); err == nil {
		t.Error("what a dead process left is still there")
	}
}

func TestControlNeedsADirectory(t *testing.T) {
	t.Parallel()
	_, err := remote.ServeControl(filepath.Join(t.TempDir(), "nothing"), answers(), slog.New(slog.DiscardHandler))
	if gathering.KindOf(err) != gathering.KindUnavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	if _, err := remote.NewClient(t.TempDir()).CancelRun(t.Context(), "run_live"); gathering.KindOf(err) != gathering.KindUnavailable {
		t.Errorf("got %v, want unavailable", err)
	}
}
