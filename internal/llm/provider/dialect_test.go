package provider_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"charm.land/fantasy"
	"go.uber.org/goleak"

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

func model(t *testing.T, s *server, d dialect, change func(*provider.Config)) fantasy.LanguageModel {
	t.Helper()
	config := provider.Config{
		Name: "local", Format: d.format, BaseURL: s.URL + d.base, Own: true, Key: key, KeyVariable: "LOCAL_KEY",
	}
	if change != nil {
		change(&config)
	}
	p, err := provider.New(config)
	if err != nil {
		t.Fatal(err)
	}
	m, err := llm.New(p).Model(t.Context(), "local/model-1")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func hello() fantasy.Call {
	return fantasy.Call{Prompt: fantasy.Prompt{fantasy.NewSystemMessage("Be brief."), fantasy.NewUserMessage("Hello")}}
}

// way is how an answer is asked for.
type way struct {
	name string
	ask  func(ctx context.Context, m fantasy.LanguageModel, call fantasy.Call) (*fantasy.Response, error)
}

func ways() []way { return []way{{"whole", whole}, {"stream", streamed}} }

func whole(ctx context.Context, m fantasy.LanguageModel, call fantasy.Call) (*fantasy.Response, error) {
	return m.Generate(ctx, call)
}

func streamed(ctx context.Context, m fantasy.LanguageModel, call fantasy.Call) (*fantasy.Response, error) {
	stream, err := m.Stream(ctx, call)
	if err != nil {
		return nil, err
	}
	return llm.Collect(stream, nil)
}

// forEach runs a test for every format and way.
func forEach(t *testing.T, run func(t *testing.T, d dialect, w way)) {
	t.Helper()
	for _, d := range dialects() {
		for _, w := range ways() {
			t.Run(d.name+"/"+w.name, func(t *testing.T) {
				t.Parallel()
				run(t, d, w)
			})
		}
	}
}

// answer is what a server of any format is to say.
type answer struct {
	text string
	call string // the arguments of one call of the tool look; "" is none
	// Tokens: 100 in, of which 40 come from the cache, and 7 out.
}

// dialect is one format as its servers speak it.
type dialect struct {
	name   string
	format provider.Format
	base   string
	paths  map[string]string // by way
	key    string            // the header that carries the key
	// whole is an answer in one piece, events the same as those of a stream.
	whole  func(a answer) string
	events func(a answer) []string
	// fault is an event that reports a fault within a stream.
	fault string
}

func (d dialect) serve(a answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") == "text/event-stream" {
			d.stream(w, d.events(a)...)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, d.whole(a))
	}
}

// stream writes events, each as soon as it can.
func (d dialect) stream(w http.ResponseWriter, events ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, event := range events {
		io.WriteString(w, event+"\n\n")
		w.(http.Flusher).Flush()
	}
}

