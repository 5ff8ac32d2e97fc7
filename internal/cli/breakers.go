package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/breaker"
	"gathering/internal/progress"
	"gathering/internal/store"
)

type breakersCmd struct {
	List    breakersListCmd    `cmd:"" help:"List the circuit breakers that are not closed and, of a process at work, all that it uses."`
	Trip    breakersTripCmd    `cmd:"" help:"Open a circuit breaker: nothing is called until it is reset."`
	Reset   breakersResetCmd   `cmd:"" help:"Close a circuit breaker."`
	History breakersHistoryCmd `cmd:"" help:"Tell when and why a circuit breaker was opened and closed."`
}

type breakersListCmd struct {
	JSON bool `name:"json" help:"Print one JSON document."`
}

// Run lists circuit breakers.
func (c *breakersListCmd) Run(ctx context.Context, s *shell) error {
	return s.reading(ctx, func(ctx context.Context, x *session) error {
		list, err := x.breakers(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return writeDocument(s.Stdout, struct {
				Items []gathering.Breaker `json:"items"`
			}{list})
		}
		return s.breakerTable(list)
	})
}

// breakers are those that the process which holds the data directory knows, or
// else those stored as open.
func (x *session) breakers(ctx context.Context) ([]gathering.Breaker, error) {
	if x.onSQLite() {
		if _, held, err := store.HolderOf(x.Data); err == nil && held {
			list, err := api.NewClient(x.Data).Breakers(ctx)
			if gathering.KindOf(err) != gathering.KindUnavailable {
				return list, err
			}
		}
	}
	return x.Breakers.Open(ctx)
}

func (s *shell) breakerTable(list []gathering.Breaker) error {
	if len(list) == 0 {
		s.say("no circuit breaker is open")
		return nil
	}
	now := time.Now()
	w := tabwriter.NewWriter(s.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "BREAKER\tSTATE\tFOR\tUNTIL\tFAILED\tWHY")
	for _, b := range list {
		since := "-"
		if b.Since != nil {
			since = progress.Span(now.Sub(*b.Since))
		}
		failed := "-"
		if b.Calls > 0 {
			failed = fmt.Sprintf("%d of %d", b.Failed, b.Calls)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", progress.OneLine(b.Name), b.State, since, until(b), failed, why(b.By, b.Reason))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

// until is when an open breaker lets a call through.
func until(b gathering.Breaker) string {
	switch {
	case b.State != gathering.BreakerOpen:
		return "-"
	case b.Until == nil:
		return "reset"
	default:
		return clockTime(*b.Until)
	}
}

func clockTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

func why(by, reason string) string {
	if by == "" {
		return progress.OneLine(reason)
	}
	return progress.OneLine(strings.TrimSuffix("by "+by+": "+reason, ": "))
}

type breakersTripCmd struct {
	Name   string        `arg:"" help:"The circuit breaker, such as host:example.com:443, provider:openai or tool:files.write."`
	Reason string        `help:"Why, for whoever is refused."`
	For    time.Duration `placeholder:"DURATION" help:"Let a call through after this time, such as 1h. Without it, it stays open until it is reset."`
}

// Run opens a circuit breaker.
func (c *breakersTripCmd) Run(ctx context.Context, s *shell) error {
	if c.For < 0 {
		return &usageError{errors.New("--for must be above 0s")}
	}
	order := api.TripOrder{Reason: c.Reason}
	if c.For > 0 {
		order.Until = time.Now().Add(c.For)
	}
	return s.steerBreaker(ctx, c.Name,
		func(ctx context.Context, r *breaker.Registry, name string) (gathering.Breaker, error) {
			return r.Trip(ctx, name, commandLine, order.Reason, order.Until)
		},
		func(ctx context.Context, client *api.Client, name string) (gathering.Breaker, error) {
			return client.TripBreaker(ctx, name, order)
		})
}

// commandLine is by whom things are done here.
const commandLine = api.CommandLine

type breakersResetCmd struct {
	Name string `arg:"" help:"The circuit breaker, such as host:example.com:443, provider:openai or tool:files.write."`
}

// Run closes a circuit breaker.
func (c *breakersResetCmd) Run(ctx context.Context, s *shell) error {
	return s.steerBreaker(ctx, c.Name,
		func(ctx context.Context, r *breaker.Registry, name string) (gathering.Breaker, error) {
			return r.Reset(ctx, name, commandLine)
		},
		func(ctx context.Context, client *api.Client, name string) (gathering.Breaker, error) {
			return client.ResetBreaker(ctx, name)
		})
}

// steerBreaker changes a breaker here or in the process that holds the data
// directory, and tells what it is then.
func (s *shell) steerBreaker(
	ctx context.Context, name string,
	here func(context.Context, *breaker.Registry, string) (gathering.Breaker, error),
	there func(context.Context, *api.Client, string) (gathering.Breaker, error),
) error {
	name, err := breaker.Name(name)
	if err != nil {
		return err
	}
	var b gathering.Breaker
	err = s.hereOrThere(ctx,
		func(ctx context.Context, s *shell) (err error) {
			// Looking first leaves a directory alone that has no database.
			if err := s.reading(ctx, func(context.Context, *session) error { return nil }); err != nil {
				return err
			}
			x, err := s.open(ctx)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, x.close()) }()
			b, err = here(ctx, x.Circuits, name)
			return err
		},
		func(ctx context.Context, s *shell) (err error) {
			b, err = there(ctx, api.NewClient(s.Data), name)
			return err
		})
	if err != nil {
		return err
	}
	switch until := until(b); until {
	case "-":
		s.say("%s %s", b.Name, b.State)
	default:
		s.say("%s %s until %s", b.Name, b.State, until)
	}
	return nil
}

type breakersHistoryCmd struct {
	Name  string `arg:"" help:"The circuit breaker, such as host:example.com:443, provider:openai or tool:files.write."`
	Limit int    `default:"50" help:"How many of its last events at most."`
	JSON  bool   `name:"json" help:"Print one JSON document a line."`
}

// Run tells what happened to a circuit breaker.
func (c *breakersHistoryCmd) Run(ctx context.Context, s *shell) error {
	if c.Limit < 1 || c.Limit > breaker.MaxHistory {
		return &usageError{fmt.Errorf("--limit must be from 1 to %d", breaker.MaxHistory)}
	}
	return s.reading(ctx, func(ctx context.Context, x *session) error {
		events, err := x.Breakers.History(ctx, c.Name, c.Limit)
		if err != nil {
			return err
		}
		if len(events) == 0 && !c.JSON {
			s.say("it was never opened")
		}
		for _, e := range events {
			if err := c.write(s, e); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *breakersHistoryCmd) write(s *shell, e gathering.Event) error {
	if c.JSON {
		line, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("write event %d: %w", e.Seq, err)
		}
		s.say("%s", line)
		return nil
	}
	var data gathering.BreakerChangedData
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return fmt.Errorf("read event %d: %w", e.Seq, err)
	}
	what, end := "closed", ""
	if e.Type == gathering.EventBreakerOpened {
		what, end = "opened", "  until reset"
		if data.Until != nil {
			end = "  until " + clockTime(*data.Until)
		}
	}
	s.say("%s  %s%s  %s", clockTime(e.At), what, end, why(data.By, data.Reason))
	return nil
}
