package api

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"gathering"
)

// Breakers is what the routes ask of circuit breakers.
type Breakers interface {
	List(ctx context.Context) []gathering.Breaker
	History(ctx context.Context, name string, limit int) ([]gathering.Event, error)
	Trip(ctx context.Context, name, by, reason string, until time.Time) (gathering.Breaker, error)
	Reset(ctx context.Context, name, by string) (gathering.Breaker, error)
}

// Bounds of lists.
const (
	defaultItems = 100
	maxItems     = 1000
)

// items is a part of a list.
type items[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor,omitempty"` // of the part that follows; "" is the end
}

// listBreakers answers with those that are open first, by name.
func (a *api) listBreakers(w http.ResponseWriter, r *http.Request) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	list := a.Breakers.List(r.Context())
	slices.SortFunc(list, func(x, y gathering.Breaker) int { return cmp.Compare(place(x), place(y)) })
	if cursor := r.URL.Query().Get("cursor"); cursor != "" {
		next, found := slices.BinarySearchFunc(list, cursor, func(b gathering.Breaker, cursor string) int {
			return cmp.Compare(place(b), cursor)
		})
		if found {
			next++
		}
		list = list[next:]
	}
	part := items[gathering.Breaker]{Items: list}
	if len(list) > limit {
		part.Items, part.NextCursor = list[:limit], place(list[limit-1])
	}
	return reply(w, http.StatusOK, part)
}

// place is where a breaker stands in a list.
func place(b gathering.Breaker) string {
	if b.State == gathering.BreakerClosed {
		return "1 " + b.Name
	}
	return "0 " + b.Name
}

func limitOf(r *http.Request) (int, error) {
	given := r.URL.Query().Get("limit")
	if given == "" {
		return defaultItems, nil
	}
	limit, err := strconv.Atoi(given)
	if err != nil || limit < 1 || limit > maxItems {
		return 0, gathering.NewError(gathering.KindInvalid, "the list cannot be given as asked").
			WithFields(gathering.FieldError{Field: "limit", Problem: "must be a number from 1 to 1000"})
	}
	return limit, nil
}

// breakerHistory answers with the last events, the oldest first.
func (a *api) breakerHistory(w http.ResponseWriter, r *http.Request) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	events, err := a.Breakers.History(r.Context(), r.PathValue("name"), limit)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, items[gathering.Event]{Items: append([]gathering.Event{}, events...)})
}

// TripOrder is why and until when a breaker is to stay open.
type TripOrder struct {
	Reason string    `json:"reason,omitempty"`
	Until  time.Time `json:"until,omitzero"` // zero: until it is reset
}

func (a *api) tripBreaker(w http.ResponseWriter, r *http.Request) error {
	var order TripOrder
	if err := decode(r, &order); err != nil {
		return err
	}
	b, err := a.Breakers.Trip(r.Context(), r.PathValue("name"), CommandLine, order.Reason, order.Until)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, b)
}

func (a *api) resetBreaker(w http.ResponseWriter, r *http.Request) error {
	if err := noBody(r); err != nil {
		return err
	}
	b, err := a.Breakers.Reset(r.Context(), r.PathValue("name"), CommandLine)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, b)
}

// Breakers returns every breaker that the process knows. Where nobody listens
// the error is of KindUnavailable, as it is of TripBreaker and ResetBreaker.
func (c *Client) Breakers(ctx context.Context) ([]gathering.Breaker, error) {
	all := []gathering.Breaker{}
	query := url.Values{"limit": {strconv.Itoa(maxItems / 2)}}
	for {
		var part items[gathering.Breaker]
		if err := c.get(ctx, "/breakers?"+query.Encode(), &part); err != nil {
			return nil, err
		}
		all = append(all, part.Items...)
		if part.NextCursor == "" {
			return all, nil
		}
		query.Set("cursor", part.NextCursor)
	}
}

// TripBreaker opens a breaker.
func (c *Client) TripBreaker(ctx context.Context, name string, order TripOrder) (gathering.Breaker, error) {
	var b gathering.Breaker
	err := c.post(ctx, "/breakers/"+url.PathEscape(name)+"/trip", order, &b)
	return b, err
}

// ResetBreaker closes a breaker.
func (c *Client) ResetBreaker(ctx context.Context, name string) (gathering.Breaker, error) {
	var b gathering.Breaker
	err := c.post(ctx, "/breakers/"+url.PathEscape(name)+"/reset", nil, &b)
	return b, err
}