func quoted(text string) string {
	data, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// halves splits text in two.
func halves(text string) (string, string) {
	runes := []rune(text)
	return string(runes[:len(runes)/2]), string(runes[len(runes)/2:])
}

func dialects() []dialect {
	chat := func(name string, format provider.Format) dialect {
		return dialect{
			name: name, format: format, base: "/v1", key: "Authorization",
			paths: map[string]string{"whole": "/v1/chat/completions", "stream": "/v1/chat/completions"},
			whole: chatWhole, events: chatEvents,
			fault: `data: {"error":{"message":"The server had an error","type":"server_error"}}`,
		}
	}
	return []dialect{
		chat("compatible", provider.FormatCompatible),
		chat("openai", provider.FormatOpenAI),
		{
			name: "anthropic", format: provider.FormatAnthropic, key: "X-Api-Key",
			paths: map[string]string{"whole": "/v1/messages", "stream": "/v1/messages"},
			whole: messageWhole, events: messageEvents,
			fault: "event: error\n" + `data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`,
		},
		{
			name: "google", format: provider.FormatGoogle, key: "X-Goog-Api-Key",
			paths: map[string]string{
				"whole":  "/v1beta/models/model-1:generateContent",
				"stream": "/v1beta/models/model-1:streamGenerateContent",
			},
			whole: geminiWhole, events: geminiEvents,
			fault: `data: {"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}`,
		},
	}
}

const chatUsage = `{"prompt_tokens":100,"completion_tokens":7,"total_tokens":107,"prompt_tokens_details":{"cached_tokens":40}}`

func chatWhole(a answer) string {
	calls, finish := "", "stop"
	if a.call != "" {
		calls = `,"tool_calls":[{"id":"c1","type":"function","function":{"name":"look","arguments":` + quoted(a.call) + `}}]`
		finish = "tool_calls"
	}
	return fmt.Sprintf(`{"id":"1","object":"chat.completion","model":"m","choices":[{"index":0,"finish_reason":%q,
		"message":{"role":"assistant","content":%s%s}}],"usage":%s}`, finish, quoted(a.text), calls, chatUsage)
}

func chatEvents(a answer) []string {
	chunk := func(delta, finish string) string {
		return `data: {"id":"1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":` + delta + `,"finish_reason":` + finish + `}]}`
	}
	var events []string
	first, second := halves(a.text)
	events = append(events, ": a comment",
		chunk(`{"role":"assistant","content":`+quoted(first)+`}`, "null"),
		chunk(`{"content":`+quoted(second)+`}`, "null"))
	finish := `"stop"`
	if a.call != "" {
		begin, rest := halves(a.call)
		events = append(events,
			chunk(`{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"look","arguments":`+quoted(begin)+`}}]}`, "null"),
			chunk(`{"tool_calls":[{"index":0,"function":{"arguments":`+quoted(rest)+`}}]}`, "null"))
		finish = `"tool_calls"`
	}
	return append(events, chunk(`{}`, finish),
		`data: {"id":"1","object":"chat.completion.chunk","model":"m","choices":[],"usage":`+chatUsage+`}`,
		"data: [DONE]")
}

func messageWhole(a answer) string {
	content, stop := `{"type":"text","text":`+quoted(a.text)+`}`, "end_turn"
	if a.call != "" {
		content += `,{"type":"tool_use","id":"c1","name":"look","input":` + a.call + `}`
		stop = "tool_use"
	}
	return fmt.Sprintf(`{"id":"m1","type":"message","role":"assistant","model":"m","content":[%s],"stop_reason":%q,
		"usage":{"input_tokens":60,"cache_read_input_tokens":40,"cache_creation_input_tokens":0,"output_tokens":7}}`, content, stop)
}

func messageEvents(a answer) []string {
	event := func(kind, rest string) string {
		return "event: " + kind + "\ndata: {\"type\":\"" + kind + "\"" + rest + "}"
	}
	first, second := halves(a.text)
	events := []string{
		event("message_start", `,"message":{"id":"m1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,
			"usage":{"input_tokens":60,"cache_read_input_tokens":40,"cache_creation_input_tokens":0,"output_tokens":1}}`),
		event("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`),
		event("ping", ""),
		event("content_block_delta", `,"index":0,"delta":{"type":"text_delta","text":`+quoted(first)+`}`),
		event("content_block_delta", `,"index":0,"delta":{"type":"text_delta","text":`+quoted(second)+`}`),
		event("content_block_stop", `,"index":0`),
	}
	events[0] = strings.ReplaceAll(events[0], "\n\t\t\t", "")
	stop := "end_turn"
	if a.call != "" {
		begin, rest := halves(a.call)
		events = append(events,
			event("content_block_start", `,"index":1,"content_block":{"type":"tool_use","id":"c1","name":"look","input":{}}`),
			event("content_block_delta", `,"index":1,"delta":{"type":"input_json_delta","partial_json":`+quoted(begin)+`}`),
			event("content_block_delta", `,"index":1,"delta":{"type":"input_json_delta","partial_json":`+quoted(rest)+`}`),
			event("content_block_stop", `,"index":1`))
		stop = "tool_use"
	}
	return append(events,
		event("message_delta", `,"delta":{"stop_reason":"`+stop+`","stop_sequence":null},"usage":{"output_tokens":7}`),
		event("message_stop", ""))
}

func geminiPiece(parts, finish string, out int) string {
	if finish != "" {
		finish = `,"finishReason":"` + finish + `"`
	}
	// Two of the seven tokens are thoughts.
	return fmt.Sprintf(`{"candidates":[{"content":{"role":"model","parts":[%s]},"index":0%s}],"usageMetadata":{"promptTokenCount":100,
"cachedContentTokenCount":40,"candidatesTokenCount":%d,"thoughtsTokenCount":2,"totalTokenCount":%d}}`, parts, finish, out, 102+out)
}

func geminiCall(a answer) string {
	return `{"functionCall":{"id":"c1","name":"look","args":` + a.call + `},"thoughtSignature":"/v8A"}`
}

func geminiWhole(a answer) string {
	parts := `{"text":` + quoted(a.text) + `}`
	if a.call != "" {
		parts += "," + geminiCall(a)
	}
	return geminiPiece(parts, "STOP", 5)
}

func geminiEvents(a answer) []string {
	first, second := halves(a.text)
	pieces := []string{geminiPiece(`{"text":`+quoted(first)+`}`, "", 1), geminiPiece(`{"text":`+quoted(second)+`}`, "", 3)}
	if a.call != "" {
		pieces = append(pieces, geminiPiece(geminiCall(a), "", 5))
	}
	pieces = append(pieces, geminiPiece(`{"text":""}`, "STOP", 5))
	for i, piece := range pieces {
		pieces[i] = "data: " + strings.ReplaceAll(piece, "\n", "")
	}
	return pieces
}

// soon bounds what a test waits for that must come.
const soon = 10 * time.Second
