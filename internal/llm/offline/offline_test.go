package offline_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"charm.land/fantasy"
	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/llm"
	"gathering/internal/llm/offline"
)

const markdown = `Summarise the following page:

# The river

The river *Elbe* rises in the [Giant Mountains](https://example.org/a) and flows north.
It reaches the sea after about a thousand kilometres. Ships use the river as far as the mountains.

## Floods

` + "```sh\nwater --level never quoted\n```" + `

- **Floods** of the river come in spring, when snow melts in the mountains.
- Risks for ships are highest then.
- Nothing else is said here.
`

const log = `commit 0123456789abcdef0123456789abcdef01234567 (HEAD -> main)
Author: Ada <ada@example.org>
Date:   Mon Jan 2 15:04:05 2006 +0000

    Store: write the log in one transaction

    The log and the state are written together, so that a crash
    between them leaves neither.

 store/log.go | 12 +++---
 1 file changed, 6 insertions(+), 6 deletions(-)
`

func ask(t *testing.T, text, schema string) (*fantasy.Response, error) {
	t.Helper()
	model, err := llm.New(offline.Provider{}).Model(t.Context(), offline.Ref)
	if err != nil {
		t.Fatal(err)
	}
	call := fantasy.Call{Prompt: fantasy.Prompt{fantasy.NewSystemMessage("Answer."), fantasy.NewUserMessage(text)}}
	if schema != "" {
		call = llm.WithOutputSchema(call, json.RawMessage(schema))
	}
	return model.Generate(t.Context(), call)
}

type metadata struct {
	Model     string `json:"model"`
	Method    string `json:"method"`
	Words     int    `json:"words"`
	Sentences int    `json:"sentences"`
	Quotes    []struct {
		Text    string `json:"text"`
		Heading string `json:"heading"`
		Line    int    `json:"line"`
	} `json:"quotes"`
}

func read(t *testing.T, response *fantasy.Response) metadata {
	t.Helper()
	var m metadata
	if err := json.Unmarshal(llm.Metadata(response), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestText(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text     string
		contains []string
		without  []string
		heading  string // of some quote
		line     int    // of that quote
	}{
		"Markdown": {
			text:     markdown,
			contains: []string{"The river Elbe rises in the Giant Mountains and flows north."},
			without:  []string{"Summarise", "never quoted", "https://", "**", "#"},
			heading:  "The river", line: 3,
		},
		"git log": {
			text:     log,
			contains: []string{"The log and the state are written together, so that a crash between them leaves neither."},
			without:  []string{"Author", "2006", "insertions", "store/log.go"},
			heading:  "commit 0123456789ab", line: 7,
		},
		"git log, short": {
			text:     "abc1234 Add the store\nbcd2345 (tag: v1) Fix the store on crash\ncde3456 Document the bell\n",
			contains: []string{"store"},
			without:  []string{"abc1234", "bcd2345", "tag:"},
			heading:  "commit abc1234", line: 1,
		},
		"Chinese": {
			text:     "请总结以下内容：\n长江是中国最长的河流。它从青藏高原流向东海。长江流域有很多城市。天气很好。",
			contains: []string{"长江"},
			without:  []string{"总结"},
			line:     1,
		},
		"Arabic": {
			text:     "هل النهر طويل؟ النهر طويل جدا. ينبع النهر من الجبل.",
			contains: []string{"النهر"},
			line:     1,
		},
		"instruction on the same line": {
			text:     "Grade this message: The printer on the third floor is broken. It needs paper.",
			contains: []string{"The printer on the third floor is broken."},
			without:  []string{"Grade"},
			line:     1,
		},
		"not an instruction": {
			text:     "fix: the printer prints again",
			contains: []string{"fix: the printer prints again."},
			line:     1,
		},
		"invalid UTF-8":      {text: "The caf\xe9 is open today.", contains: []string{"is open today."}, line: 1},
		"no end":             {text: strings.Repeat("words without end ", 5000), contains: []string{"words without end", "…"}, line: 1},
		"initials":           {text: "J. R. Smith wrote it in 1999. Nobody read it.", contains: []string{"J. R. Smith wrote it in 1999."}, line: 1},
		"only one sentence":  {text: "Hello there", contains: []string{"Hello there."}, line: 1},
		"HTML and a comment": {text: "<p>The <b>gate</b> is 3 < 4 metres wide.</p> <!-- not this -->", contains: []string{"The gate is 3 < 4 metres wide."}, without: []string{"not this", "<p>"}, line: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response, err := ask(t, tt.text, "")
			if err != nil {
				t.Fatal(err)
			}
			got := response.Content.Text()
			for _, want := range tt.contains {
				if !strings.Contains(got, want) {
					t.Errorf("got %q, want %q in it", got, want)
				}
			}
			for _, not := range tt.without {
				if strings.Contains(got, not) {
					t.Errorf("got %q, want no %q in it", got, not)
				}
			}
			m := read(t, response)
			found := false
			for _, q := range m.Quotes {
				found = found || q.Line == tt.line && q.Heading == tt.heading
			}
			if !found {
				t.Errorf("got quotes %+v, want one in line %d under %q", m.Quotes, tt.line, tt.heading)
			}
			if m.Model != "offline/extract" || m.Method != "extractive, no language model was used" {
				t.Errorf("it names itself %q, %q", m.Model, m.Method)
			}
			if response.Usage.InputTokens != int64(m.Words) || response.Usage.OutputTokens == 0 {
				t.Errorf("got usage %+v, want the words: %d", response.Usage, m.Words)
			}
			if len(response.Warnings) != 1 || len(response.Content.ToolCalls()) != 0 {
				t.Errorf("got warnings %v and content %v", response.Warnings, response.Content)
			}
		})
	}
}

