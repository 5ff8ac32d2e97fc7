package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/demo"
	"gathering/internal/llm/provider"
	"gathering/internal/progress"
	"gathering/internal/run"
	"gathering/internal/serve"
)

type demoCmd struct {
	Dir   string `arg:"" optional:"" default:"." help:"Directory to look at. Nothing is written to it."`
	Model string `placeholder:"REF" help:"Model that writes the summaries, such as openai/gpt-5.4-mini. Default: OpenAI's where its key is set, else a local Ollama's, else offline/extract."`
}

// openAI is the model used where there is a key for it and no other is named.
const openAI = "openai/gpt-5.4-mini"

// Run runs the demo.
func (c *demoCmd) Run(ctx context.Context, s *shell) error {
	dir, err := s.directory(c.Dir)
	if err != nil {
		return err
	}
	model, why := c.model(ctx, s)
	s.say("%s: %s", dir, why)
	input, err := gathering.EncodeJSON(demo.NewInput(filepath.Base(dir)))
	if err != nil {
		return err
	}
	e := execution{
		shell: s,
		save: func(ctx context.Context, x *session) (gathering.Pipeline, error) {
			return saveDemo(ctx, x, model)
		},
		new:   run.New{Input: input, Workspace: dir},
		show:  s.view,
		after: func(_ context.Context, x *session, report gathering.RunReport) error { return s.sayDemo(x, report) },
	}
	report, err := e.run(ctx)
	if report.Run == "" {
		return err
	}
	if left, _ := s.Lookup("DEMO_EXIT"); err == nil && left == "" && s.Terminal != nil {
		s.say("\nThe service goes on until Ctrl-C.")
		err = serve.Run(ctx, serve.Options{
			App: s.appOptions(), Addr: "127.0.0.1:8080", Other: true, Signals: s.Signals, Say: s.tell,
			Worker: run.WorkerOptions{Host: s.Host, PID: s.PID, Version: s.Version, Beat: s.Beat},
			Front:  app.FrontOptions{Version: s.Version}, Page: "/runs/" + string(report.Run),
		})
	}
	return errors.Join(err, code(outcome(report.State)))
}

// directory is an existing directory as it was given, made absolute.
func (s *shell) directory(given string) (string, error) {
	dir := s.path(given)
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return "", gathering.NewError(gathering.KindInvalid, "%s is not a directory", given).WithCause(err)
	}
	return dir, nil
}

// model picks the model that writes summaries and says which one it is.
func (c *demoCmd) model(ctx context.Context, s *shell) (ref, why string) {
	if c.Model != "" {
		return c.Model, "summaries by " + c.Model
	}
	if key, _ := s.Lookup("OPENAI_API_KEY"); key != "" {
		return openAI, "summaries by " + openAI + ", because OPENAI_API_KEY is set"
	}
	if ref, err := provider.Reachable(ctx, s.Lookup); err == nil {
		return ref, "summaries by " + ref + ", which this machine has"
	}
	return demo.Offline, "summaries by " + demo.Offline + ", which picks sentences and is no language model; set OPENAI_API_KEY or start Ollama for one"
}

func saveDemo(ctx context.Context, x *session, model string) (gathering.Pipeline, error) {
	var p gathering.Pipeline
	if err := x.Projects.Ensure(ctx, demo.Project); err != nil {
		return p, err
	}
	documents, err := demo.Documents(model)
	if err != nil {
		return p, err
	}
	for _, document := range documents {
		if p, err = x.Save(ctx, demo.Project, document); err != nil {
			return p, err
		}
	}
	return p, nil
}

// shown is how many lines of the document are printed.
const shown = 24

// sayDemo prints the document's first lines, where it is, and what to do next.
func (s *shell) sayDemo(x *session, report gathering.RunReport) error {
	if report.State == gathering.RunCompleted {
		var output struct {
			Path     string `json:"path"`
			Document string `json:"document"`
		}
		if err := json.Unmarshal(report.Output, &output); err != nil {
			return fmt.Errorf("read the demo's output: %w", err)
		}
		lines := strings.Split(strings.TrimRight(progress.Printable(output.Document), "\n"), "\n")
		s.say("")
		for _, line := range lines[:min(shown, len(lines))] {
			s.say("  %s", line)
		}
		if len(lines) > shown {
			s.say("  … %d lines more", len(lines)-shown)
		}
		s.say("\nThe whole document: %s", filepath.Join(x.Data, filepath.FromSlash(output.Path)))
	}
	flags := s.where()
	s.say("\nGo on with:")
	s.say("  gathering runs show %s%s", report.Run, flags)
	s.say("  gathering runs events %s%s", report.Run, flags)
	if example := filepath.Join("examples", "changelog.yaml"); isFile(filepath.Join(s.Dir, example)) {
		s.say("  gathering run %s%s", example, flags)
	} else {
		s.say("  gathering runs list%s", flags)
	}
	return nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// where is the flags that lead other commands to the same database: those that
// were given.
func (s *shell) where() string {
	var b strings.Builder
	for _, flag := range []struct{ name, value string }{
		{"data", s.Data}, {"database", withoutPassword(s.Database)}, {"config", s.path(s.Config)},
	} {
		if slices.Contains(s.given, flag.name) {
			b.WriteString(" --" + flag.name + " " + quoted(flag.value))
		}
	}
	return b.String()
}

// withoutPassword is a database's URL as others may read it.
func withoutPassword(database string) string {
	u, err := url.Parse(database)
	if err != nil {
		return "postgres://…"
	}
	if query := u.Query(); query.Has("password") {
		query.Set("password", "xxxxx")
		u.RawQuery = query.Encode()
	}
	return u.Redacted()
}

// quoted is a word as a shell reads it.
func quoted(word string) string {
	plain := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("@%+=:,./-_", r)
	}
	if strings.TrimFunc(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
