package provider_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"charm.land/fantasy"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gathering"
	"gathering/internal/llm"
	"gathering/internal/llm/provider"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "sk-test-0123456789abcdef"

// server counts the requests it answers.
type server struct {
	*httptest.Server
	requests atomic.Int64
	last     atomic.Pointer[http.Request]
	body     atomic.Pointer[[]byte]
}

func serve(t *testing.T, answer http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		body, _ := io.ReadAll(r.Body)
		s.last.Store(r)
		s.body.Store(&body)
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func model(t *testing.T, s *server, change func(*provider.Config)) fantasy.LanguageModel {
	t.Helper()
	config := provider.Config{Name: "local", BaseURL: s.URL + "/v1", Key: key, KeyVariable: "LOCAL_KEY"}
	if change != nil {
		change(&config)
	}
	p, err := provider.New(config)
	if err != nil {
		t.Fatal(err)
	}
	m, err := llm.New(p).Model(t.Context(), "local/org/model-1")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func hello() fantasy.Call {
	return fantasy.Call{Prompt: fantasy.Prompt{fantasy.NewSystemMessage("Be brief."), fantasy.NewUserMessage("Hello")}}
}

func reply(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, body)
}

const completion = `{"id":"1","object":"chat.completion","model":"m","choices":[{"index":0,"finish_reason":"tool_calls",
	"message":{"role":"assistant","content":"Hi","tool_calls":[{"id":"c1","type":"function","function":{"name":"look","arguments":"{\"at\":1}"}}]}}],
	"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}}`

func TestWire(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { reply(w, completion) })
	call := hello()
	call.Tools = []fantasy.Tool{fantasy.FunctionTool{
		Name: "look", Description: "Looks.", InputSchema: map[string]any{"type": "object"},
	}}

	got, err := model(t, s, nil).Generate(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	if got.Content.Text() != "Hi" || got.FinishReason != fantasy.FinishReasonToolCalls || got.Usage.InputTokens != 12 {
		t.Errorf("got %+v", got)
	}
	calls := got.Content.ToolCalls()
	if len(calls) != 1 || calls[0].ToolCallID != "c1" || calls[0].Input != `{"at":1}` {
		t.Errorf("got calls %+v", calls)
	}
	r := s.last.Load()
	if got, want := r.URL.Path, "/v1/chat/completions"; got != want {
		t.Errorf("got path %s, want %s", got, want)
	}
	if got, want := r.Header.Get("Authorization"), "Bearer "+key; got != want {
		t.Errorf("got authorization %q, want %q", got, want)
	}
	var sent struct {
		Model    string           `json:"model"`
		Messages []map[string]any `json:"messages"`
		Tools    []any            `json:"tools"`
	}
	if err := json.Unmarshal(*s.body.Load(), &sent); err != nil {
		t.Fatal(err)
	}
	if sent.Model != "org/model-1" || len(sent.Messages) != 2 || len(sent.Tools) != 1 {
		t.Errorf("sent %s", *s.body.Load())
	}
}

func TestWireFaults(t *testing.T) {
	t.Parallel()
	status := func(code int, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			io.WriteString(w, body)
		}
	}
	tests := map[string]struct {
		answer  http.HandlerFunc
		kind    gathering.Kind
		code    string
		after   time.Duration
		message string
	}{
		"rate limit": {
			answer: status(429, `{"error":{"message":"slow down"}}`, "Retry-After", "7"),
			kind:   gathering.KindExhausted, after: 7 * time.Second,
			message: "local/org/model-1: the provider's limit is reached",
		},
		"rate limit until a time": {
			answer: status(429, `{}`, "Retry-After", "Mon, 02 Jan 2006 15:04:35 GMT", "Date", "Mon, 02 Jan 2006 15:04:05 GMT"),
			kind:   gathering.KindExhausted, after: 30 * time.Second,
			message: "local/org/model-1: the provider's limit is reached",
		},
		"asks for a retry": {
			answer: status(500, `{"error":{"message":"boom"}}`, "X-Should-Retry", "true"),
			kind:   gathering.KindUnavailable, message: "local/org/model-1: the provider answered 500",
		},
		"a page instead of JSON": {
			answer: status(502, "<html>bad gateway</html>"),
			kind:   gathering.KindUnavailable, message: "local/org/model-1: the provider answered 502",
		},
		"busy with a delay": {
			answer: status(503, ``, "Retry-After", "2"),
			kind:   gathering.KindUnavailable, after: 2 * time.Second,
			message: "local/org/model-1: the provider answered 503",
		},
		"refused request": {
			answer: status(400, `{"error":"this model does not support tools"}`),
			kind:   gathering.KindInvalid, message: "local/org/model-1: the provider refused the request: this model does not support tools",
		},
		"long refusal that repeats the key": {
			answer:  status(422, `{"message":"`+key+` `+strings.Repeat("x", 5000)+`"}`),
			kind:    gathering.KindInvalid,
			message: "local/org/model-1: the provider refused the request: [key] " + strings.Repeat("x", 275) + " …",
		},
		"refused key": {
			answer: status(401, `{"error":{"message":"Incorrect API key provided: sk-test***"}}`),
			kind:   gathering.KindInvalid, message: "local/org/model-1: the provider refused the key; check LOCAL_KEY",
		},
		"no such model": {
			answer: status(404, `{"error":{"message":"model not found"}}`),
			kind:   gathering.KindInvalid, code: gathering.CodeModelMissing,
			message: "local/org/model-1: the provider does not have it: model not found",
		},
		"broken JSON": {
			answer: func(w http.ResponseWriter, _ *http.Request) { reply(w, `{"choices":[{`) },
			kind:   gathering.KindUnavailable, message: "local/org/model-1: the provider's answer cannot be used",
		},
		"not JSON": {
			answer: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") },
			kind:   gathering.KindUnavailable, message: "local/org/model-1: the provider's answer cannot be used",
		},
		"no choices": {
			answer: func(w http.ResponseWriter, _ *http.Request) { reply(w, `{"choices":[]}`) },
			kind:   gathering.KindUnavailable, message: "local/org/model-1: the provider's answer cannot be used",
		},
		"endless answer": {
			answer: func(w http.ResponseWriter, _ *http.Request) {
				reply(w, `{"x":"`)
				chunk := strings.Repeat("y", 1<<20)
				for range 20 {
					if _, err := io.WriteString(w, chunk); err != nil {
						return
					}
				}
			},
			kind: gathering.KindUnavailable, message: "local/org/model-1: the provider's answer cannot be used",
		},
		"drop": {
			answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			kind:   gathering.KindUnavailable, message: "local/org/model-1: the provider cannot be reached",
		},
		"drop in the middle": {
			answer: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "1000")
				reply(w, `{"choices":`)
			},
			kind: gathering.KindUnavailable, message: "local/org/model-1: the provider's answer cannot be used",
		},
		"redirect": {
			answer: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "http://127.0.0.1:1/v1")
				w.WriteHeader(http.StatusTemporaryRedirect)
			},
			kind:    gathering.KindInvalid,
			message: "the model provider answered with a redirect, which is not followed; set the address it leads to",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tt.answer)
			_, err := model(t, s, nil).Generate(t.Context(), hello())
			if got, want := gathering.KindOf(err), tt.kind; got != want {
				t.Fatalf("got kind %q, want %q (%v)", got, want, err)
			}
			if got, want := gathering.CodeOf(err), tt.code; got != want {
				t.Errorf("got code %q, want %q", got, want)
			}
			if diff := cmp.Diff(tt.message, gathering.FailureOf(err).Message); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
			if got, want := gathering.RetryAfter(err), tt.after; got != want {
				t.Errorf("got retry after %s, want %s", got, want)
			}
			if got, want := s.requests.Load(), int64(1); got != want {
				t.Errorf("got %d requests, want %d", got, want)
			}
			if text := err.Error(); strings.Contains(text, key) || len(text) > 1000 {
				t.Errorf("the error holds the key or is long: %s", text)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	m := model(t, s, nil)
	s.Close()
	_, err := m.Generate(t.Context(), hello())
	if got, want := gathering.KindOf(err), gathering.KindUnavailable; got != want {
		t.Errorf("got kind %q, want %q (%v)", got, want, err)
	}
}

