// Package provider has the models behind an API, by provider and key: those of
// Anthropic, OpenAI and Google, and of every server that speaks OpenAI's
// format. The environment says which can be used, see [FromEnvironment].
//
// What a call may take is bounded: connecting, its whole time, the silence
// between two pieces of a stream, the size of the answer. A key goes to the
// address it belongs to and nowhere else.
package provider

import (
	"cmp"
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"charm.land/fantasy"
	"charm.land/fantasy/providers/anthropic"
	"charm.land/fantasy/providers/google"
	"charm.land/fantasy/providers/openai"
	"charm.land/fantasy/providers/openaicompat"

	"gathering"
	"gathering/internal/llm"
)

// Format is how a provider is spoken to.
type Format string

// The formats.
const (
	FormatCompatible Format = ""          // OpenAI's chat completions, as other servers speak them
	FormatOpenAI     Format = "openai"    // chat completions
	FormatAnthropic  Format = "anthropic" // messages
	FormatGoogle     Format = "google"    // the Gemini API
)

// Config says where a provider is and how it is spoken to.
type Config struct {
	Name   string // the part of a reference before the slash: "openai"
	Format Format
	// BaseURL is what the format's own paths are appended to:
	// "https://api.openai.com/v1", "https://api.anthropic.com",
	// "https://generativelanguage.googleapis.com".
	BaseURL string
	// Own says that whoever operates this process wrote BaseURL. Its host is
	// then reached wherever it is, on this machine or in a private network
	// too; without it only on the public internet and in the networks of Allow.
	Own   bool
	Allow []netip.Prefix
	Key   string // sent as the format has it; "" sends none
	// KeyVariable is the environment variable that Key was read from, named in
	// messages. Where it is set and Key is not, the provider cannot be used,
	// unless KeyOptional is set.
	KeyVariable string
	KeyOptional bool
	Models      []string             // the only models there are; nil: any name is tried
	Facts       map[string]llm.Facts // of models by name; others are asked all the same
	// Proxy returns what calls to an address go through, nil for nothing. No
	// function is no proxy.
	Proxy   func(address *url.URL) (*url.URL, error)
	Timeout time.Duration // of one call, beside its context; 0 is ten minutes
	Idle    time.Duration // of silence in a stream, and before it; 0 is two minutes
	// MaxAnswer is how many bytes an answer may have on the wire, uncompressed;
	// 0 is DefaultMaxAnswer, which is also the most.
	MaxAnswer int64
}

const (
	// DefaultTimeout bounds one model call where nothing else does sooner.
	DefaultTimeout = 10 * time.Minute
	// DefaultIdle bounds how long nothing may come of a stream.
	DefaultIdle = 2 * time.Minute
	// DefaultMaxAnswer bounds an answer. No library reads a longer event.
	DefaultMaxAnswer = 32 << 20
)

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
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.Idle = cmp.Or(c.Idle, DefaultIdle)
	client, err := newClient(c)
	if err != nil {
		return nil, err
	}
	return &Provider{config: c, client: client}, nil
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
	if c.Format == FormatGoogle && (strings.Contains(name, "claude") || strings.Contains(name, "anthropic")) {
		return missing("%s has no models of Anthropic; use anthropic/%s", c.Name, name)
	}
	return nil
}

func missing(format string, args ...any) error {
	return gathering.NewError(gathering.KindInvalid, format, args...).WithCode(gathering.CodeModelMissing)
}

// Facts are what the catalogue knows about the model of the given name. Where
// providers date their models, the name without the date is that of the only
// one with a date.
func (p *Provider) Facts(name string) llm.Facts {
	if facts, ok := p.config.Facts[name]; ok {
		return facts
	}
	var found []llm.Facts
	for known, facts := range p.config.Facts {
		if date, ok := strings.CutPrefix(known, name+"-"); ok && len(date) == len("20250929") && strings.Trim(date, "0123456789") == "" {
			found = append(found, facts)
		}
	}
	if len(found) != 1 {
		return llm.Facts{}
	}
	return found[0]
}

// Model returns the model of the given name. A call of it is one request:
// nothing is repeated, no redirect is followed. The key stays out of the
// client libraries, whose errors carry whole requests.
func (p *Provider) Model(ctx context.Context, name string) (fantasy.LanguageModel, error) {
	if err := p.Check(name); err != nil {
		return nil, err
	}
	origin := llm.Origin{Model: p.config.Name + "/" + name, KeyVariable: p.config.KeyVariable, Key: p.config.Key}
	remote, err := p.library()
	if err != nil {
		return nil, llm.Translate(err, origin)
	}
	spoken, err := remote.LanguageModel(ctx, name)
	if err != nil {
		return nil, llm.Translate(err, origin)
	}
	return llm.Translated(&model{LanguageModel: spoken, provider: p, facts: p.Facts(name)}, origin), nil
}

// noKey is given to libraries that would look for a key of their own without
// one. No request carries it.
const noKey = "none"

// library returns the client library for the format. It speaks through our
// client alone.
func (p *Provider) library() (fantasy.Provider, error) {
	c := p.config
	switch c.Format {
	case FormatOpenAI:
		return openai.New(openai.WithName(c.Name), openai.WithBaseURL(c.BaseURL),
			openai.WithAPIKey(noKey), openai.WithHTTPClient(p.client))
	case FormatAnthropic:
		return anthropic.New(anthropic.WithName(c.Name), anthropic.WithBaseURL(c.BaseURL),
			anthropic.WithAPIKey(noKey), anthropic.WithHTTPClient(p.client))
	case FormatGoogle:
		return google.New(google.WithName(c.Name), google.WithBaseURL(c.BaseURL),
			google.WithGeminiAPIKey(noKey), google.WithHTTPClient(p.client.wrapped()))
	default:
		return openaicompat.New(openaicompat.WithName(c.Name), openaicompat.WithBaseURL(c.BaseURL),
			openaicompat.WithAPIKey(noKey), openaicompat.WithHTTPClient(p.client))
	}
}
