package cli

import (
	"context"
	"strings"
	"time"

	"gathering"
	"gathering/internal/progress"
)

type runsShowCmd struct {
	ID   string `arg:"" help:"The run, by its ID or a unique beginning or end of it."`
	JSON bool   `name:"json" help:"Print one JSON document."`
}

// Run tells where a run stands.
func (c *runsShowCmd) Run(ctx context.Context, s *shell) error {
	return s.reading(ctx, func(ctx context.Context, x *session) error {
		r, err := x.resolve(ctx, c.ID)
		if err != nil {
			return err
		}
		if r, err = x.settled(ctx, r); err != nil {
			return err
		}
		report, err := x.book.Report(ctx, r.ID)
		if err != nil {
			return err
		}
		if !r.State.Terminal() {
			report.State = r.State
		}
		if c.JSON {
			return writeDocument(s.Stdout, report)
		}
		return s.show(ctx, x, r, report)
	})
}

func (s *shell) show(ctx context.Context, x *session, r gathering.Run, report gathering.RunReport) error {
	tree, err := x.grown(ctx, r)
	if err != nil {
		return err
	}
	tree.State = report.State
	for _, line := range (progress.Style{Color: s.color(), ASCII: s.ascii()}).Frame(tree, time.Now(), s.columns(), progress.Unbounded) {
		s.say("%s", line)
	}
	s.say("")
	s.facts(r, report)
	if !r.State.Terminal() {
		why, err := x.why(ctx, r)
		if err != nil {
			return err
		}
		s.say("why       %s", progress.Printable(why.Line))
	}
	for _, n := range report.Nodes {
		s.nodeFailures(n)
	}
	if report.Error != nil {
		s.say("\nerror: %s", report.Error.Kind)
		s.failure(report.Error)
	}
	if text := outputText(report.Output); text != "" {
		s.say("\noutput:\n%s", text)
	}
	return nil
}

// columns is the width of the terminal, or what lines elsewhere may have.
func (s *shell) columns() int {
	if s.Terminal == nil {
		return 160
	}
	width, _ := s.Terminal()
	return width
}

func (s *shell) facts(r gathering.Run, report gathering.RunReport) {
	const stamp = "2006-01-02 15:04:05 MST"
	s.say("project   %s", r.Project)
	s.say("version   %d", r.Version)
	s.say("begun     %s", r.CreatedAt.Local().Format(stamp))
	if r.FinishedAt != nil {
		s.say("ended     %s, after %s", r.FinishedAt.Local().Format(stamp), progress.Span(r.FinishedAt.Sub(r.CreatedAt)))
	}
	if r.ReadyAt != nil && r.State == gathering.RunWaiting {
		s.say("due       %s", r.ReadyAt.Local().Format(stamp))
	}
	if r.Parent != "" {
		s.say("parent    %s", r.Parent)
	}
	if o := report.Origin; o != nil {
		s.say("origin    %s, again from %s, %d nodes kept", o.Run, progress.OneLine(strings.Join(o.From, ", ")), len(o.Kept))
	}
	if r.Crashes > 0 {
		s.say("crashes   %d", r.Crashes)
	}
	if u := report.Usage; u.ModelCalls+u.ToolCalls > 0 {
		s.say("usage     %d model calls (%d tokens in, %d out), %d tool calls", u.ModelCalls, u.InputTokens, u.OutputTokens, u.ToolCalls)
		if cost := progress.Cost(u); cost != "" {
			s.say("cost      %s", cost)
		}
	}
}

func (s *shell) failure(f *gathering.Failure) {
	s.say("  %s", progress.OneLine(f.Message))
	for _, field := range f.Fields {
		s.say("  %s", progress.OneLine(strings.TrimSpace(field.Field+": "+field.Problem)))
	}
}

// mostItems is how many failures of a map's items are told.
const mostItems = 10

// nodeFailures tells what went wrong in a node and in the items of a map.
func (s *shell) nodeFailures(n gathering.NodeReport) {
	if n.Error != nil {
		s.say("\n%s: %s", n.ID, n.Error.Kind)
		s.failure(n.Error)
	}
	if n.Items == nil {
		return
	}
	told := 0
	for _, item := range n.Items.Open {
		if item.Error == nil {
			continue
		}
		if told++; told > mostItems {
			break
		}
		s.say("\n%s: %s", gathering.NodePath(n.ID, item.Index), item.Error.Kind)
		s.failure(item.Error)
	}
}

// grown is the tree of a run as it stands, with the runs that its nodes waited for.
func (x *session) grown(ctx context.Context, r gathering.Run) (*progress.Tree, error) {
	tree, err := x.tree(ctx, r)
	if err != nil {
		return nil, err
	}
	events, err := x.book.Events(ctx, r.ID, 0, 0)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		if err := tree.Apply(e); err != nil {
			return nil, err
		}
	}
	for n := range tree.All() {
		if n.ChildRun == "" {
			continue
		}
		child, err := x.book.Run(ctx, n.ChildRun)
		if gathering.KindOf(err) == gathering.KindNotFound {
			continue // it was refused
		}
		if err != nil {
			return nil, err
		}
		if n.Child, err = x.grown(ctx, child); err != nil {
			return nil, err
		}
	}
	return tree, nil
}
