package api

import (
	"context"
	"net/http"
	"sort"
	"strings"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/llm/stored"
)

// NewProvider says what a new provider of models is.
type NewProvider struct {
	Name    string `json:"name" maxLength:"63" doc:"The part of a model's reference before the slash, as openai."`
	Format  string `json:"format,omitempty" enum:"openai,anthropic,google,compatible" doc:"How it is spoken to; that of a provider which is known by the name, or else compatible."`
	BaseURL string `json:"base_url,omitempty" maxLength:"2000" doc:"Where it is; left out, where a provider is that is known by the name."`
	Key     string `json:"key,omitempty" maxLength:"4000" doc:"Encrypted when it is stored, and never told."`
}

// ProviderUpdate says what changes in a provider.
type ProviderUpdate struct {
	BaseURL *string `json:"base_url,omitempty" maxLength:"2000" doc:"With the key: one goes to the address that it was given for alone."`
	Key     *string `json:"key,omitempty" maxLength:"4000"`
}

// ProviderPath is the path of a provider.
type ProviderPath struct {
	ID gathering.ProviderID `path:"id" maxLength:"100"`
}

func (a *API) providerRoutes() {
	of := func(o Operation) Operation {
		o.Tag = tagModels
		return o
	}
	all, one := Prefix+"/providers", Prefix+"/providers/{id}"
	register(a, of(Operation{ID: "list-providers", Method: http.MethodGet, Path: all, Action: auth.ProvidersRead, Summary: "List stored providers of models"}), a.listProviders)
	register(a, of(Operation{
		ID: "create-provider", Method: http.MethodPost, Path: all, Action: auth.ProvidersWrite, Status: http.StatusCreated, Summary: "Store a provider of models",
	}), a.createProvider)
	register(a, of(Operation{ID: "read-provider", Method: http.MethodGet, Path: one, Action: auth.ProvidersRead, Summary: "Read a stored provider"}), a.readProvider)
	register(a, of(Operation{ID: "change-provider", Method: http.MethodPatch, Path: one, Action: auth.ProvidersWrite, Summary: "Change a stored provider"}), a.changeProvider)
	register(a, of(Operation{
		ID: "delete-provider", Method: http.MethodDelete, Path: one, Action: auth.ProvidersWrite, Status: http.StatusNoContent, Summary: "Delete a stored provider",
	}), a.deleteProvider)
	register(a, of(Operation{ID: "list-models", Method: http.MethodGet, Path: Prefix + "/models", Action: auth.CatalogueRead, Summary: "List the models that are known by name, and whether they can be asked"}), a.listModels)
}

func (a *API) listProviders(ctx context.Context, in *Listed) (*answer[Page[gathering.Provider]], error) {
	after, err := in.after("prv_")
	if err != nil {
		return nil, err
	}
	providers, err := a.Providers.Providers(ctx, gathering.ProviderID(after), in.Limit+1)
	return page(providers, in.Limit, func(p gathering.Provider) string { return string(p.ID) }), err
}

func (a *API) createProvider(ctx context.Context, in *struct {
	Keyed

	Body NewProvider
},
) (*tagged[gathering.Provider], error) {
	p, err := a.Providers.Create(ctx, stored.New{Name: in.Body.Name, Format: in.Body.Format, BaseURL: in.Body.BaseURL, Key: in.Body.Key})
	return revised(p, p.Revision), err
}

func (a *API) readProvider(ctx context.Context, in *ProviderPath) (*tagged[gathering.Provider], error) {
	p, err := a.Providers.Provider(ctx, in.ID)
	return revised(p, p.Revision), err
}

func (a *API) changeProvider(ctx context.Context, in *struct {
	ProviderPath
	Matched
	Keyed

	Body ProviderUpdate
},
) (*tagged[gathering.Provider], error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	p, err := a.Providers.Update(ctx, in.ID, stored.Update{BaseURL: in.Body.BaseURL, Key: in.Body.Key, Revision: revision})
	return revised(p, p.Revision), err
}

func (a *API) deleteProvider(ctx context.Context, in *struct {
	ProviderPath
	Matched
	Keyed
},
) (*nothing, error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	return &nothing{}, a.Providers.Delete(ctx, in.ID, revision)
}

func (a *API) listModels(_ context.Context, in *struct {
	Listed

	Provider string `query:"provider" maxLength:"63" doc:"Only those of this provider."`
	Usable   bool   `query:"usable" doc:"Only those that can be asked."`
},
) (*answer[Page[gathering.Model]], error) {
	refs := a.Launcher.Models.List()
	refs = refs[sort.Search(len(refs), func(i int) bool { return refs[i] > in.Cursor }):]
	var models []gathering.Model
	for _, ref := range refs {
		if len(models) > in.Limit {
			break
		}
		m := a.model(ref)
		if (in.Provider == "" || strings.HasPrefix(ref, in.Provider+"/")) && (m.Usable || !in.Usable) {
			models = append(models, m)
		}
	}
	return page(models, in.Limit, func(m gathering.Model) string { return m.Ref }), nil
}

// model is what is known of a model.
func (a *API) model(ref string) gathering.Model {
	m := gathering.Model{Ref: ref, Usable: true}
	if err := a.Launcher.Models.Check(ref); err != nil {
		m.Usable, m.Problem = false, gathering.FailureOf(err).Message
	}
	facts := a.Launcher.Models.Facts(ref)
	m.ContextWindow, m.MaxOutput = facts.ContextWindow, facts.MaxOutput
	if facts.Priced {
		m.Price = &gathering.ModelPrice{
			Input: facts.Price.Input, Output: facts.Price.Output, CacheRead: facts.Price.CacheRead, CacheWrite: facts.Price.CacheWrite,
		}
	}
	return m
}
