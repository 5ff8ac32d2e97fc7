package provider_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"charm.land/fantasy"
	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/llm/provider"
)

func TestWire(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, d dialect, w way) {
		s := serve(t, d.serve(answer{text: "Grüße", call: `{"at":1}`}))
		call := hello()
		call.Tools = []fantasy.Tool{fantasy.FunctionTool{
			Name: "look", Description: "Looks.",
			InputSchema: map[string]any{
				"type": "object", "properties": map[string]any{"at": map[string]any{"type": "integer"}}, "required": []string{"at"},
			},
		}}
		got, err := w.ask(t.Context(), model(t, s, d, nil), call)
		if err != nil {
			t.Fatal(err)
		}
		if got.Content.Text() != "Grüße" || got.FinishReason != fantasy.FinishReasonToolCalls {
			t.Errorf("got %+v", got)
		}
		calls := got.Content.ToolCalls()
		if len(calls) != 1 || calls[0].ToolCallID != "c1" || calls[0].ToolName != "look" || calls[0].Input != `{"at":1}` {
			t.Errorf("got calls %+v", calls)
		}
		got.Usage.TotalTokens, got.Usage.ReasoningTokens = 0, 0
		if diff := cmp.Diff(fantasy.Usage{InputTokens: 60, CacheReadTokens: 40, OutputTokens: 7}, got.Usage); diff != "" {
			t.Errorf("usage (-want +got):\n%s", diff)
		}
		r := s.last.Load()
		if got, want := r.URL.Path, d.paths[w.name]; got != want {
			t.Errorf("got path %s, want %s", got, want)
		}
		if got, want := strings.TrimPrefix(r.Header.Get(d.key), "Bearer "), key; got != want {
			t.Errorf("got %s %q, want %q", d.key, got, want)
		}
		for _, want := range []string{"Be brief.", "Hello", "Looks.", `"required":["at"]`} {
			if !strings.Contains(string(*s.body.Load()), want) {
				t.Errorf("sent %s without %s", *s.body.Load(), want)
			}
		}
	})
}

// status answers with a status other than success.
func status(code int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

func reply(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, body)
}

type fault struct {
	answer  http.HandlerFunc
	kind    gathering.Kind
	code    string
	after   time.Duration
	message string
}

