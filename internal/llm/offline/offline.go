// Package offline has the model offline/extract, which needs no key and no
// network. It is no language model and does not pretend to be one: it picks
// sentences from the text it is given, by rules, and says where they stand. The
// same text always gives the same answer.
//
// What it works on is the first message of the user, without a leading
// instruction ("Summarise the following text:"). Asked for text, it answers with
// the few sentences that share most with the rest, in their order. Asked for
// JSON, it fills the fields that sentences, headings and counts can fill, and
// refuses those that take a decision. Its metadata is
//
//	{"model": "offline/extract", "method": "extractive, …", "words": 310, "sentences": 24,
//	 "quotes": [{"text": "…", "line": 12, "heading": "Storage"}]}
//
// where lines count from the beginning of the text. It never calls tools.
package offline

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"charm.land/fantasy"

	"gathering"
	"gathering/internal/llm"
)

const (
	// Ref is the reference of the model.
	Ref = "offline/extract"
	// Method is how it works, as its answers say.
	Method = "extractive, no language model was used"
)

// Provider is the provider "offline". Its zero value is ready for use.
type Provider struct{}

// Names implements [llm.Listing].
func (Provider) Names() []string { return []string{"extract"} }

// Name is "offline".
func (Provider) Name() string { return "offline" }

// Check returns an error of KindInvalid for any name but "extract".
func (Provider) Check(name string) error {
	if name != "extract" {
		return gathering.NewError(gathering.KindInvalid, "offline has one model, %s", Ref).WithCode(gathering.CodeModelMissing)
	}
	return nil
}

// Facts are those of a model that runs here and is free.
func (Provider) Facts(string) llm.Facts { return llm.Facts{Priced: true} }

// Model returns the model "extract".
func (p Provider) Model(_ context.Context, name string) (fantasy.LanguageModel, error) {
	if err := p.Check(name); err != nil {
		return nil, err
	}
	return extractor{}, nil
}

type extractor struct{}

// Provider is "offline".
func (extractor) Provider() string { return "offline" }

// Model is "extract".
func (extractor) Model() string { return "extract" }

// Generate answers from the text in the first user message of call. Its usage
// counts words: those of the text in, those of the answer out.
func (extractor) Generate(ctx context.Context, call fantasy.Call) (*fantasy.Response, error) {
	given := given(call.Prompt)
	if len(given) > gathering.MaxValueBytes {
		return nil, gathering.NewError(gathering.KindTooLarge,
			"%s: the text is %d bytes long; the limit is %d", Ref, len(given), gathering.MaxValueBytes)
	}
	_, text := splitInstruction(given)
	doc, err := read(ctx, text)
	if err != nil {
		return nil, err
	}
	if len(doc.sentences) == 0 {
		return nil, gathering.NewError(gathering.KindInvalid, "%s: there is nothing to extract: the text holds no sentence", Ref)
	}
	doc.rank()
	chosen := doc.choose(summaryLength(len(doc.sentences)), nil)
	answer := join(chosen)
	if schema := llm.OutputSchema(call); schema != nil {
		if answer, err = doc.fill(schema); err != nil {
			return nil, err
		}
	}
	return doc.response(answer, chosen)
}

func given(prompt fantasy.Prompt) string {
	for _, m := range prompt {
		if m.Role != fantasy.MessageRoleUser {
			continue
		}
		var texts []string
		for _, part := range m.Content {
			if text, ok := fantasy.AsMessagePart[fantasy.TextPart](part); ok {
				texts = append(texts, text.Text)
			}
		}
		return strings.Join(texts, "\n\n")
	}
	return ""
}

// quote is a sentence and where it stands.
type quote struct {
	Text    string `json:"text"`
	Line    int    `json:"line"`
	Heading string `json:"heading,omitempty"`
}

func (d *document) response(answer string, chosen []*sentence) (*fantasy.Response, error) {
	quotes := make([]quote, 0, len(chosen))
	for _, s := range chosen {
		quotes = append(quotes, quote{s.text, s.line, s.heading})
	}
	metadata, err := json.Marshal(struct {
		Model     string  `json:"model"`
		Method    string  `json:"method"`
		Words     int     `json:"words"`
		Sentences int     `json:"sentences"`
		Quotes    []quote `json:"quotes"`
	}{Ref, Method, d.words, len(d.sentences), quotes})
	if err != nil {
		return nil, fmt.Errorf("encode metadata: %w", err)
	}
	in, out := int64(d.words), int64(len(strings.Fields(answer)))
	response := &fantasy.Response{
		Content:      fantasy.ResponseContent{fantasy.TextContent{Text: answer}},
		FinishReason: fantasy.FinishReasonStop,
		Usage:        fantasy.Usage{InputTokens: in, OutputTokens: out, TotalTokens: in + out},
		Warnings:     []fantasy.CallWarning{{Type: fantasy.CallWarningTypeOther, Message: Method}},
	}
	llm.SetMetadata(response, metadata)
	return response, nil
}

// Stream is Generate in one piece.
func (e extractor) Stream(ctx context.Context, call fantasy.Call) (fantasy.StreamResponse, error) {
	response, err := e.Generate(ctx, call)
	if err != nil {
		return nil, err
	}
	return llm.StreamOf(response), nil
}

// GenerateObject is not offered; Generate with an output schema is.
func (extractor) GenerateObject(context.Context, fantasy.ObjectCall) (*fantasy.ObjectResponse, error) {
	return nil, errObject()
}

// StreamObject is not offered; Generate with an output schema is.
func (extractor) StreamObject(context.Context, fantasy.ObjectCall) (fantasy.ObjectStreamResponse, error) {
	return nil, errObject()
}

func errObject() error {
	return gathering.NewError(gathering.KindInternal, "%s answers Generate and Stream alone", Ref)
}
