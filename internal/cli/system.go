// Package cli is the command line: its commands, flags, output and exit codes.
// It reaches the process around it only through a [System].
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"gathering"
	"gathering/internal/assign"
	"gathering/internal/audit"
	"gathering/internal/cli/ask"
	"gathering/internal/config"
	"gathering/internal/progress"
)

// Exit codes.
const (
	exitDone      = 0
	exitFailed    = 1   // it failed, timed out or went over its budget
	exitInvalid   = 2   // what was given is wrong
	exitWaiting   = 3   // it waits for a human
	exitCancelled = 130 // it was cancelled
)

// endedBy is the exit code of a command that a signal ended, as shells have it:
// 130 for SIGINT.
func endedBy(signal os.Signal) int {
	if n, ok := signal.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return exitFailed
}

// System is what the command line has of the process around it.
type System struct {
	Args           []string // without the program's name
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Lookup reads the environment.
	Lookup func(name string) (string, bool)
	// Dir is the current directory, absolute.
	Dir string
	// Signals delivers what the process is asked to do: SIGINT, SIGTERM, SIGHUP.
	// Nil delivers none.
	Signals <-chan os.Signal
	// Terminal tells the columns and rows of the terminal that Stdout is. Nil
	// where it is none.
	Terminal func() (width, height int)
	Version  string // of this build; "" is unknown
	Host     string
	PID      int
}

// Run runs the command that the arguments name and returns the exit code.
func Run(ctx context.Context, s System) int {
	sh := &shell{System: s, output: &progress.Output{Out: s.Stdout}}
	sh.Stdout = sh.output
	command, err := sh.parse()
	if err == nil && command != nil {
		ctx = audit.WithCaller(ctx, audit.Caller{Actor: commandLine, Name: commandLine})
		command.BindTo(ctx, (*context.Context)(nil))
		command.BindTo(console{sh}, (*ask.Console)(nil))
		err = command.Run(sh)
	}
	return sh.exit(ctx, err)
}

// shell is one run of a command.
type shell struct {
	System
	options
	given  []string // the flags on the command line, by name
	logger *slog.Logger
	output *progress.Output  // Stdout
	errors *progress.Guarded // Stderr
}

// options are the flags of all commands.
type options struct {
	Data      string `default:"data" placeholder:"DIR" help:"Directory of the database and files."`
	Database  string `placeholder:"URL" help:"Use PostgreSQL instead: postgres://…"`
	Config    string `placeholder:"FILE" help:"YAML file of flags by name, such as data: /srv/gathering."`
	Server    string `placeholder:"URL" help:"Ask the service there instead: https://…"`
	Token     string `placeholder:"TOKEN" help:"API token to ask with, gat_…"`
	LogFormat string `enum:"text,json" default:"text" help:"Form of the log on standard error: text or json."`
	LogLevel  string `enum:"debug,info,warn,error" default:"warn" help:"Least severe entries that are logged: debug, info, warn or error."`
	// Beat is how often a worker says that it is alive; 0 is the worker's default.
	Beat time.Duration `hidden:"" default:"0s" help:"How often an instance says that it is alive: 2s, or less for tests."`
}

// grammar is every command and flag.
type grammar struct {
	options

	Demo     demoCmd      `cmd:"" help:"Run the demo pipeline over a directory's files and git history."`
	Run      runCmd       `cmd:"" help:"Check and store a pipeline file and run it to the end."`
	Validate validateCmd  `cmd:"" help:"Tell every fault of pipeline files."`
	Runs     runsCmd      `cmd:"" help:"Look at runs and steer them."`
	Breakers ask.Breakers `cmd:"" help:"Look at circuit breakers, open and close them."`
	Serve    serveCmd     `cmd:"" help:"Run the service: the API, and a worker."`
	User     ask.Users    `cmd:"" help:"Look at users, make and change them."`
	Token    ask.Tokens   `cmd:"" help:"Look at API tokens, make them and take them back."`
	Audit    ask.Audit    `cmd:"" help:"Look at the audit trail and verify it."`
	Kinds    kindsCmd     `cmd:"" help:"Tell the kinds of node and their fields."`
	Tools    toolsCmd     `cmd:"" help:"Tell the tools that nodes and agents may call."`
	Bench    benchCmd     `cmd:"" help:"Measure how fast this machine and its database are."`
	Migrate  migrateCmd   `cmd:"" help:"Bring the database's schema up to date."`
	Version  versionCmd   `cmd:"" help:"Tell which build this is."`
}

const description = "Runs pipelines of agents, tools and plain steps, and does not lose them."

