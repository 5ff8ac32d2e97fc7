// Package llm is how the rest of GatheRing reaches language models: by a
// reference "provider/model", through charm.land/fantasy's LanguageModel, with
// every error turned into a [gathering.Error].
//
// Models here never repeat a failed call by themselves: whether, when and how
// often that happens is decided by whoever asks. Callers stream, see [Collect]:
// a model that takes minutes is told from one that is gone.
package llm

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"charm.land/fantasy"

	"gathering"
)

// Provider gives access to the models of one vendor, server or method.
type Provider interface {
	// Name is the part of a reference before its first slash.
	Name() string
	// Model returns the model of the given name. It makes no network call.
	Model(ctx context.Context, name string) (fantasy.LanguageModel, error)
	// Check returns nil when Model would succeed, and otherwise an error of
	// KindInvalid and CodeModelMissing that says what to set.
	Check(name string) error
}

// Models resolves references. It is safe for concurrent use.
type Models struct {
	providers map[string]Provider
	stored    atomic.Pointer[map[string]Provider] // take the place of those above
}

// New returns the models of the given providers. Where two have the same name
// the later one counts.
func New(providers ...Provider) *Models {
	m := &Models{providers: make(map[string]Provider, len(providers))}
	for _, p := range providers {
		m.providers[p.Name()] = p
	}
	return m
}

// SetStored has these providers, and no others, take the place of those of the
// same names that New was given.
func (m *Models) SetStored(providers ...Provider) {
	stored := make(map[string]Provider, len(providers))
	for _, p := range providers {
		stored[p.Name()] = p
	}
	m.stored.Store(&stored)
}

// all are the providers by name.
func (m *Models) all() map[string]Provider {
	stored := m.stored.Load()
	if stored == nil || len(*stored) == 0 {
		return m.providers
	}
	all := maps.Clone(m.providers)
	maps.Copy(all, *stored)
	return all
}

func (m *Models) provider(name string) (Provider, bool) {
	if stored := m.stored.Load(); stored != nil {
		if p, ok := (*stored)[name]; ok {
			return p, true
		}
	}
	p, ok := m.providers[name]
	return p, ok
}

// Providers returns the names of the providers, sorted.
func (m *Models) Providers() []string {
	return slices.Sorted(maps.Keys(m.all()))
}

// Listing is what a [Provider] may be beside: one that knows names of its models.
type Listing interface {
	Names() []string
}

// List returns references of the models that are known by name, sorted. There
// may be others.
func (m *Models) List() []string {
	var refs []string
	for name, p := range m.all() {
		if listing, ok := p.(Listing); ok {
			for _, model := range listing.Names() {
				refs = append(refs, name+"/"+model)
			}
		}
	}
	slices.Sort(refs)
	return refs
}

// Model returns the model that ref names. The errors of its Generate,
// GenerateObject and Stream, and those within a stream, are of type *[gathering.Error], or wrap the error
// of the context that ended.
func (m *Models) Model(ctx context.Context, ref string) (fantasy.LanguageModel, error) {
	p, name, err := m.resolve(ref)
	if err != nil {
		return nil, err
	}
	if err := p.Check(name); err != nil {
		return nil, err
	}
	model, err := p.Model(ctx, name)
	if err != nil {
		return nil, Translate(err, Origin{Model: ref})
	}
	return Translated(model, Origin{Model: ref}), nil
}

// Check returns nil when ref names a model that can be used, and otherwise an
// error of KindInvalid that says what to write or to set. It makes no network
// call.
func (m *Models) Check(ref string) error {
	p, name, err := m.resolve(ref)
	if err != nil {
		return err
	}
	return p.Check(name)
}

// resolve splits ref at its first slash: the names of models may contain more.
func (m *Models) resolve(ref string) (Provider, string, error) {
	provider, name, found := strings.Cut(ref, "/")
	if !found || provider == "" || name == "" {
		return nil, "", missing(`a model is named "provider/model", as in "offline/extract"`)
	}
	p, ok := m.provider(provider)
	if !ok {
		return nil, "", missing("there is no such model provider; known are " + strings.Join(m.Providers(), ", "))
	}
	return p, name, nil
}

func missing(problem string) error {
	return gathering.NewError(gathering.KindInvalid, "%s", problem).WithCode(gathering.CodeModelMissing)
}
