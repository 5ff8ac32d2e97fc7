package cli

import (
	"context"
	"runtime"
	"runtime/debug"

	"gathering/internal/store"
)

type versionCmd struct {
	JSON bool `name:"json" help:"Print one JSON document."`
}

// build is what is known of this build.
type build struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Commit   string `json:"commit,omitempty"`
}

// Run tells which build this is.
func (c *versionCmd) Run(s *shell) error {
	b := build{Version: s.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if b.Version == "" {
		b.Version = "unknown"
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				b.Commit = setting.Value
			}
		}
	}
	if c.JSON {
		return writeDocument(s.Stdout, b)
	}
	commit := ""
	if b.Commit != "" {
		commit = ", commit " + b.Commit
	}
	s.say("gathering %s (%s, %s%s)", b.Version, b.Go, b.Platform, commit)
	return nil
}

type migrateCmd struct {
	DryRun bool `help:"List the steps and take none."`
}

// Run brings the schema up to date.
func (c *migrateCmd) Run(ctx context.Context, s *shell) error {
	ctx, stop := s.interruptible(ctx)
	defer stop()
	o := store.Options{Dir: s.Data, URL: s.Database, Logger: s.logger, Command: "gathering migrate"}
	if !c.DryRun {
		taken, err := store.Migrate(ctx, o)
		if err != nil {
			return err
		}
		for _, m := range taken {
			s.say("applied %s", m.Name)
		}
		if len(taken) == 0 {
			s.say("the schema is up to date")
		}
		return nil
	}
	all, err := store.MigrationStatus(ctx, o)
	if err != nil {
		return err
	}
	for _, m := range all {
		state := "would apply"
		if m.Applied {
			state = "applied"
		}
		s.say("%-12s %s", state, m.Name)
	}
	return nil
}
