package cli

import (
	"context"
	"errors"
	"io/fs"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/definition"
)

type validateCmd struct {
	Files []string `arg:"" name:"file" help:"Pipeline files, YAML or JSON."`
}

// Run tells every fault of the files and those that they refer to.
func (c *validateCmd) Run(ctx context.Context, s *shell) error {
	ctx, stop := s.interruptible(ctx)
	defer stop()
	var invalid error
	for _, file := range c.Files {
		_, err := app.CheckFile(ctx, s.appOptions(), s.path(file))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		faults, faulty := errors.AsType[definition.Faults](err)
		switch {
		case err == nil:
			s.say("%s: valid", file)
			continue
		case faulty:
			for _, fault := range faults {
				s.say("%s", fault.Text(file))
			}
		default:
			s.explain(noFile(file, err))
			s.log(ctx, err)
		}
		invalid = exitError(exitInvalid)
	}
	return invalid
}

// noFile makes a file that is not there the fault of whoever named it, by the
// name that was given.
func noFile(given string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return gathering.NewError(gathering.KindInvalid, "there is no file %s", given).WithCause(err)
}
