package provider

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"gathering"
	"gathering/internal/llm"
	"gathering/internal/safedial"
)

// Lookup returns the value of a variable and whether it is set.
type Lookup func(name string) (string, bool)

// FromEnvironment returns the providers that can be named. Those without their
// key are among them, so that naming one says which variable to set:
//
//   - openai: OPENAI_API_KEY, and OPENAI_BASE_URL for another address
//   - anthropic: ANTHROPIC_API_KEY, and ANTHROPIC_BASE_URL
//   - google: GEMINI_API_KEY or GOOGLE_API_KEY, and GEMINI_BASE_URL or
//     GOOGLE_GEMINI_BASE_URL
//   - ollama: OLLAMA_HOST, by default 127.0.0.1:11434; no key
//   - what the catalogue of charm.land/catwalk knows to speak OpenAI's format:
//     deepseek, groq, openrouter, …, each with its usual variable
//   - every name in GATHERING_PROVIDERS, separated by commas: its address in
//     GATHERING_PROVIDER_<NAME>_URL and, where it needs one, its key in
//     GATHERING_PROVIDER_<NAME>_KEY, with "-" in the name written as "_"
//
// A later one replaces an earlier one of the same name. An empty variable
// counts as not set. An address that the environment names is reached in any
// network, others on the public internet and in the networks of
// GATHERING_ALLOW_PRIVATE_NETWORKS; all through the proxy that HTTPS_PROXY,
// HTTP_PROXY and NO_PROXY name, if they do. What models cost and
// take is that of the catalogue, by the names of provider and model, whatever
// the address. An address or a list that cannot be used is an error that names
// its variable.
func FromEnvironment(lookup func(name string) (string, bool)) ([]llm.Provider, error) {
	e := environment{lookup}
	further, err := e.further()
	if err != nil {
		return nil, err
	}
	ollama, err := e.ollama()
	if err != nil {
		return nil, err
	}
	allowed, err := safedial.ParseNetworks(e.value(safedial.Setting, ""))
	if err != nil {
		return nil, err
	}
	known := readCatalogue()
	configs := slices.Concat(known.compatible(e), e.vendors(),
		[]Config{{Name: "ollama", BaseURL: ollama + "/v1", Own: true}}, further)
	proxy := e.proxy()
	providers := make([]llm.Provider, 0, len(configs))
	for _, c := range configs {
		c.Facts, c.Proxy, c.Allow = known.facts(catalogued(c.Name)), proxy, allowed
		p, err := New(c)
		if err != nil {
			return nil, err
		}
		providers = append(providers, p)
	}
	return providers, nil
}

// catalogued is the catalogue's name of a provider.
func catalogued(name string) string {
	if name == "google" {
		return "gemini"
	}
	return name
}

// environment reads variables.
type environment struct{ lookup Lookup }

func (e environment) value(name, otherwise string) string {
	value, _ := e.lookup(name)
	return cmp.Or(strings.TrimSpace(value), otherwise)
}

// first returns the first of the variables that is set, and its value. Where
// none is, the name is that of the first.
func (e environment) first(names ...string) (name, value string) {
	for _, name := range names {
		if value := e.value(name, ""); value != "" {
			return name, value
		}
	}
	return names[0], ""
}

// vendors returns the providers with formats of their own.
func (e environment) vendors() []Config {
	vendor := func(name string, format Format, usual string, keys, addresses []string) Config {
		variable, key := e.first(keys...)
		_, address := e.first(addresses...)
		return Config{
			Name: name, Format: format, BaseURL: cmp.Or(address, usual), Own: address != "",
			Key: key, KeyVariable: variable,
		}
	}
	return []Config{
		vendor("openai", FormatOpenAI, "https://api.openai.com/v1",
			[]string{"OPENAI_API_KEY"}, []string{"OPENAI_BASE_URL"}),
		vendor("anthropic", FormatAnthropic, "https://api.anthropic.com",
			[]string{"ANTHROPIC_API_KEY"}, []string{"ANTHROPIC_BASE_URL"}),
		vendor("google", FormatGoogle, "https://generativelanguage.googleapis.com",
			[]string{"GEMINI_API_KEY", "GOOGLE_API_KEY"}, []string{"GEMINI_BASE_URL", "GOOGLE_GEMINI_BASE_URL"}),
	}
}

// proxy returns what chooses the proxy that leads to an address.
func (e environment) proxy() func(address *url.URL) (*url.URL, error) {
	_, secure := e.first("HTTPS_PROXY", "https_proxy")
	_, plain := e.first("HTTP_PROXY", "http_proxy")
	_, none := e.first("NO_PROXY", "no_proxy")
	return (&httpproxy.Config{HTTPSProxy: secure, HTTPProxy: plain, NoProxy: none}).ProxyFunc()
}

func (e environment) further() ([]Config, error) {
	valid := regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	var configs []Config
	for name := range strings.SplitSeq(e.value("GATHERING_PROVIDERS", ""), ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		if !valid.MatchString(name) {
			return nil, gathering.NewError(gathering.KindInvalid,
				"GATHERING_PROVIDERS lists names of lower-case letters, digits and dashes, separated by commas")
		}
		prefix := "GATHERING_PROVIDER_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		address := e.value(prefix+"_URL", "")
		if address == "" {
			return nil, gathering.NewError(gathering.KindInvalid,
				"set %s_URL to the address of model provider %s, or take it out of GATHERING_PROVIDERS", prefix, name)
		}
		configs = append(configs, Config{
			Name:        name,
			BaseURL:     address,
			Own:         true,
			Key:         e.value(prefix+"_KEY", ""),
			KeyVariable: prefix + "_KEY",
			KeyOptional: true,
		})
	}
	return configs, nil
}