func TestHang(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		timeout time.Duration
		ctx     func(context.Context) (context.Context, context.CancelFunc)
		want    gathering.Kind
	}{
		"the client's own limit": {
			timeout: 50 * time.Millisecond, ctx: context.WithCancel, want: gathering.KindTimeout,
		},
		"the caller's deadline": {
			ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, 50*time.Millisecond)
			},
			want: gathering.KindTimeout,
		},
		"the caller gives up": {ctx: context.WithCancel, want: gathering.KindCancelled},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reached := make(chan struct{})
			s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
				close(reached)
				<-r.Context().Done()
			})
			ctx, cancel := tt.ctx(t.Context())
			defer cancel()
			if tt.want == gathering.KindCancelled {
				go func() {
					<-reached
					cancel()
				}()
			}
			_, err := model(t, s, func(c *provider.Config) { c.Timeout = tt.timeout }).Generate(ctx, hello())
			if got := gathering.KindOf(err); got != tt.want {
				t.Errorf("got kind %q, want %q (%v)", got, tt.want, err)
			}
			if got, want := s.requests.Load(), int64(1); got != want {
				t.Errorf("got %d requests, want %d", got, want)
			}
		})
	}
}

// TestForeignEnvironment holds that a server gets nothing that the environment
// of the process holds for OpenAI.
func TestForeignEnvironment(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "sk-of-somebody-else")
	t.Setenv("OPENAI_ORG_ID", "org-secret")
	t.Setenv("OPENAI_BASE_URL", "http://127.0.0.1:1")
	t.Setenv("OPENAI_CUSTOM_HEADERS", "X-Secret: hush")
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { reply(w, completion) })
	m := model(t, s, func(c *provider.Config) { c.Key, c.KeyVariable = "", "" })
	if _, err := m.Generate(t.Context(), hello()); err != nil {
		t.Fatal(err)
	}
	header := s.last.Load().Header
	for _, name := range []string{"Authorization", "Openai-Organization", "X-Secret"} {
		if got := header.Get(name); got != "" {
			t.Errorf("sent %s: %s", name, got)
		}
	}
}
