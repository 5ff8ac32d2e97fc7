// Package provider reaches language models over the OpenAI chat completions
// format, which OpenAI, Ollama, vLLM and many others speak. Providers come from
// configuration alone; which there are and what each needs, [FromEnvironment]
// says.
package provider

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"charm.land/fantasy"
	"charm.land/fantasy/providers/openaicompat"

	"gathering"
	"gathering/internal/llm"
)

// Config says where a provider is and how it is spoken to.
type Config struct {
	Name    string // the part of a reference before the slash: "openai"
	BaseURL string // up to, not including, "/chat/completions": "https://api.openai.com/v1"
	Key     string // sent as a bearer token; "" sends none
	// KeyVariable is the environment variable that Key was read from, named in
	// messages. Where it is set and Key is not, the provider cannot be used,
	// unless KeyOptional is set.
	KeyVariable string
	KeyOptional bool
	Models      []string      // the only models there are; nil: any name is tried
	Timeout     time.Duration // of one call, beside its context; 0 is ten minutes
}

// DefaultTimeout bounds one model call where nothing else does sooner.
const DefaultTimeout = 10 * time.Minute

// Provider is one server and one key. It is safe for concurrent use.
type Provider struct {
	config Config
	client *client
}

// New returns the provider that c describes. It makes no network call.
func New(c Config) (*Provider, error) {
	if err := checkURL(c.BaseURL); err != nil {
		return nil, gathering.NewError(gathering.KindInvalid, "the address of model provider %s %s", c.Name, err.Error())
	}
	c.Key = strings.TrimSpace(c.Key)
	if strings.ContainsFunc(c.Key, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return nil, gathering.NewError(gathering.KindInvalid, "%s holds a space or a control character", c.KeyVariable)
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	return &Provider{config: c, client: newClient(c.Key, c.Timeout)}, nil
}

// checkURL returns an error that goes on a sentence about the URL.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return problem(`must be an address such as "https://host/v1"`)
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		return problem("must have no user, query or fragment")
	}
	return nil
}

type problem string

// Error is the problem.
func (p problem) Error() string { return string(p) }

// Name is the part of a reference before the slash.
func (p *Provider) Name() string { return p.config.Name }

// Check returns an error that names the variable to set where there is no key,
// and one that names the models where name is none of them.
func (p *Provider) Check(name string) error {
	c := p.config
	if c.Key == "" && c.KeyVariable != "" && !c.KeyOptional {
		return missing("set %s to use %s/%s", c.KeyVariable, c.Name, name)
	}
	if c.Models != nil && !slices.Contains(c.Models, name) {
		return missing("%s has the models %s", c.Name, strings.Join(c.Models, ", "))
	}
	return nil
}

func missing(format string, args ...any) error {
	return gathering.NewError(gathering.KindInvalid, format, args...).WithCode(gathering.CodeModelMissing)
}

// Model returns the model of the given name. A call of it is one request:
// nothing is repeated, no redirect is followed. The key stays out of the
// client library, whose errors carry whole requests.
func (p *Provider) Model(ctx context.Context, name string) (fantasy.LanguageModel, error) {
	if err := p.Check(name); err != nil {
		return nil, err
	}
	origin := llm.Origin{Model: p.config.Name + "/" + name, KeyVariable: p.config.KeyVariable}
	remote, err := openaicompat.New(
		openaicompat.WithName(p.config.Name),
		openaicompat.WithBaseURL(p.config.BaseURL),
		openaicompat.WithHTTPClient(p.client),
	)
	if err != nil {
		return nil, llm.Translate(err, origin)
	}
	model, err := remote.LanguageModel(ctx, name)
	if err != nil {
		return nil, llm.Translate(err, origin)
	}
	return llm.Translated(model, origin), nil
}
