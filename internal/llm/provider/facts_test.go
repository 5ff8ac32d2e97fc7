package provider_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"charm.land/fantasy"

	"gathering/internal/llm"
	"gathering/internal/llm/provider"
)

// TestFacts holds that models of the catalogue are known by provider and name,
// and that a model without a price is not taken for free.
func TestFacts(t *testing.T) {
	t.Parallel()
	providers, err := provider.FromEnvironment(lookup(map[string]string{
		"GATHERING_PROVIDERS": "box", "GATHERING_PROVIDER_BOX_URL": "http://box/v1",
	}))
	if err != nil {
		t.Fatal(err)
	}
	models := llm.New(providers...)
	call := fantasy.Usage{InputTokens: 1_000_000, OutputTokens: 1_000_000, CacheReadTokens: 1_000_000, CacheCreationTokens: 1_000_000}
	tests := map[string]struct {
		ref    string
		window int64
		cost   int64 // of call, in millionths of a dollar
	}{
		"anthropic":            {"anthropic/claude-sonnet-4-5-20250929", 200_000, 3_000_000 + 15_000_000 + 300_000 + 3_750_000},
		"without its date":     {"anthropic/claude-sonnet-4-5", 200_000, 3_000_000 + 15_000_000 + 300_000 + 3_750_000},
		"openai, one price":    {"openai/gpt-4o", 128_000, 2_500_000 + 10_000_000 + 1_250_000 + 2_500_000},
		"openai, the other":    {"openai/gpt-5.5", 1_050_000, 5_000_000 + 30_000_000 + 500_000 + 5_000_000},
		"google":               {"google/gemini-2.5-pro", 1_048_576, 1_250_000 + 10_000_000 + 125_000 + 1_250_000},
		"unknown model":        {"openai/gpt-2", 0, -1},
		"a family is no model": {"anthropic/claude", 0, -1},
		"own server":           {"box/llama", 0, -1},
		"this machine":         {"ollama/qwen3:8b", 0, -1},
		"nobody":               {"nobody/model", 0, -1},
		"no price is not free": {"openrouter/openrouter/auto", -1, -1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := models.Facts(tt.ref)
			if got.Priced != (tt.cost >= 0) {
				t.Fatalf("got %+v, want priced to be %v", got, tt.cost >= 0)
			}
			if cost := got.Price.Cost(call); got.Priced && cost != tt.cost {
				t.Errorf("got %d for %+v, want %d", cost, got.Price, tt.cost)
			}
			if tt.window >= 0 && got.ContextWindow != tt.window {
				t.Errorf("got window %d, want %d", got.ContextWindow, tt.window)
			}
		})
	}
}

// TestEnvironmentOnTheWire holds that what the environment names is spoken to
// as its format has it, on this machine and through a proxy.
func TestEnvironmentOnTheWire(t *testing.T) {
	t.Parallel()
	for _, d := range dialects()[1:] {
		for _, proxied := range []string{"direct", "proxy"} {
			t.Run(d.name+"/"+proxied, func(t *testing.T) {
				t.Parallel()
				s := serve(t, d.serve(answer{text: "Hello"}))
				variables := map[string]string{
					"OPENAI_API_KEY": key, "ANTHROPIC_API_KEY": key, "GOOGLE_API_KEY": key,
					"OPENAI_BASE_URL": s.URL + "/v1", "ANTHROPIC_BASE_URL": s.URL, "GEMINI_BASE_URL": s.URL,
				}
				host := s.Listener.Addr().String()
				if proxied == "proxy" {
					host = "models.invalid"
					variables["HTTP_PROXY"] = s.URL
					variables["OPENAI_BASE_URL"] = "http://models.invalid/v1"
					variables["ANTHROPIC_BASE_URL"], variables["GEMINI_BASE_URL"] = "http://models.invalid", "http://models.invalid"
				}
				providers, err := provider.FromEnvironment(lookup(variables))
				if err != nil {
					t.Fatal(err)
				}
				m, err := llm.New(providers...).Model(t.Context(), d.name+"/model-1")
				if err != nil {
					t.Fatal(err)
				}
				got, err := streamed(t.Context(), m, hello())
				if err != nil || got.Content.Text() != "Hello" {
					t.Fatalf("got %+v, %v", got, err)
				}
				if r := s.last.Load(); r.Host != host || r.URL.Path != d.paths["stream"] {
					t.Errorf("asked %s for %s", r.Host, r.URL)
				}
			})
		}
	}
}

// BenchmarkStream measures one call of 500 pieces over the wire.
func BenchmarkStream(b *testing.B) {
	d := dialects()[1]
	events := d.events(answer{text: "Hello"})
	long := make([]string, 0, 500)
	for range 500 {
		long = append(long, events[1])
	}
	long = append(long, events[len(events)-3:]...)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { d.stream(w, long...) }))
	defer s.Close()
	p, err := provider.New(provider.Config{Name: "local", Format: d.format, BaseURL: s.URL, Own: true})
	if err != nil {
		b.Fatal(err)
	}
	m, err := p.Model(b.Context(), "m")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := streamed(b.Context(), m, hello()); err != nil {
			b.Fatal(err)
		}
	}
}
