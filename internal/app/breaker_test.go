package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gathering"
	"gathering/internal/app"
	"gathering/internal/breaker"
	"gathering/internal/run"
	"gathering/internal/tool"
)

// TestRunsShareTheCircuitOfAHost holds that a host which is down is left alone
// by every run: those that wait go on when it is back, those that do not fail
// at once.
func TestRunsShareTheCircuitOfAHost(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o app.Options) {
		var calls atomic.Int64
		var up atomic.Bool
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			if !up.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}))
		t.Cleanup(s.Close)
		o.Lookup = allowing("127.0.0.1/32")
		o.Circuits = breaker.Limits{Open: 3 * time.Second}
		a := open(t, o)
		work(t, a)
		call := func(name, more string) gathering.RunID {
			t.Helper()
			p, err := a.Save(t.Context(), gathering.DefaultProject, fmt.Appendf(nil, `
name: %s
nodes:
  start: {kind: trigger}
  ask: {kind: action, needs: [start], action: call_api, with: {url: "%s"}, %s}
`, name, s.URL, more))
			if err != nil {
				t.Fatal(err)
			}
			r, err := a.Start(t.Context(), p, run.New{})
			if err != nil {
				t.Fatal(err)
			}
			return r.ID
		}
		patient := call("patient", "retry: {max_attempts: 6, initial_delay: 1ms, factor: 1}")
		waits(t, a, patient)
		hasty := call("hasty", "on_open: fail")
		end(t, a, hasty)
		report, err := a.Runs.Report(t.Context(), hasty)
		if err != nil {
			t.Fatal(err)
		}
		if f := report.Nodes[1].Error; f == nil || f.Code != gathering.CodeCircuitOpen || !strings.Contains(f.Message, "is open after 5 failures") {
			t.Errorf("the run that does not wait met %+v", f)
		}
		if got := calls.Load(); got != 5 {
			t.Errorf("the server saw %d calls, want 5", got)
		}
		up.Store(true)
		if got := end(t, a, patient); got != gathering.EventRunCompleted {
			t.Errorf("the run that waits ended with %s", got)
		}
		report, err = a.Runs.Report(t.Context(), patient)
		if err != nil {
			t.Fatal(err)
		}
		if got := report.Nodes[1].Attempts; got != 6 || calls.Load() != 6 {
			t.Errorf("%d attempts and %d calls, want 6: waiting is none", got, calls.Load())
		}
	})
}

// waits returns when a node of the run waits for an open circuit.
func waits(t *testing.T, a *app.App, id gathering.RunID) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for e, err := range a.Runs.Watch(ctx, id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		var data gathering.NodeRetryingData
		if e.Type != gathering.EventNodeRetrying {
			continue
		}
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		if data.Failure.Code == gathering.CodeCircuitOpen {
			return
		}
	}
	t.Fatal("the run ended without waiting for a circuit")
}

func TestToolsThatAreAddedHaveCircuits(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	mail, err := tool.New(gathering.ToolSpec{Name: "mail.send", Description: "Sends mail."},
		func(context.Context, tool.Call, struct{}) (struct{}, error) {
			calls.Add(1)
			return struct{}{}, gathering.NewError(gathering.KindUnavailable, "the post office is closed")
		})
	if err != nil {
		t.Fatal(err)
	}
	a := open(t, app.Options{Data: t.TempDir(), Tools: []tool.Tool{mail}})
	made, ok := a.Tools.Lookup("mail.send")
	if !ok {
		t.Fatal("there is no mail.send")
	}
	for range 10 {
		_, err = made.Call(t.Context(), tool.Call{})
	}
	if gathering.CodeOf(err) != gathering.CodeCircuitOpen || calls.Load() != 5 {
		t.Errorf("got %v after %d calls, want it open after 5", err, calls.Load())
	}
	// One that works on files is not counted, and can be switched off by hand.
	now, ok := a.Tools.Lookup("time.now")
	if !ok {
		t.Fatal("there is no time.now")
	}
	ask := func() error {
		_, err := now.Call(t.Context(), tool.Call{})
		return err
	}
	if err := ask(); err != nil {
		t.Error(err)
	}
	if _, err := a.Circuits.Trip(t.Context(), breaker.Tool("time.now"), "ada", "", time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := ask(); gathering.CodeOf(err) != gathering.CodeCircuitOpen {
		t.Errorf("got %v, want it refused", err)
	}
}

// TestModelProvidersHaveCircuits holds that models are asked through the
// circuit of their provider.
func TestModelProvidersHaveCircuits(t *testing.T) {
	t.Parallel()
	a := open(t, app.Options{Data: t.TempDir()})
	work(t, a)
	if _, err := a.Circuits.Trip(t.Context(), breaker.Provider("offline"), "ada", "it is slow", time.Time{}); err != nil {
		t.Fatal(err)
	}
	p, err := a.Save(t.Context(), gathering.DefaultProject, []byte(`
name: ask
agents: {reader: {model: offline/extract}}
nodes:
  start: {kind: trigger}
  read: {kind: agent, needs: [start], agent: reader, task: "Summarise: one. two.", on_open: fail}
`))
	if err != nil {
		t.Fatal(err)
	}
	r, err := a.Start(t.Context(), p, run.New{})
	if err != nil {
		t.Fatal(err)
	}
	if got := end(t, a, r.ID); got != gathering.EventRunFailed {
		t.Errorf("the run ended with %s", got)
	}
	report, err := a.Runs.Report(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if f := report.Nodes[1].Error; f == nil || f.Code != gathering.CodeCircuitOpen || !strings.Contains(f.Message, "it is slow") {
		t.Errorf("the agent met %+v", f)
	}
}