func faults() map[string]fault {
	return map[string]fault{
		"rate limit": {
			answer: status(429, `{"error":{"message":"slow down"}}`, "Retry-After", "7"),
			kind:   gathering.KindExhausted, after: 7 * time.Second,
			message: "local/model-1: the provider's limit is reached",
		},
		"rate limit until a time": {
			answer: status(429, `{}`, "Retry-After", "Mon, 02 Jan 2006 15:04:35 GMT", "Date", "Mon, 02 Jan 2006 15:04:05 GMT"),
			kind:   gathering.KindExhausted, after: 30 * time.Second,
			message: "local/model-1: the provider's limit is reached",
		},
		"rate limit of a day": {
			answer: status(429, `{}`, "Retry-After", "86400"), kind: gathering.KindExhausted, after: time.Hour,
			message: "local/model-1: the provider's limit is reached",
		},
		"rate limit told in the body": {
			answer: status(429, `{"error":{"code":429,"message":"quota","details":[{"@type":"q"},{"retryDelay":"13.5s"}]}}`),
			kind:   gathering.KindExhausted, after: 13500 * time.Millisecond,
			message: "local/model-1: the provider's limit is reached",
		},
		"no credit": {
			answer: status(429, `{"error":{"message":"You exceeded your quota","code":"insufficient_quota"}}`),
			kind:   gathering.KindExhausted, message: "local/model-1: the provider wants to be paid first",
		},
		"asks for a retry": {
			answer: status(500, `{"error":{"message":"boom"}}`, "X-Should-Retry", "true"),
			kind:   gathering.KindUnavailable, message: "local/model-1: the provider answered 500",
		},
		"a page instead of JSON": {
			answer: status(502, "<html>bad gateway</html>"),
			kind:   gathering.KindUnavailable, message: "local/model-1: the provider answered 502",
		},
		"busy with a delay": {
			answer: status(503, ``, "Retry-After", "2"),
			kind:   gathering.KindUnavailable, after: 2 * time.Second,
			message: "local/model-1: the provider answered 503",
		},
		"overloaded": {
			answer: status(529, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, "Retry-After", "1"),
			kind:   gathering.KindUnavailable, after: time.Second,
			message: "local/model-1: the provider answered 529",
		},
		"refused request": {
			answer: status(400, `{"error":"this model does not support tools"}`),
			kind:   gathering.KindInvalid, message: "local/model-1: the provider refused the request: this model does not support tools",
		},
		"too long for OpenAI": {
			answer: status(400, `{"error":{"message":"Too much.","code":"context_length_exceeded"}}`),
			kind:   gathering.KindTooLarge, code: gathering.CodeContextTooLong,
			message: "local/model-1: the conversation is longer than the model can take",
		},
		"too long for Anthropic": {
			answer: status(400, `{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 213462 tokens > 200000 maximum"}}`),
			kind:   gathering.KindTooLarge, code: gathering.CodeContextTooLong,
			message: "local/model-1: the conversation is longer than the model can take",
		},
		"too long for Google": {
			answer: status(400, `{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."}}`),
			kind:   gathering.KindTooLarge, code: gathering.CodeContextTooLong,
			message: "local/model-1: the conversation is longer than the model can take",
		},
		"long refusal that repeats the key": {
			answer:  status(422, `{"message":"`+key+` `+strings.Repeat("x", 5000)+`"}`),
			kind:    gathering.KindInvalid,
			message: "local/model-1: the provider refused the request: [key] " + strings.Repeat("x", 294) + " …",
		},
		"refused key": {
			answer: status(401, `{"error":{"message":"Incorrect API key provided: sk-test***"}}`),
			kind:   gathering.KindForbidden, message: "local/model-1: the provider refused the key; check LOCAL_KEY",
		},
		"forbidden": {
			answer: status(403, `{"error":{"message":"no"}}`),
			kind:   gathering.KindForbidden, message: "local/model-1: the provider refused the key; check LOCAL_KEY",
		},
		"no such model": {
			answer: status(404, `{"error":{"message":"model not found"}}`),
			kind:   gathering.KindInvalid, code: gathering.CodeModelMissing,
			message: "local/model-1: the provider does not have it: model not found",
		},
		"drop": {
			answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			kind:   gathering.KindUnavailable, message: "local/model-1: the provider cannot be reached",
		},
		"redirect": {
			answer:  status(307, ``, "Location", "http://127.0.0.1:1/v1"),
			kind:    gathering.KindInvalid,
			message: "the model provider answered with a redirect, which is not followed; set the address it leads to",
		},
		"huge": {
			answer:  huge,
			kind:    gathering.KindTooLarge,
			message: "the model's answer is longer than 100000 bytes",
		},
		// What follows are answers of success that are none.
		"broken JSON":  {answer: func(w http.ResponseWriter, _ *http.Request) { reply(w, `{"choices":[{`) }},
		"not JSON":     {answer: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }},
		"nothing":      {answer: func(http.ResponseWriter, *http.Request) {}},
		"a page":       {answer: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>sign in</html>") }},
		"no answer":    {answer: func(w http.ResponseWriter, _ *http.Request) { reply(w, `{"choices":[],"candidates":[]}`) }},
		"wrong types":  {answer: func(w http.ResponseWriter, _ *http.Request) { reply(w, `{"choices":"x","candidates":7,"content":{}}`) }},
		"broken event": {answer: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "event: x\ndata: {\n\ndata: [1]\n\n") }},
		"drop in the middle": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			reply(w, `{"choices":`)
		}},
	}
}

// huge writes an answer until it is no longer read.
func huge(w http.ResponseWriter, r *http.Request) {
	begin := `{"x":"`
	if r.Header.Get("Accept") == "text/event-stream" {
		w.Header().Set("Content-Type", "text/event-stream")
		begin = "data: " + begin
	}
	io.WriteString(w, begin)
	chunk := strings.Repeat("y", 1<<16)
	for range 1000 {
		if _, err := io.WriteString(w, chunk); err != nil {
			return
		}
	}
}

func TestWireFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forEach(t, func(t *testing.T, d dialect, w way) {
				s := serve(t, tt.answer)
				_, err := w.ask(t.Context(), model(t, s, d, func(c *provider.Config) { c.MaxAnswer = 100_000 }), hello())
				if tt.kind == "" {
					if got, want := gathering.KindOf(err), gathering.KindUnavailable; got != want {
						t.Fatalf("got kind %q, want %q (%v)", got, want, err)
					}
				} else if diff := cmp.Diff(&gathering.Failure{Kind: tt.kind, Code: tt.code, Message: tt.message}, gathering.FailureOf(err)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
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
		})
	}
}

