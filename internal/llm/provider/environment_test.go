package provider_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/llm"
	"gathering/internal/llm/provider"
)

func lookup(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	}
}

func TestFromEnvironment(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		variables map[string]string
		ref       string
		want      string // "": usable
	}{
		"no key":            {nil, "openai/gpt-4o", "set OPENAI_API_KEY to use openai/gpt-4o"},
		"empty key":         {map[string]string{"OPENAI_API_KEY": " "}, "openai/gpt-4o", "set OPENAI_API_KEY to use openai/gpt-4o"},
		"key":               {map[string]string{"OPENAI_API_KEY": "k"}, "openai/gpt-4o", ""},
		"anthropic, no key": {nil, "anthropic/claude-opus-5", "set ANTHROPIC_API_KEY to use anthropic/claude-opus-5"},
		"google, no key":    {nil, "google/gemini-2.5-pro", "set GEMINI_API_KEY to use google/gemini-2.5-pro"},
		"google, first key": {map[string]string{"GEMINI_API_KEY": "k"}, "google/gemini-2.5-pro", ""},
		"google, other key": {map[string]string{"GOOGLE_API_KEY": "k"}, "google/gemini-2.5-pro", ""},
		"google, not its own": {
			map[string]string{"GOOGLE_API_KEY": "k"}, "google/claude-opus-5", "google has no models of Anthropic; use anthropic/claude-opus-5",
		},
		"ollama needs none": {nil, "ollama/qwen3:8b", ""},
		"catalogue":         {nil, "deepseek/deepseek-chat", "set DEEPSEEK_API_KEY to use deepseek/deepseek-chat"},
		"catalogue, key":    {map[string]string{"DEEPSEEK_API_KEY": "k"}, "deepseek/deepseek-chat", ""},
		"further": {
			map[string]string{"GATHERING_PROVIDERS": "other, my-box", "GATHERING_PROVIDER_MY_BOX_URL": "http://box:8000/v1", "GATHERING_PROVIDER_OTHER_URL": "http://o/v1"},
			"my-box/a/b", "",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			providers, err := provider.FromEnvironment(lookup(tt.variables))
			if err != nil {
				t.Fatal(err)
			}
			err = llm.New(providers...).Check(tt.ref)
			if tt.want == "" {
				if err != nil {
					t.Errorf("got %v, want it usable", err)
				}
				return
			}
			want := &gathering.Failure{Kind: gathering.KindInvalid, Code: gathering.CodeModelMissing, Message: tt.want}
			if diff := cmp.Diff(want, gathering.FailureOf(err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFromEnvironmentFaults(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		variables map[string]string
		want      string
	}{
		"no address":      {map[string]string{"GATHERING_PROVIDERS": "box"}, "GATHERING_PROVIDER_BOX_URL"},
		"bad name":        {map[string]string{"GATHERING_PROVIDERS": "Box Car"}, "GATHERING_PROVIDERS"},
		"bad OLLAMA_HOST": {map[string]string{"OLLAMA_HOST": "ftp://x"}, "OLLAMA_HOST"},
		"bad networks":    {map[string]string{"GATHERING_ALLOW_PRIVATE_NETWORKS": "secret"}, "GATHERING_ALLOW_PRIVATE_NETWORKS"},
		"password in URL": {map[string]string{"OPENAI_BASE_URL": "https://u:secret@host/v1"}, "openai"},
		"key on two lines": {
			map[string]string{"OPENAI_API_KEY": "secret\nsecret"}, "OPENAI_API_KEY",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := provider.FromEnvironment(lookup(tt.variables))
			if got, want := gathering.KindOf(err), gathering.KindInvalid; got != want {
				t.Fatalf("got kind %q, want %q (%v)", got, want, err)
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %q, want it to name %s and no value", err, tt.want)
			}
		})
	}
}

func TestReachable(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer http.HandlerFunc
		want   string
		kind   gathering.Kind
	}{
		"first that writes text": {
			answer: func(w http.ResponseWriter, _ *http.Request) {
				io.WriteString(w, `{"models":[{"name":"nomic-embed-text:latest"},{"name":"qwen3:8b"},{"name":"b"}]}`)
			},
			want: "ollama/qwen3:8b",
		},
		"none installed": {
			answer: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"models":[]}`) },
			kind:   gathering.KindNotFound,
		},
		"silent": {
			answer: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			kind:   gathering.KindUnavailable,
		},
		"not Ollama": {
			answer: func(w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) },
			kind:   gathering.KindUnavailable,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tt.answer)
			got, err := provider.Reachable(t.Context(), lookup(map[string]string{"OLLAMA_HOST": s.Listener.Addr().String()}))
			if got != tt.want || gathering.KindOf(err) != tt.kind {
				t.Errorf("got %q, %v; want %q, kind %q", got, err, tt.want, tt.kind)
			}
			if got, want := s.last.Load().URL.Path, "/api/tags"; got != want {
				t.Errorf("got path %s, want %s", got, want)
			}
		})
	}
}
