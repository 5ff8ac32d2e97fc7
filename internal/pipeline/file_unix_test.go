//go:build unix

package pipeline_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gathering/internal/pipeline"
)

// TestNamedPipe would wait for ever if opening one waited for its other end.
func TestNamedPipe(t *testing.T) {
	t.Parallel()
	dir := lay(t, map[string]string{"main.yaml": refers("main", "pipe.yaml")})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := pipeline.Files{Checker: checker()}
	for _, name := range []string{"pipe.yaml", "main.yaml"} {
		_, err := files.Load(t.Context(), filepath.Join(dir, name))
		if err == nil || !strings.Contains(err.Error(), "pipe.yaml is not a file") {
			t.Errorf("load %s: got %v, want that the pipe is not a file", name, err)
		}
	}
}