// TestCutStream holds that a stream which ends anywhere before its end is an
// error that may pass, however tidily it ends, and that what is whole is not.
func TestCutStream(t *testing.T) {
	t.Parallel()
	for _, d := range dialects() {
		for _, a := range []answer{{text: "Hello there"}, {text: "Let me look.", call: `{"at":12345}`}} {
			events := d.events(a)
			for n := range len(events) + 1 {
				t.Run(d.name+"/"+a.call+"/"+strings.Repeat("+", n), func(t *testing.T) {
					t.Parallel()
					s := serve(t, func(w http.ResponseWriter, _ *http.Request) { d.stream(w, events[:n]...) })
					got, err := streamed(t.Context(), model(t, s, d, nil), hello())
					if err == nil {
						if got.Content.Text() != a.text || a.call != "" && got.Content.ToolCalls()[0].Input != a.call {
							t.Errorf("took %d of %d events for whole: %+v", n, len(events), got)
						}
						return
					}
					if n == len(events) || gathering.KindOf(err) != gathering.KindUnavailable {
						t.Errorf("%d of %d events: got %v", n, len(events), err)
					}
				})
			}
		}
	}
}

// TestNoStreams holds that servers of OpenAI's format which know no streams are
// understood all the same.
func TestNoStreams(t *testing.T) {
	t.Parallel()
	for _, d := range dialects()[:2] {
		for _, a := range []answer{{text: "Hello"}, {text: "Let me look.", call: `{"at":1}`}} {
			t.Run(d.name+"/"+a.call, func(t *testing.T) {
				t.Parallel()
				s := serve(t, func(w http.ResponseWriter, _ *http.Request) { reply(w, d.whole(a)) })
				got, err := streamed(t.Context(), model(t, s, d, nil), hello())
				if err != nil {
					t.Fatal(err)
				}
				if got.Content.Text() != a.text || a.call != "" && got.Content.ToolCalls()[0].Input != a.call || got.Usage.OutputTokens != 7 {
					t.Errorf("got %+v", got)
				}
			})
		}
	}
}

func TestFaultInStream(t *testing.T) {
	t.Parallel()
	for _, d := range dialects() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			events := append(d.events(answer{text: "Hello"})[:2], d.fault)
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) { d.stream(w, events...) })
			_, err := streamed(t.Context(), model(t, s, d, nil), hello())
			if got, want := gathering.KindOf(err), gathering.KindUnavailable; got != want {
				t.Errorf("got kind %q, want %q (%v)", got, want, err)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, d dialect, w way) {
		s := serve(t, nil)
		m := model(t, s, d, nil)
		s.Close()
		_, err := w.ask(t.Context(), m, hello())
		if got, want := gathering.KindOf(err), gathering.KindUnavailable; got != want {
			t.Errorf("got kind %q, want %q (%v)", got, want, err)
		}
	})
}

func TestHang(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*provider.Config)
		cancel bool
		want   gathering.Kind
	}{
		"the whole time is up": {
			change: func(c *provider.Config) { c.Timeout = 50 * time.Millisecond }, want: gathering.KindTimeout,
		},
		"the caller gives up": {cancel: true, want: gathering.KindCancelled},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forEach(t, func(t *testing.T, d dialect, w way) {
				reached := make(chan struct{})
				s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
					close(reached)
					<-r.Context().Done()
				})
				m := model(t, s, d, tt.change)
				ctx, cancel := context.WithTimeout(t.Context(), soon)
				defer cancel()
				if tt.cancel {
					go func() {
						<-reached
						cancel()
					}()
				}
				_, err := w.ask(ctx, m, hello())
				if got := gathering.KindOf(err); got != tt.want {
					t.Errorf("got kind %q, want %q (%v)", got, tt.want, err)
				}
				if got, want := s.requests.Load(), int64(1); got != want {
					t.Errorf("got %d requests, want %d", got, want)
				}
			})
		})
	}
}

