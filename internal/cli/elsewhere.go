package cli

import (
	"context"
	"errors"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/run"
)

// startElsewhere stores the file at the service that --server names and starts
// a run of it there. What the command line gives is in local.
func (c *runCmd) startElsewhere(ctx context.Context, s *shell, local run.New) (*session, gathering.Run, error) {
	x, err := s.openToRead(ctx)
	if err != nil {
		return nil, gathering.Run{}, err
	}
	version, err := x.elsewhere.SaveFile(ctx, gathering.ProjectID(c.Project), s.path(c.File))
	if err != nil {
		return x, gathering.Run{}, noFile(c.File, err)
	}
	r, err := x.elsewhere.StartRun(ctx, version.Pipeline, api.NewRun{
		Version: version.Number, Input: local.Input, Vars: local.Vars, Priority: local.Priority, Key: local.Key, OnKey: local.OnKey,
	})
	return x, r, err
}

// checkElsewhere reports what the command cannot have a service elsewhere do.
func (c *runCmd) checkElsewhere(s *shell) error {
	if s.Server != "" && c.Workspace != "" {
		return &usageError{errors.New("--workspace is a directory here, which the service that --server names does not have")}
	}
	return nil
}

// cancel asks a run to stop: here or there.
func (x *session) cancel(ctx context.Context, id gathering.RunID) error {
	var err error
	if x.elsewhere != nil {
		_, err = x.elsewhere.CancelRun(ctx, id)
	} else {
		_, err = x.Runs.Cancel(ctx, id, commandLine)
	}
	return err
}

// leave stops working.
func (x *session) leave() {
	if x.worker != nil {
		x.worker.Stop()
	}
}

// goesOn says who goes on with what is left.
func (x *session) goesOn() string {
	if x.elsewhere != nil {
		return "the service goes on with it"
	}
	return "gathering runs resume goes on with it"
}

// whoWorks says who works on a run that was asked for there.
func (x *session) whoWorks() string {
	if x.elsewhere != nil {
		return "the service"
	}
	return "the process that holds the data directory"
}

// byResuming adds to a message the command that has a run be worked on, where
// that is needed.
func (x *session) byResuming() string {
	if x.elsewhere != nil {
		return ""
	}
	return ": gathering runs resume"
}
