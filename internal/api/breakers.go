package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"time"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/once"
)

// TripOrder is why and until when a breaker is to stay open.
type TripOrder struct {
	Reason string     `json:"reason,omitempty" maxLength:"500"`
	Until  *time.Time `json:"until,omitempty" doc:"Left out, until it is reset."`
}

// BreakerPath is the path of a circuit breaker.
type BreakerPath struct {
	Name string `path:"name" maxLength:"300" doc:"As host:example.com:443, provider:openai or tool:files.write."`
}

func (a *API) breakerRoutes() {
	of := func(o Operation) Operation {
		o.Tag = tagBreakers
		return o
	}
	one := Prefix + "/breakers/{name}"
	register(a, of(Operation{ID: "list-breakers", Method: http.MethodGet, Path: Prefix + "/breakers", Action: auth.BreakersRead, Summary: "List circuit breakers, open ones first"}), a.listBreakers)
	register(a, of(Operation{ID: "breaker-history", Method: http.MethodGet, Path: one + "/history", Action: auth.BreakersRead, Summary: "Tell when and why a circuit breaker was opened and closed"}), a.breakerHistory)
	register(a, of(Operation{ID: "trip-breaker", Method: http.MethodPost, Path: one + "/trip", Action: auth.BreakersWrite, Summary: "Open a circuit breaker: nothing is called until it is reset"}), a.tripBreaker)
	register(a, of(Operation{ID: "reset-breaker", Method: http.MethodPost, Path: one + "/reset", Action: auth.BreakersWrite, Summary: "Close a circuit breaker"}), a.resetBreaker)
}

// place is where a breaker stands in a list.
func place(b gathering.Breaker) string {
	if b.State == gathering.BreakerClosed {
		return "1 " + b.Name
	}
	return "0 " + b.Name
}

func (a *API) listBreakers(ctx context.Context, in *Listed) (*answer[Page[gathering.Breaker]], error) {
	list := a.Circuits.List(ctx)
	slices.SortFunc(list, func(x, y gathering.Breaker) int { return cmp.Compare(place(x), place(y)) })
	if in.Cursor != "" {
		if rank, name, ok := strings.Cut(in.Cursor, " "); !ok || name == "" || rank != "0" && rank != "1" {
			return nil, errCursor()
		}
		next, found := slices.BinarySearchFunc(list, in.Cursor, func(b gathering.Breaker, cursor string) int {
			return cmp.Compare(place(b), cursor)
		})
		if found {
			next++
		}
		list = list[next:]
	}
	return page(list, in.Limit, place), nil
}

func (a *API) breakerHistory(ctx context.Context, in *struct {
	BreakerPath

	Limit int `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"How many of its last events at most."`
},
) (*answer[Page[gathering.Event]], error) {
	events, err := a.Breakers.History(ctx, in.Name, in.Limit)
	return page(events, len(events), func(gathering.Event) string { return "" }), err
}

func (a *API) tripBreaker(ctx context.Context, in *struct {
	BreakerPath
	Keyed

	Body *TripOrder
},
) (*answer[gathering.Breaker], error) {
	var (
		order TripOrder
		until time.Time
	)
	if in.Body != nil {
		order = *in.Body
	}
	if order.Until != nil {
		until = *order.Until
	}
	return a.switched(ctx, func(ctx context.Context) (gathering.Breaker, error) {
		return a.Circuits.Trip(ctx, in.Name, by(ctx), order.Reason, until)
	})
}

// switched has a breaker opened or closed, once under an idempotency key. Two of
// the same request at the same time may both do it, which comes to the same.
func (a *API) switched(ctx context.Context, act func(ctx context.Context) (gathering.Breaker, error)) (*answer[gathering.Breaker], error) {
	b, err := once.Reserved(ctx, a.DB, rand.Text, func(ctx context.Context, _ string, _ bool) (gathering.Breaker, error) { return act(ctx) })
	return &answer[gathering.Breaker]{b}, err
}

func (a *API) resetBreaker(ctx context.Context, in *struct {
	BreakerPath
	Keyed
},
) (*answer[gathering.Breaker], error) {
	return a.switched(ctx, func(ctx context.Context) (gathering.Breaker, error) {
		return a.Circuits.Reset(ctx, in.Name, by(ctx))
	})
}
