package provider

import (
	"math"
	"strings"
	"sync"

	"charm.land/catwalk/pkg/catwalk"
	"charm.land/catwalk/pkg/embedded"

	"gathering/internal/llm"
)

// catalogue is what charm.land/catwalk knows, by the name of the provider.
type catalogue map[string]catwalk.Provider

// readCatalogue reads it once: that takes 8 ms.
//
//nolint:gochecknoglobals // constants, too slow to read again; nobody changes them
var readCatalogue = sync.OnceValue(func() catalogue {
	known := catalogue{}
	for _, p := range embedded.GetAll() {
		known[string(p.ID)] = p
	}
	return known
})

// compatible returns the servers that speak OpenAI's format at a fixed address
// with a key in a variable.
func (c catalogue) compatible(e environment) []Config {
	var configs []Config
	for name, p := range c {
		variable, hasKey := strings.CutPrefix(p.APIKey, "$")
		if !speaksCompatible(p.Type) || !hasKey || !strings.HasPrefix(p.APIEndpoint, "https://") {
			continue
		}
		configs = append(configs, Config{
			Name:        name,
			BaseURL:     p.APIEndpoint,
			Key:         e.value(variable, ""),
			KeyVariable: variable,
		})
	}
	return configs
}

func speaksCompatible(t catwalk.Type) bool {
	return t == catwalk.TypeOpenAICompat || t == catwalk.TypeOpenRouter
}

// facts returns what is known about the models of a provider.
func (c catalogue) facts(provider string) map[string]llm.Facts {
	models := c[provider].Models
	if len(models) == 0 {
		return nil
	}
	facts := make(map[string]llm.Facts, len(models))
	for _, m := range models {
		f := llm.Facts{ContextWindow: m.ContextWindow, MaxOutput: m.DefaultMaxTokens}
		f.Price, f.Priced = price(m)
		facts[m.ID] = f
	}
	return facts
}

// price reads a model's prices, in dollars per million tokens. The catalogue
// has zeros for what it does not know, and is not of one mind about which of
// its two prices for cached tokens is for reading and which for writing: the
// lower one below the price of input is taken for reading, the first one for
// writing if it is not below, and the price of input where neither fits, which
// is never too little by much.
func price(m catwalk.Model) (llm.Price, bool) {
	in, out := micros(m.CostPer1MIn), micros(m.CostPer1MOut)
	if in <= 0 || out <= 0 {
		return llm.Price{}, false
	}
	p := llm.Price{Input: in, Output: out, CacheRead: in, CacheWrite: in}
	first, second := micros(m.CostPer1MInCached), micros(m.CostPer1MOutCached)
	for _, cached := range []int64{first, second} {
		if cached > 0 && cached < p.CacheRead {
			p.CacheRead = cached
		}
	}
	if first >= in {
		p.CacheWrite = first
	}
	return p, true
}

func micros(dollars float64) int64 { return int64(math.Round(dollars * 1e6)) }
