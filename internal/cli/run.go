package cli

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"gathering"
	"gathering/internal/assign"
	"gathering/internal/definition"
	"gathering/internal/progress"
	"gathering/internal/run"
)

type runCmd struct {
	File      string   `arg:"" help:"Pipeline file, YAML or JSON."`
	Input     string   `placeholder:"JSON|@FILE" help:"The run's input: JSON, or a file that holds it (@- is standard input)."`
	Set       []string `sep:"none" placeholder:"PATH=VALUE" help:"Set a value within the input: JSON, or else text. Repeatable."`
	Var       []string `sep:"none" placeholder:"NAME=VALUE" help:"Override one of the pipeline's vars. Repeatable."`
	Project   string   `default:"default" help:"Project that the pipeline is stored in."`
	Workspace string   `placeholder:"DIR" help:"Directory that the run's tools read. Default: the current one."`
	Key       string   `help:"A key that one run of the project may have at a time."`
	OnKey     string   `enum:"reject,existing,cancel" default:"reject" help:"Where another run has the key: reject this one, work on the existing one instead, or cancel that."`
	Priority  int      `default:"0" help:"Of runs that are due, those with the higher number are begun first."`
	JSON      bool     `name:"json" help:"Print one JSON document and no progress."`
}

// Run runs a file to the end.
func (c *runCmd) Run(ctx context.Context, s *shell) error {
	if c.Key == "" && c.OnKey != string(run.KeyReject) {
		return &usageError{errors.New("--on-key goes with --key")}
	}
	if err := c.checkElsewhere(s); err != nil {
		return err
	}
	input, err := s.values().Input(c.Input, c.Set)
	if err != nil {
		return err
	}
	vars, err := s.values().Vars(c.Var)
	if err != nil {
		return err
	}
	workspace, err := s.directory(c.Workspace)
	if err != nil {
		return err
	}
	e := execution{
		shell: s,
		save: func(ctx context.Context, x *session) (gathering.Pipeline, error) {
			if err := x.Projects.Ensure(ctx, gathering.ProjectID(c.Project)); err != nil {
				return gathering.Pipeline{}, err
			}
			p, err := x.SaveFile(ctx, gathering.ProjectID(c.Project), s.path(c.File))
			return p, noFile(c.File, err)
		},
		new: run.New{
			Input: input, Vars: vars, Workspace: workspace, Priority: c.Priority, Key: c.Key, OnKey: run.OnKey(c.OnKey),
		},
		show: s.view,
	}
	if s.Server != "" {
		e.started = func(ctx context.Context) (*session, gathering.Run, error) { return c.startElsewhere(ctx, s, e.new) }
	}
	if c.JSON {
		e.show = silent
	}
	report, err := e.run(ctx)
	if faults, ok := errors.AsType[definition.Faults](err); ok {
		for _, fault := range faults {
			s.tell("%s", fault.Text(c.File))
		}
		return exitError(exitInvalid)
	}
	if gathering.CodeOf(err) == gathering.CodeDirectoryHeld {
		f := gathering.FailureOf(err)
		return gathering.NewError(f.Kind, "%s; if that is a service, --server URL --token T has it run this", f.Message).WithCause(err)
	}
	if report.Run == "" {
		return err
	}
	if writeErr := c.write(s, report); writeErr != nil {
		return writeErr
	}
	return errors.Join(err, code(outcome(report.State)))
}

func code(n int) error {
	if n == exitDone {
		return nil
	}
	return exitError(n)
}

func (c *runCmd) write(s *shell, report gathering.RunReport) error {
	if c.JSON {
		return writeDocument(s.Stdout, report)
	}
	return s.writeResult(report)
}

// writeResult writes what a run ended with.
func (s *shell) writeResult(r gathering.RunReport) error {
	if text := outputText(r.Output); text != "" {
		s.say("\n%s", text)
	}
	return nil
}

// outputText is an output as people read it: a text as it is, the rest as
// indented JSON, and nothing for null.
func outputText(output json.RawMessage) string {
	if len(output) == 0 || string(output) == "null" {
		return ""
	}
	var text string
	if json.Unmarshal(output, &text) == nil {
		return progress.Printable(strings.TrimRight(text, "\n"))
	}
	value, err := assign.Decode(output)
	if err != nil {
		return progress.OneLine(string(output))
	}
	var b strings.Builder
	if writeDocument(&b, value) != nil {
		return progress.OneLine(string(output))
	}
	return progress.Printable(strings.TrimRight(b.String(), "\n"))
}

