package api

import (
	"context"
	"net/http"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/catalog"
	"gathering/internal/node"
)

func (a *API) catalogueRoutes() {
	of := func(o Operation) Operation {
		o.Method, o.Tag, o.Action = http.MethodGet, tagCatalogue, auth.CatalogueRead
		return o
	}
	register(a, of(Operation{ID: "list-kinds", Path: Prefix + "/kinds", Summary: "List the kinds of node with their fields"}), a.listKinds)
	register(a, of(Operation{ID: "list-tools", Path: Prefix + "/tools", Summary: "List the tools that nodes and agents may call"}), a.listTools)
}

func (a *API) listKinds(context.Context, *nothing) (*answer[Page[catalog.Kind]], error) {
	kinds := node.Kinds()
	told := make([]catalog.Kind, len(kinds))
	for i := range kinds {
		told[i] = catalog.KindOf(&kinds[i])
	}
	return page(told, len(told), func(catalog.Kind) string { return "" }), nil
}

func (a *API) listTools(context.Context, *nothing) (*answer[Page[gathering.ToolSpec]], error) {
	tools := a.Launcher.Tools.Specs()
	return page(tools, len(tools), func(gathering.ToolSpec) string { return "" }), nil
}
