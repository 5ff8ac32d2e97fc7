package ask

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/breaker"
	"gathering/internal/progress"
	"gathering/internal/remote"
)

// Breakers is the commands about circuit breakers.
type Breakers struct {
	List    listBreakers   `cmd:"" help:"List the circuit breakers that are not closed and, of a process at work, all that it uses."`
	Trip    tripBreaker    `cmd:"" help:"Open a circuit breaker: nothing is called until it is reset."`
	Reset   resetBreaker   `cmd:"" help:"Close a circuit breaker."`
	History breakerHistory `cmd:"" help:"Tell when and why a circuit breaker was opened and closed."`
}

type listBreakers struct {
	JSON bool `name:"json" help:"Print one JSON document."`
}

// Run lists circuit breakers.
func (c *listBreakers) Run(ctx context.Context, out Console) error {
	return out.Service(ctx, Existing, func(ctx context.Context, client *remote.Client) error {
		list, err := client.Breakers(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return out.Document(api.Page[gathering.Breaker]{Items: list})
		}
		return breakerTable(out, list)
	})
}

func breakerTable(out Console, list []gathering.Breaker) error {
	if len(list) == 0 {
		out.Say("no circuit breaker is open")
		return nil
	}
	now := time.Now()
	rows := make([][]string, len(list))
	for i, b := range list {
		since, failed := "-", "-"
		if b.Since != nil {
			since = progress.Span(now.Sub(*b.Since))
		}
		if b.Calls > 0 {
			failed = fmt.Sprintf("%d of %d", b.Failed, b.Calls)
		}
		rows[i] = []string{progress.OneLine(b.Name), string(b.State), since, until(b), failed, why(b.By, b.Reason)}
	}
	return out.Table("BREAKER\tSTATE\tFOR\tUNTIL\tFAILED\tWHY", rows)
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

func why(by, reason string) string {
	if by == "" {
		return progress.OneLine(reason)
	}
	return progress.OneLine(strings.TrimSuffix("by "+by+": "+reason, ": "))
}

// aBreaker is the circuit breaker that a command is about.
type aBreaker struct {
	Name string `arg:"" help:"The circuit breaker, such as host:example.com:443, provider:openai or tool:files.write."`
}

// steer changes the breaker and says what it is then.
func (a aBreaker) steer(
	ctx context.Context, out Console, change func(ctx context.Context, client *remote.Client, name string) (gathering.Breaker, error),
) error {
	name, err := breaker.Name(a.Name)
	if err != nil {
		return err
	}
	return out.Service(ctx, Existing, func(ctx context.Context, client *remote.Client) error {
		b, err := change(ctx, client, name)
		if err != nil {
			return err
		}
		text := ""
		if at := until(b); at != "-" {
			text = " until " + at
		}
		out.Say("%s %s%s", b.Name, b.State, text)
		return nil
	})
}

type tripBreaker struct {
	aBreaker

	Reason string        `help:"Why, for whoever is refused."`
	For    time.Duration `placeholder:"DURATION" help:"Let a call through after this time, such as 1h. Without it, it stays open until it is reset."`
}

// Run opens a circuit breaker.
func (c *tripBreaker) Run(ctx context.Context, out Console) error {
	if c.For < 0 {
		return gathering.NewError(gathering.KindInvalid, "--for must be above 0s")
	}
	order := api.TripOrder{Reason: c.Reason}
	if c.For > 0 {
		at := time.Now().Add(c.For)
		order.Until = &at
	}
	return c.steer(ctx, out, func(ctx context.Context, client *remote.Client, name string) (gathering.Breaker, error) {
		return client.TripBreaker(ctx, name, order)
	})
}

type resetBreaker struct{ aBreaker }

// Run closes a circuit breaker.
func (c *resetBreaker) Run(ctx context.Context, out Console) error {
	return c.steer(ctx, out, func(ctx context.Context, client *remote.Client, name string) (gathering.Breaker, error) {
		return client.ResetBreaker(ctx, name)
	})
}

type breakerHistory struct {
	aBreaker

	Limit int  `default:"50" help:"How many of its last events at most."`
	JSON  bool `name:"json" help:"Print one JSON document a line."`
}

// maxHistory is how many events of a breaker can be asked for.
const maxHistory = 500

// Run tells what happened to a circuit breaker.
func (c *breakerHistory) Run(ctx context.Context, out Console) error {
	if c.Limit < 1 || c.Limit > maxHistory {
		return gathering.NewError(gathering.KindInvalid, "--limit must be from 1 to %d", maxHistory)
	}
	return out.Service(ctx, Existing, func(ctx context.Context, client *remote.Client) error {
		events, err := client.BreakerHistory(ctx, c.Name, c.Limit)
		if err != nil {
			return err
		}
		if len(events) == 0 && !c.JSON {
			out.Say("it was never opened")
		}
		for _, e := range events {
			if err := c.write(out, e); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *breakerHistory) write(out Console, e gathering.Event) error {
	if c.JSON {
		line, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("write event %d: %w", e.Seq, err)
		}
		out.Say("%s", line)
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
	out.Say("%s  %s%s  %s", clockTime(e.At), what, end, why(data.By, data.Reason))
	return nil
}
