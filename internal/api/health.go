package api

import (
	"context"
	"net/http"

	"gathering"
)

// Health is how the service is.
type Health struct {
	Status string `json:"status"` // "ok"
}

func (a *API) healthRoutes() {
	of := func(o Operation) Operation {
		o.Method, o.Tag, o.tier = http.MethodGet, tagHealth, tierFree
		return o
	}
	register(a, of(Operation{ID: "alive", Path: "/healthz", Summary: "Tell that the process answers"}), a.healthy)
	register(a, of(Operation{ID: "ready", Path: "/readyz", Summary: "Tell whether the service takes requests: not while its database is away, nor once it is to end"}), a.ready)
}

func (a *API) healthy(context.Context, *nothing) (*answer[Health], error) {
	return &answer[Health]{Health{"ok"}}, nil
}

func (a *API) ready(ctx context.Context, _ *nothing) (*answer[Health], error) {
	if a.Ready != nil {
		if err := a.Ready(ctx); err != nil {
			return nil, err
		}
	}
	var one int
	if err := a.DB.Read().QueryRow(ctx, `SELECT 1`).Scan(&one); err != nil {
		return nil, gathering.NewError(gathering.KindUnavailable, "the database does not answer").WithCause(err)
	}
	return &answer[Health]{Health{"ok"}}, nil
}
