package api_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"gathering/internal/app"
	"gathering/internal/store/storetest"
)

// TestOpenAPILint holds the OpenAPI document against the default rules of two
// linters that others wrote. `make deps` installs them.
func TestOpenAPILint(t *testing.T) {
	t.Parallel()
	tools, err := filepath.Abs("../../tools/openapi/node_modules/.bin")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	document := filepath.Join(dir, "openapi.json")
	s := open(t, storetest.SQLite(t), app.FrontOptions{})
	answer := s.ask(t, nil, call{method: http.MethodGet, path: "/openapi.json"})
	if err := os.WriteFile(document, []byte(answer.body), 0o600); err != nil {
		t.Fatal(err)
	}
	rules := filepath.Join(dir, "rules.yaml")
	if err := os.WriteFile(rules, []byte("extends: [\"spectral:oas\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, arguments := range map[string][]string{
		"redocly":  {"lint", "--extends=recommended", document},
		"spectral": {"lint", "--fail-severity=error", "--ruleset", rules, document},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program := filepath.Join(tools, name)
			if _, err := os.Stat(program); err != nil {
				t.Fatalf("%s is not there; make deps installs it: %v", name, err)
			}
			lint := exec.CommandContext(t.Context(), program, arguments...)
			lint.Dir = dir
			lint.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "CI=true")
			if out, err := lint.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		})
	}
}
