package cli_test

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"gathering"
)

const hour = `name: hour
nodes:
  start: {kind: trigger}
  ask: {kind: tool, needs: [start], tool: time.now, on_open: fail}
`

func TestBreakers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.file("hour.yaml", hour)
		d.run("run", "hour.yaml").exits(0)
		d.run("breakers", "list").exits(0).says("no circuit breaker is open")
		d.run("breakers", "history", "tool:time.now").exits(0).says("it was never opened")
		d.run("breakers", "reset", "tool:time.now").exits(1).tells("there is no circuit breaker tool:time.now")

		d.run("breakers", "trip", "tool:time.now", "--reason", "it is late").exits(0).says("tool:time.now open until reset")
		d.run("breakers", "list").exits(0).says("BREAKER", "tool:time.now", "open", "by the command line: it is late")
		d.run("run", "hour.yaml").exits(1).says("the circuit of tool time.now was opened by hand (it is late); it stays so until it is reset")
		d.run("breakers", "reset", "tool:time.now").exits(0).says("tool:time.now closed")
		d.run("run", "hour.yaml").exits(0)
		d.run("breakers", "trip", "host:example.com", "--for", "1h").exits(0).says("host:example.com:443 open until 2")

		r := d.run("breakers", "history", "tool:time.now").exits(0)
		r.says("opened  until reset  by the command line: it is late", "closed  by the command line")
		var list struct {
			Items []gathering.Breaker `json:"items"`
		}
		if err := json.Unmarshal([]byte(d.run("breakers", "list", "--json").exits(0).stdout), &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Items) != 1 || list.Items[0].Name != "host:example.com:443" || list.Items[0].Until == nil {
			t.Errorf("got %+v, want the one that is open", list.Items)
		}
		var event gathering.Event
		line, _, _ := strings.Cut(d.run("breakers", "history", "tool:time.now", "--json", "--limit", "1").exits(0).stdout, "\n")
		if err := json.Unmarshal([]byte(line), &event); err != nil || event.Type != gathering.EventBreakerClosed {
			t.Errorf("got %s, %v, want the last event", line, err)
		}
	})
}

func TestBreakersOfAProcessAtWork(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.file("nap.yaml", nap)
		b := d.start(nil, "run", "nap.yaml")
		d.await("the delay", b.stdout.seen("nap  waits"), b)
		d.run("breakers", "trip", "provider:openai").exits(0).says("provider:openai open until reset")
		d.run("breakers", "list").exits(0).says("provider:openai")
		d.run("breakers", "reset", "provider:openai").exits(0).says("provider:openai closed")
		d.run("breakers", "reset", "provider:nobody").exits(1).tells("there is no circuit breaker provider:nobody")
		d.run("breakers", "history", "provider:openai").exits(0).says("opened", "closed")
		b.signals <- syscall.SIGINT
		d.end(b, 130)
	})
}

func TestBreakersUsage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args  []string
		tells string
	}{
		"no name":           {[]string{"trip", "openai"}, "name: must be as"},
		"a time before now": {[]string{"trip", "tool:time.now", "--for=-1s"}, "--for must be above 0s"},
		"a limit of none":   {[]string{"history", "tool:time.now", "--limit", "0"}, "--limit must be from 1 to 500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newDesk(t).run(append([]string{"breakers"}, test.args...)...).exits(2).tells(test.tells)
		})
	}
	newDesk(t).run("breakers", "trip", "tool:time.now").exits(1).tells("there is no database in")
}