// TestSilence holds that a stream of which nothing comes is given up, before
// its first piece and after it.
func TestSilence(t *testing.T) {
	t.Parallel()
	for _, d := range dialects() {
		for _, n := range []int{0, 2} {
			t.Run(d.name+"/"+strings.Repeat("+", n), func(t *testing.T) {
				t.Parallel()
				s := serve(t, func(w http.ResponseWriter, r *http.Request) {
					d.stream(w, d.events(answer{text: "Hello"})[:n]...)
					<-r.Context().Done()
				})
				m := model(t, s, d, func(c *provider.Config) { c.Idle = 50 * time.Millisecond })
				_, err := streamed(t.Context(), m, hello())
				want := &gathering.Failure{Kind: gathering.KindTimeout, Message: "local/model-1: no answer came in the time allowed"}
				if diff := cmp.Diff(want, gathering.FailureOf(err)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestRedirect holds that neither a key nor a conversation goes to where a
// provider redirects.
func TestRedirect(t *testing.T) {
	t.Parallel()
	for _, code := range []int{301, 302, 303, 307, 308} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			t.Parallel()
			forEach(t, func(t *testing.T, d dialect, w way) {
				elsewhere := serve(t, d.serve(answer{text: "Mine now."}))
				s := serve(t, status(code, ``, "Location", elsewhere.URL+"/v1"))
				_, err := w.ask(t.Context(), model(t, s, d, nil), hello())
				if got, want := gathering.KindOf(err), gathering.KindInvalid; got != want {
					t.Errorf("got kind %q, want %q (%v)", got, want, err)
				}
				if got := elsewhere.requests.Load(); got != 0 {
					t.Errorf("followed the redirect %d times", got)
				}
			})
		})
	}
}

// TestPrivate holds that an address which the operator did not write is not
// reached in a private network.
func TestPrivate(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, d dialect, w way) {
		s := serve(t, d.serve(answer{text: "Hello"}))
		_, err := w.ask(t.Context(), model(t, s, d, func(c *provider.Config) { c.Own = false }), hello())
		if got, want := gathering.KindOf(err), gathering.KindForbidden; got != want {
			t.Errorf("got kind %q, want %q (%v)", got, want, err)
		}
		if got := s.requests.Load(); got != 0 {
			t.Errorf("got %d requests", got)
		}
	})
}

// TestForeignEnvironment holds that a server gets nothing that the environment
// of the process holds for the vendors.
func TestForeignEnvironment(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "sk-of-somebody-else")
	t.Setenv("OPENAI_ORG_ID", "org-secret")
	t.Setenv("OPENAI_BASE_URL", "http://127.0.0.1:1")
	t.Setenv("OPENAI_CUSTOM_HEADERS", "X-Secret: hush")
	t.Setenv("ANTHROPIC_API_KEY", "sk-ant-of-somebody-else")
	t.Setenv("ANTHROPIC_AUTH_TOKEN", "hush")
	t.Setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
	t.Setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Secret: hush")
	t.Setenv("GOOGLE_API_KEY", "somebody-else")
	t.Setenv("GEMINI_API_KEY", "somebody-else")
	t.Setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
	t.Setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:1")
	for _, d := range dialects() {
		for _, w := range ways() {
			s := serve(t, d.serve(answer{text: "Hello"}))
			m := model(t, s, d, func(c *provider.Config) { c.Key, c.KeyVariable = "", "" })
			if _, err := w.ask(t.Context(), m, hello()); err != nil {
				t.Fatal(err)
			}
			header := s.last.Load().Header
			for _, name := range []string{"Authorization", "Openai-Organization", "X-Secret", "X-Api-Key", "X-Goog-Api-Key"} {
				if got := header.Get(name); got != "" {
					t.Errorf("%s: sent %s: %s", d.name, name, got)
				}
			}
		}
	}
}

// TestSignature holds that what Google signs a model's calls with comes back to
// it as it was, through JSON.
func TestSignature(t *testing.T) {
	t.Parallel()
	google := dialects()[3]
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, google.serve(answer{text: "Let me look.", call: `{"at":1}`}))
			m := model(t, s, google, nil)
			got, err := w.ask(t.Context(), m, hello())
			if err != nil {
				t.Fatal(err)
			}
			signed := got.Content.Reasoning()
			if len(signed) != 1 {
				t.Fatalf("got %+v, want one signature", got.Content)
			}
			data, err := json.Marshal(signed[0].ProviderMetadata)
			if err != nil {
				t.Fatal(err)
			}
			var stored map[string]json.RawMessage
			if err := json.Unmarshal(data, &stored); err != nil {
				t.Fatal(err)
			}
			options, err := fantasy.UnmarshalProviderOptions(stored)
			if err != nil {
				t.Fatal(err)
			}
			call := hello()
			call.Prompt = append(call.Prompt,
				fantasy.Message{Role: fantasy.MessageRoleAssistant, Content: []fantasy.MessagePart{
					fantasy.ReasoningPart{ProviderOptions: options},
					fantasy.ToolCallPart{ToolCallID: "c1", ToolName: "look", Input: `{"at":1}`},
				}},
				fantasy.Message{Role: fantasy.MessageRoleTool, Content: []fantasy.MessagePart{
					fantasy.ToolResultPart{ToolCallID: "c1", Output: fantasy.ToolResultOutputContentText{Text: "ok"}},
				}})
			if _, err := w.ask(t.Context(), m, call); err != nil {
				t.Fatal(err)
			}
			if got, want := string(*s.body.Load()), `"thoughtSignature":"/v8A"`; !strings.Contains(got, want) {
				t.Errorf("sent %s, want it to hold %s", got, want)
			}
		})
	}
}