// execution is one run worked on from its beginning to its end.
type execution struct {
	shell *shell
	save  func(ctx context.Context, x *session) (gathering.Pipeline, error)
	new   run.New
	// begin makes the run under an ID that is worked on; nil starts one of what
	// save stored.
	begin func(ctx context.Context, x *session, id gathering.RunID) (gathering.Run, error)
	// started, where it is not nil, starts the run of what is worked on elsewhere.
	started func(ctx context.Context) (*session, gathering.Run, error)
	show    func(*progress.Tree) view
	// after is called with the report while the database is open; nil is not.
	after func(ctx context.Context, x *session, report gathering.RunReport) error
}

// run works until the run has ended, waits for a human, is paused or was left for
// later.
// The report is that of the run as it is then; without one it did not begin.
func (e *execution) run(ctx context.Context) (report gathering.RunReport, err error) {
	opening, stop := e.shell.interruptible(ctx)
	x, r, err := e.start(opening)
	cause := context.Cause(opening)
	stop()
	if err != nil {
		if x != nil {
			err = errors.Join(err, x.close())
		}
		if _, ok := errors.AsType[*interruption](cause); ok {
			return report, cause
		}
		return report, err
	}
	return e.finish(ctx, x, r)
}

// finish works on the run that was started and closes the session.
func (e *execution) finish(ctx context.Context, x *session, r gathering.Run) (report gathering.RunReport, err error) {
	defer func() { err = errors.Join(err, x.close()) }()
	tree, err := x.follow(ctx, r, e.show)
	if left, ok := errors.AsType[exitError](err); ok {
		ctx, cancel := context.WithTimeout(ctx, aGlance)
		defer cancel()
		report, err = x.book.Report(ctx, r.ID)
		return report, errors.Join(left, err)
	}
	if err != nil {
		e.shell.tell("%s is left for later; %s", r.ID, x.goesOn())
		return report, err
	}
	if undecided, paused := tree.Undecided(), tree.Paused(); undecided != nil {
		e.shell.tell("%s waits for a human: %s may have acted and nobody can tell", r.ID, strings.Join(undecided, ", "))
		e.shell.tell("gathering runs show %s tells what is known, gathering runs decide says what became of it", r.ID)
	} else if paused != "" {
		e.shell.tell("%s is %s; gathering runs resume %s goes on with it", r.ID, paused, r.ID)
	} else if err := x.settle(ctx); err != nil {
		return report, err
	}
	if report, err = x.lastReport(ctx, r.ID); err != nil {
		e.shell.tell("%s is %s; gathering runs show %s tells the rest", r.ID, tree.State, r.ID)
		return report, err
	}
	if e.after != nil {
		err = e.after(ctx, x, report)
	}
	return report, err
}

// lastReport is the report of a run that is not worked on any more, as soon as
// the database gives it.
func (x *session) lastReport(ctx context.Context, id gathering.RunID) (report gathering.RunReport, err error) {
	ctx, stop := x.shell.interruptible(ctx)
	defer stop()
	err = x.patiently(ctx, func() (err error) {
		report, err = x.book.Report(ctx, id)
		return err
	})
	return report, err
}

// start opens the database, stores the pipeline, begins to work and starts the run.
func (e *execution) start(ctx context.Context) (*session, gathering.Run, error) {
	if e.started != nil {
		return e.started(ctx)
	}
	x, err := e.shell.open(ctx)
	if err != nil {
		return nil, gathering.Run{}, err
	}
	begin := e.begin
	if begin == nil {
		p, err := e.save(ctx, x)
		if err != nil {
			return x, gathering.Run{}, err
		}
		begin = func(ctx context.Context, x *session, id gathering.RunID) (gathering.Run, error) {
			e.new.ID = id
			return x.startNew(ctx, p, e.new)
		}
	}
	id := gathering.NewRunID(time.Now())
	if err := x.work(ctx, id); err != nil {
		return x, gathering.Run{}, err
	}
	r, err := begin(ctx, x, id)
	return x, r, err
}
