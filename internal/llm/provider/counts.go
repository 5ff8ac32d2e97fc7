package provider

import (
	"charm.land/fantasy"

	"gathering/internal/llm"
)

// counts are the tokens that a server counted, as it says so.
type counts struct {
	prompt   int64 // cached ones included
	tools    int64 // beside prompt
	answer   int64
	thoughts int64
	cached   int64
}

// chatUsage are the counts in OpenAI's format. They come once, or with many
// pieces of a stream, in the last or before it, with their sum or without.
type chatUsage struct {
	Prompt        int64 `json:"prompt_tokens"`     // cached ones included
	Answer        int64 `json:"completion_tokens"` // with thoughts
	PromptDetails struct {
		Cached int64 `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	AnswerDetails struct {
		Thoughts int64 `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

func (u *chatUsage) counts() counts {
	return counts{
		prompt: u.Prompt, answer: u.Answer,
		thoughts: u.AnswerDetails.Thoughts, cached: u.PromptDetails.Cached,
	}
}

// googleUsage are Google's counts.
type googleUsage struct {
	Prompt   int64 `json:"promptTokenCount"`        //nolint:tagliatelle // Google names it; cached ones included
	Tools    int64 `json:"toolUsePromptTokenCount"` //nolint:tagliatelle // Google names it
	Answer   int64 `json:"candidatesTokenCount"`    //nolint:tagliatelle // Google names it; without thoughts
	Thoughts int64 `json:"thoughtsTokenCount"`      //nolint:tagliatelle // Google names it
	Cached   int64 `json:"cachedContentTokenCount"` //nolint:tagliatelle // Google names it
}

func (u *googleUsage) counts() counts {
	return counts{prompt: u.Prompt, tools: u.Tools, answer: u.Answer, thoughts: u.Thoughts, cached: u.Cached}
}

// count takes in the counts of a piece of a stream, which are those up to it.
func (x *exchange) count(now counts) {
	if x.counts == nil {
		x.counts = &counts{}
	}
	c := x.counts
	c.prompt, c.tools = max(c.prompt, now.prompt), max(c.tools, now.tools)
	c.answer, c.thoughts = max(c.answer, now.answer), max(c.thoughts, now.thoughts)
	c.cached = max(c.cached, now.cached)
}

// counted makes used mean the same for every provider: input tokens beside the
// cached ones, output tokens with reasoning, each as many as a call can have.
func (x *exchange) counted(used fantasy.Usage) fantasy.Usage {
	if c := x.counts; c != nil {
		used = fantasy.Usage{
			InputTokens:     llm.Tokens(c.prompt) + llm.Tokens(c.tools),
			OutputTokens:    c.answer,
			ReasoningTokens: c.thoughts,
			CacheReadTokens: c.cached,
		}
	}
	used = bounded(used)
	if x.counts != nil || x.format == FormatGoogle {
		used.InputTokens = max(0, used.InputTokens-used.CacheReadTokens)
	}
	if x.format == FormatGoogle {
		used.OutputTokens += used.ReasoningTokens
	}
	used.TotalTokens = used.InputTokens + used.CacheReadTokens + used.CacheCreationTokens + used.OutputTokens
	return bounded(used)
}

func bounded(used fantasy.Usage) fantasy.Usage {
	return fantasy.Usage{
		InputTokens:         llm.Tokens(used.InputTokens),
		OutputTokens:        llm.Tokens(used.OutputTokens),
		TotalTokens:         llm.Tokens(used.TotalTokens),
		ReasoningTokens:     llm.Tokens(used.ReasoningTokens),
		CacheCreationTokens: llm.Tokens(used.CacheCreationTokens),
		CacheReadTokens:     llm.Tokens(used.CacheReadTokens),
	}
}
