package cli_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
)

// TestCost runs an agent whose own model is at its limit: the model it falls
// back to answers, and what is known of the cost is told.
func TestCost(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if strings.Contains(string(body), "gpt-5.5") {
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, `data: {"choices":[{"index":0,"delta":{"content":"Four."},"finish_reason":"stop"}]}`+"\n\n"+
				`data: {"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010}}`+"\n\ndata: [DONE]\n\n")
		}))
		t.Cleanup(s.Close)
		d.env["OPENAI_API_KEY"], d.env["OPENAI_BASE_URL"] = "k", s.URL+"/v1"
		d.env["GATHERING_PROVIDERS"], d.env["GATHERING_PROVIDER_BOX_URL"] = "box", s.URL+"/v1"
		d.file("sum.yaml", `
name: sum
agents:
  clerk: {model: openai/gpt-5.5, fallback: [openai/gpt-4o]}
nodes:
  start: {kind: trigger}
  ask: {kind: agent, needs: [start], agent: clerk, task: "2 + 2?"}
`)
		done := d.run("run", "sum.yaml", "--json").exits(0).report()
		// 1000 × $2.50 and 10 × $10 per million
		want := gathering.Usage{ModelCalls: 2, InputTokens: 1000, OutputTokens: 10, CostMicros: 2600}
		if diff := cmp.Diff(want, done.Usage); diff != "" {
			t.Errorf("usage (-want +got):\n%s", diff)
		}
		if got := string(done.Nodes[1].Output); !strings.Contains(got, `"model": "openai/gpt-4o"`) || !strings.Contains(got, "openai/gpt-5.5: the provider's limit is reached") {
			t.Errorf("got %s, want it to name who answered and why", got)
		}
		d.run("runs", "show", string(done.Run)).exits(0).says("cost      $0.002600\n")

		d.file("box.yaml", `
name: box
nodes:
  start: {kind: trigger}
  ask: {kind: agent, needs: [start], model: box/llama, fallback_models: [openai/gpt-4o], task: "2 + 2?"}
`)
		done = d.run("run", "box.yaml", "--json").exits(0).report()
		d.run("runs", "show", string(done.Run)).exits(0).says("cost      unknown for 1 of 1 model calls: no price is known\n")
	})
}
