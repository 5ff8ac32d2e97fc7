package provider

import (
	"cmp"
	"regexp"
	"strings"

	"charm.land/catwalk/pkg/catwalk"
	"charm.land/catwalk/pkg/embedded"

	"gathering"
	"gathering/internal/llm"
)

// Lookup returns the value of a variable and whether it is set.
type Lookup func(name string) (string, bool)

// FromEnvironment returns the providers that can be named. Those without their
// key are among them, so that naming one says which variable to set:
//
//   - openai: OPENAI_API_KEY, and OPENAI_BASE_URL for another address
//   - ollama: OLLAMA_HOST, by default 127.0.0.1:11434; no key
//   - what the catalogue of charm.land/catwalk knows to speak the same format:
//     deepseek, groq, openrouter, …, each with its usual variable
//   - every name in GATHERING_PROVIDERS, separated by commas: its address in
//     GATHERING_PROVIDER_<NAME>_URL and, where it needs one, its key in
//     GATHERING_PROVIDER_<NAME>_KEY, with "-" in the name written as "_"
//
// A later one replaces an earlier one of the same name. An empty variable
// counts as not set. An address or a list that cannot be used is an error that
// names its variable.
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
	configs := append(e.catalogue(), Config{
		Name:        "openai",
		BaseURL:     e.value("OPENAI_BASE_URL", "https://api.openai.com/v1"),
		Key:         e.value("OPENAI_API_KEY", ""),
		KeyVariable: "OPENAI_API_KEY",
	}, Config{Name: "ollama", BaseURL: ollama + "/v1"})
	configs = append(configs, further...)
	providers := make([]llm.Provider, 0, len(configs))
	for _, c := range configs {
		p, err := New(c)
		if err != nil {
			return nil, err
		}
		providers = append(providers, p)
	}
	return providers, nil
}

// environment reads variables.
type environment struct{ lookup Lookup }

func (e environment) value(name, otherwise string) string {
	value, _ := e.lookup(name)
	return cmp.Or(strings.TrimSpace(value), otherwise)
}

// catalogue returns the known servers of the same format: those with a fixed
// address and a key in a variable.
func (e environment) catalogue() []Config {
	var configs []Config
	for _, known := range embedded.GetAll() {
		variable, hasKey := strings.CutPrefix(known.APIKey, "$")
		speaks := known.Type == catwalk.TypeOpenAICompat || known.Type == catwalk.TypeOpenRouter
		if !speaks || !hasKey || !strings.HasPrefix(known.APIEndpoint, "https://") {
			continue
		}
		configs = append(configs, Config{
			Name:        string(known.ID),
			BaseURL:     known.APIEndpoint,
			Key:         e.value(variable, ""),
			KeyVariable: variable,
		})
	}
	return configs
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
			Key:         e.value(prefix+"_KEY", ""),
			KeyVariable: prefix + "_KEY",
			KeyOptional: true,
		})
	}
	return configs, nil
}
