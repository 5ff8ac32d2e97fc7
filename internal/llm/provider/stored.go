package provider

import (
	"cmp"
	"maps"
	"regexp"
	"slices"

	"gathering"
	"gathering/internal/llm"
	"gathering/internal/safedial"
)

// Stored is a provider as somebody stored it, who is not who operates this
// process: its address is reached on the public internet, and in the networks
// that the environment allows.
type Stored struct {
	Name    string
	Format  Format // of one that is not known by its name
	BaseURL string // "" is that of the one that is known by its name
	Key     string
}

var validName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// FromStored returns a stored provider. What is left open is as it is of the
// provider of that name which the environment or the catalogue knows. Errors
// are of kind invalid and name the field.
func FromStored(lookup Lookup, s Stored) (*Provider, error) {
	if !validName.MatchString(s.Name) {
		return nil, fault("name", "must be 1 to 63 small letters, digits or -, a letter first")
	}
	e := environment{lookup}
	allowed, err := safedial.ParseNetworks(e.value(safedial.Setting, ""))
	if err != nil {
		return nil, err
	}
	known := readCatalogue()
	all := slices.Concat(known.compatible(e), e.vendors())
	c := Config{Name: s.Name, Format: s.Format}
	if i := slices.IndexFunc(all, func(c Config) bool { return c.Name == s.Name }); i >= 0 {
		c = all[i]
	}
	if s.BaseURL != "" {
		c.BaseURL, c.Own = s.BaseURL, false
	}
	if c.BaseURL == "" {
		return nil, fault("base_url", "must be the provider's address, as https://host/v1")
	}
	if err := checkURL(c.BaseURL); err != nil {
		return nil, fault("base_url", err.Error())
	}
	c.Key, c.KeyVariable, c.KeyOptional = s.Key, "key", true
	c.Facts, c.Proxy, c.Allow = known.facts(catalogued(c.Name)), e.proxy(), allowed
	return New(c)
}

func fault(field, problem string) error {
	return gathering.NewError(gathering.KindInvalid, "%s %s", field, problem).
		WithFields(gathering.FieldError{Field: field, Problem: problem})
}

// BaseURL is where the provider is.
func (p *Provider) BaseURL() string { return p.config.BaseURL }

// Format is how the provider is spoken to: "compatible" where it speaks OpenAI's
// format without being OpenAI.
func (p *Provider) Format() string { return string(cmp.Or(p.config.Format, "compatible")) }

// Names implements [llm.Listing].
func (p *Provider) Names() []string {
	if p.config.Models != nil {
		return p.config.Models
	}
	return slices.Collect(maps.Keys(p.config.Facts))
}

var _ llm.Listing = (*Provider)(nil)
