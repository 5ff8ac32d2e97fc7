package cli

import (
	"context"
)

type demoCmd struct {
	Dir string `arg:"" optional:"" default:"." help:"Directory to look at."`
}

// Run runs the demo.
func (c *demoCmd) Run(ctx context.Context, s *shell) error { return nil }