// parse reads the command line. A nil command was answered while it was read:
// somebody asked for help.
func (s *shell) parse() (*kong.Context, error) {
	s.errors = &progress.Guarded{Out: s.Stderr}
	s.logger = slog.New(slog.DiscardHandler)
	var g grammar
	answered := false
	parser, err := kong.New(
		&g, kong.Name("gathering"), kong.Description(description),
		kong.Writers(s.Stdout, s.errors), kong.Exit(func(int) { answered = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.ValueFormatter(config.Help),
		kong.ExplicitGroups(nil), kong.UsageOnError(),
	)
	if err != nil {
		return nil, fmt.Errorf("build the command line: %w", err)
	}
	values, err := config.Read(parser.Model, s.Args, s.Lookup, s.path)
	if err != nil {
		return nil, err
	}
	if err := kong.Resolvers(values).Apply(parser); err != nil {
		return nil, fmt.Errorf("build the command line: %w", err)
	}
	args := s.Args
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if answered {
		return nil, nil //nolint:nilnil // help was asked for and given
	}
	if err != nil {
		return nil, &usageError{err}
	}
	s.options = g.options
	for _, part := range command.Path {
		if part.Flag != nil && !part.Resolved {
			s.given = append(s.given, part.Flag.Name)
		}
	}
	if word, _, _ := strings.Cut(command.Command(), " "); !asks(word) {
		if slices.Contains(s.given, "server") {
			return nil, &usageError{fmt.Errorf("--server is for the commands %s", strings.Join(asking(), ", "))}
		}
		s.Server = ""
	}
	s.Data = s.path(s.Data)
	s.logger = s.newLogger()
	return command, nil
}

// path is a path as it was given, made absolute.
func (s *shell) path(given string) string {
	if filepath.IsAbs(given) {
		return filepath.Clean(given)
	}
	return filepath.Join(s.Dir, given)
}

func (s *shell) newLogger() *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		level = slog.LevelWarn // the flag admits no such value
	}
	options := &slog.HandlerOptions{Level: level}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(s.errors, options))
	}
	return slog.New(slog.NewTextHandler(s.errors, options))
}

// values is where values come from that are not on the command line itself.
func (s *shell) values() assign.Source { return assign.Source{Stdin: s.Stdin, Path: s.path} }

// usageError is a command line that cannot be read.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// exitError ends a command with an exit code, its messages being written.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit with %d", int(e)) }

// interruption is the cause of a context that ended by a signal.
type interruption struct{ signal os.Signal }

func (i *interruption) Error() string { return "interrupted by " + i.signal.String() }

// exit tells what went wrong, the output included, and returns the exit code.
func (s *shell) exit(ctx context.Context, err error) int {
	code, lost := s.exitOf(ctx, err), s.output.Lost()
	if lost == nil {
		return code
	}
	return max(code, s.exitOf(ctx, lost))
}

// exitOf tells what went wrong and returns the exit code that goes with it.
func (s *shell) exitOf(ctx context.Context, err error) int {
	if err == nil {
		return exitDone
	}
	if code, ok := errors.AsType[exitError](err); ok {
		return int(code)
	}
	if usage, ok := errors.AsType[*usageError](err); ok {
		s.tell("gathering: %s", usage.err)
		s.tell("gathering --help lists the commands and flags.")
		return exitInvalid
	}
	if i, ok := errors.AsType[*interruption](err); ok {
		s.tell("interrupted")
		return endedBy(i.signal)
	}
	s.explain(err)
	s.log(ctx, err)
	switch gathering.KindOf(err) {
	case gathering.KindInvalid, gathering.KindTooLarge:
		return exitInvalid
	default:
		return exitFailed
	}
}

// explain writes what may be seen of an error: a line for it and one for each field.
func (s *shell) explain(err error) {
	f := gathering.FailureOf(err)
	s.tell("gathering: %s", f.Message)
	for _, field := range f.Fields {
		s.tell("  %s: %s", field.Field, field.Problem)
	}
}

// log writes the cause of an error that was told to the log: as an error where
// nothing but the log says what it was.
func (s *shell) log(ctx context.Context, err error) {
	level := slog.LevelDebug
	if gathering.KindOf(err) == gathering.KindInternal {
		level = slog.LevelError
	}
	s.logger.Log(ctx, level, "command failed", slog.String("error", err.Error()))
}

// tell writes a line for people on standard error.
func (s *shell) tell(format string, args ...any) {
	fmt.Fprintln(s.errors, progress.Printable(fmt.Sprintf(format, args...)))
}

// say writes a line on standard output.
func (s *shell) say(format string, args ...any) {
	fmt.Fprintf(s.Stdout, format+"\n", args...)
}

// color reports whether standard output may be coloured: it is a terminal and
// nobody asked for none (no-color.org).
func (s *shell) color() bool {
	none, _ := s.Lookup("NO_COLOR")
	return s.Terminal != nil && none == ""
}

// ascii reports whether the locale has no characters beyond ASCII.
func (s *shell) ascii() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale, _ := s.Lookup(name); locale != "" {
			upper := strings.ToUpper(locale)
			return !strings.Contains(upper, "UTF-8") && !strings.Contains(upper, "UTF8")
		}
	}
	return false
}

// interruptible returns a context that a signal ends. Call stop when signals
// are to be read elsewhere or no more.
func (s *shell) interruptible(ctx context.Context) (interruptible context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case signal := <-s.Signals:
			cancel(&interruption{signal})
		case <-quit:
		}
	}()
	return ctx, func() {
		close(quit)
		<-done
		cancel(nil)
	}
}

// writeDocument writes a value as one JSON document, indented for people.
func writeDocument(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("write the document: %w", err)
	}
	return nil
}
