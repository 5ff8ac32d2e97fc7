package llm

import (
	"context"
	"strings"

	"charm.land/fantasy"
)

// Price is what a provider asks for tokens, in millionths of a US dollar per
// million tokens: 3_000_000 is three dollars per million.
type Price struct {
	Input      int64
	Output     int64
	CacheRead  int64 // of input tokens taken from the provider's cache
	CacheWrite int64 // of input tokens put into it
}

const (
	million = 1_000_000
	// maxTokens and maxPrice keep what servers say within what a cost can
	// hold: no call has so many tokens, no token costs so much.
	maxTokens = 1 << 31
	maxPrice  = 1000 * million
)

// Cost is what a call costs at p, in millionths of a US dollar, rounded up: a
// call that costs anything never counts as free. The input tokens of used are
// those beside the cached ones, its output tokens include reasoning.
func (p Price) Cost(used fantasy.Usage) int64 {
	sum := part(used.InputTokens, p.Input) + part(used.OutputTokens, p.Output) +
		part(used.CacheReadTokens, p.CacheRead) + part(used.CacheCreationTokens, p.CacheWrite)
	return (sum + million - 1) / million
}

func part(tokens, price int64) int64 {
	return Tokens(tokens) * max(0, min(price, maxPrice))
}

// Tokens is a number of tokens that somebody counted, within what a call can
// have: from 0 to 1<<31.
func Tokens(said int64) int64 { return max(0, min(said, maxTokens)) }

// Facts are what is known about a model without asking its provider.
type Facts struct {
	ContextWindow int64 // tokens it can take; 0 is unknown
	MaxOutput     int64 // tokens it usually answers with at most; 0 is unknown
	Price         Price
	// Priced says whether Price is known: a model whose price is not known is
	// not free.
	Priced bool
}

// Informed is what a [Provider] may be beside: one that knows its models.
type Informed interface {
	Facts(name string) Facts
}

// Facts returns what is known about the model that ref names, which may be
// nothing.
func (m *Models) Facts(ref string) Facts {
	p, name, err := m.resolve(ref)
	if err != nil {
		return Facts{}
	}
	if informed, ok := p.(Informed); ok {
		return informed.Facts(name)
	}
	return Facts{}
}

// ProviderOf is the part of a reference before its first slash.
func ProviderOf(ref string) string {
	provider, _, _ := strings.Cut(ref, "/")
	return provider
}

// Guard decides whether calls of others are made, such as a circuit breaker.
type Guard interface {
	// Do makes the call, or returns an error of CodeCircuitOpen without making
	// it. Otherwise its error is that of the call. The name says who is called:
	// "provider:openai".
	Do(ctx context.Context, name string, call func(ctx context.Context) error) error
}