func TestDeterministic(t *testing.T) {
	t.Parallel()
	first, err := ask(t, markdown, "")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, err := ask(t, markdown, "")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first.Content.Text(), again.Content.Text()); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestNothing(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty": "", "space": " \n\t\n", "signs": "--- *** !!!", "code alone": "```\nx := 1\n```\n", "instruction alone": "Summarise this:\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response, err := ask(t, text, "")
			if got, want := gathering.KindOf(err), gathering.KindInvalid; got != want {
				t.Errorf("got %v, %v; want kind %q", response, err, want)
			}
		})
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		schema string
		want   string // JSON
		refuse string
	}{
		"summary and quotes": {
			schema: `{"type":"object","required":["title","quotes","model"],"properties":{
				"title":{"type":"string"},"model":{"type":"string"},
				"quotes":{"type":"array","maxItems":1,"items":{"type":"object","required":["text","line"],
					"properties":{"text":{"type":"string"},"line":{"type":"integer"},"heading":{"type":["string","null"]}}}}}}`,
			want: `{"title":"The river","model":"offline/extract","quotes":[
				{"text":"The river Elbe rises in the Giant Mountains and flows north.","line":3,"heading":"The river"}]}`,
		},
		"what a field names": {
			schema: `{"type":"object","required":["risks"],"properties":{"risks":{"type":"array","items":{"type":"string"}},"snow":{"type":"string"}}}`,
			want:   `{"risks":["Risks for ships are highest then."],"snow":"Floods of the river come in spring, when snow melts in the mountains."}`,
		},
		"counts": {
			schema: `{"type":"object","properties":{"sentence_count":{"type":"integer"},"score":{"type":"number"}}}`,
			want:   `{"sentence_count":6}`,
		},
		"text alone": {schema: `{"type":"string","maxLength":20}`, want: `"The river Elbe …"`},
		"headings":   {schema: `{"type":"object","properties":{"headings":{"type":"array","items":{"type":"string"}}}}`, want: `{"headings":["The river","Floods"]}`},
		"one choice": {schema: `{"type":"object","properties":{"kind":{"enum":["page"]}}}`, want: `{"kind":"page"}`},
		"number": {
			schema: `{"type":"object","required":["priority"],"properties":{"priority":{"type":"integer"}}}`,
			refuse: "offline/extract cannot decide priority; use a language model",
		},
		"choice and truth": {
			schema: `{"type":"object","required":["mood","urgent"],"properties":{"mood":{"type":"string","enum":["a","b"]},"urgent":{"type":"boolean"},"summary":{"type":"string"}}}`,
			refuse: "offline/extract cannot decide mood, urgent; use a language model",
		},
		"within an object": {
			schema: `{"type":"object","required":["a"],"properties":{"a":{"type":"object","required":["b"],"properties":{"b":{"type":"boolean"}}}}}`,
			refuse: "offline/extract cannot decide a.b; use a language model",
		},
		"not in the text": {
			schema: `{"type":"object","required":["aardvark"],"properties":{"aardvark":{"type":"string"}}}`,
			refuse: "offline/extract cannot decide aardvark; use a language model",
		},
		"nothing to fill": {
			schema: `{"type":"object","properties":{"x":{"type":"boolean"}}}`,
			refuse: "offline/extract cannot decide the output; use a language model",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response, err := ask(t, markdown, tt.schema)
			if tt.refuse != "" {
				if gathering.KindOf(err) != gathering.KindInvalid || gathering.FailureOf(err).Message != tt.refuse {
					t.Errorf("got %v, want %q", err, tt.refuse)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got, want any
			if err := json.Unmarshal([]byte(response.Content.Text()), &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestLinear holds that text made to be slow is not: what is quadratic in any
// of these takes minutes.
func TestLinear(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	for name, unit := range map[string]string{
		"open brackets": "[", "open tags": "<a", "tags that are none": "<1>", "stops": "A. ", "one line": "a ", "short lines": "ab cd\n",
		"wrapped lines": "this line is long enough to be wrapped by hand\n", "words": "alpha beta. Gamma ", "no space": "word", "fences": "```\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			response, err := ask(t, strings.Repeat(unit, size/len(unit)), "")
			if err != nil && gathering.KindOf(err) != gathering.KindInvalid {
				t.Errorf("got %v, %v", response, err)
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("took %s for %d bytes", took, size)
			}
		})
	}
}

func TestStops(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	model, err := offline.Provider{}.Model(ctx, "extract")
	if err != nil {
		t.Fatal(err)
	}
	call := fantasy.Call{Prompt: fantasy.Prompt{fantasy.NewUserMessage(strings.Repeat("A line of text.\n", 5000))}}
	_, err = model.Generate(ctx, call)
	if got, want := gathering.KindOf(err), gathering.KindCancelled; got != want {
		t.Errorf("got kind %q, want %q", got, want)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	models := llm.New(offline.Provider{})
	for ref, want := range map[string]string{
		"offline/extract": "",
		"offline/other":   "offline has one model, offline/extract",
		"nobody/extract":  "there is no such model provider; known are offline",
		"extract":         `a model is named "provider/model", as in "offline/extract"`,
	} {
		err := models.Check(ref)
		if want == "" {
			if err != nil {
				t.Errorf("%s: got %v, want none", ref, err)
			}
			continue
		}
		if gathering.CodeOf(err) != gathering.CodeModelMissing || gathering.FailureOf(err).Message != want {
			t.Errorf("%s: got %v, want %q", ref, err, want)
		}
	}
}
