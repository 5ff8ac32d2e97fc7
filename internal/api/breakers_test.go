package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/api"
	"gathering/internal/breaker"
	"gathering/internal/store/storetest"
)

// circuits are real breakers on a database, one of which somebody opened.
func circuits(t *testing.T) *breaker.Registry {
	t.Helper()
	r := breaker.New(breaker.Options{})
	r.Start(t.Context(), &breaker.Store{DB: storetest.Open(t, storetest.SQLite(t)), Now: time.Now})
	t.Cleanup(r.Stop)
	if _, err := r.Trip(t.Context(), "tool:mail.send", "ada", "it is full", time.Time{}); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBreakerRoutes(t *testing.T) {
	t.Parallel()
	const trip = "/breakers/tool:mail.send/trip"
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		want               string // in the answer
	}{
		"list":                   {"GET", "/breakers", "", 200, `"name":"tool:mail.send","state":"open"`},
		"history":                {"GET", "/breakers/tool:mail.send/history", "", 200, `"type":"breaker.opened"`},
		"history of none":        {"GET", "/breakers/tool:other/history", "", 200, `{"items":[]}`},
		"history of nonsense":    {"GET", "/breakers/nonsense/history", "", 400, `"field":"name"`},
		"a limit of none":        {"GET", "/breakers?limit=0", "", 400, `"field":"limit"`},
		"a limit of many":        {"GET", "/breakers/tool:mail.send/history?limit=1001", "", 400, `"field":"limit"`},
		"trip":                   {"POST", trip, `{"reason":"moving"}`, 200, `"reason":"moving","by":"the command line"`},
		"trip without a body":    {"POST", trip, ``, 200, `"state":"open"`},
		"trip until":             {"POST", trip, `{"until":"2999-01-01T00:00:00Z"}`, 200, `"until":"2999-01-01T00:00:00Z"`},
		"trip until the past":    {"POST", trip, `{"until":"1999-01-01T00:00:00Z"}`, 400, `"field":"until"`},
		"trip with another word": {"POST", trip, `{"force":true}`, 400, "not what this request takes"},
		"trip with two bodies":   {"POST", trip, `{}{}`, 400, "not what this request takes"},
		"trip a host":            {"POST", "/breakers/" + url.PathEscape("host:[::1]:80") + "/trip", ``, 200, `"name":"host:[::1]:80"`},
		"trip nonsense":          {"POST", "/breakers/nonsense/trip", ``, 400, `"field":"name"`},
		"reset":                  {"POST", "/breakers/tool:mail.send/reset", "", 200, `"state":"closed"`},
		"reset with a body":      {"POST", "/breakers/tool:mail.send/reset", `{"a":1}`, 400, "takes no body"},
		"reset of an unknown":    {"POST", "/breakers/tool:other/reset", "", 404, "there is no circuit breaker tool:other"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handler := api.NewHandler(api.Services{Breakers: circuits(t)}, slog.New(slog.DiscardHandler))
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), test.method, api.Prefix+test.path, strings.NewReader(test.body)))
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("got %d %s, want %d with %s", w.Code, w.Body, test.status, test.want)
			}
		})
	}
}

// TestBreakersInParts holds that a list read in parts has everything once.
func TestBreakersInParts(t *testing.T) {
	t.Parallel()
	r := circuits(t)
	var want []string
	for i := range 25 {
		name := fmt.Sprintf("tool:t%02d", i)
		if err := r.Do(t.Context(), name, func(context.Context) error { return nil }); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	want = append([]string{"tool:mail.send"}, want...)
	handler := api.NewHandler(api.Services{Breakers: r}, slog.New(slog.DiscardHandler))
	var got []string
	for cursor, parts := "", 0; parts == 0 || cursor != ""; parts++ {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet,
			api.Prefix+"/breakers?limit=10&cursor="+url.QueryEscape(cursor), nil))
		var part struct {
			Items      []gathering.Breaker `json:"items"`
			NextCursor string              `json:"next_cursor"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &part); err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
		for _, b := range part.Items {
			got = append(got, b.Name)
		}
		cursor = part.NextCursor
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestBreakersOverTheSocket(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, err := api.ServeControl(dir, api.Services{Breakers: circuits(t)}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	client := api.NewClient(dir)
	const host = "host:example.com:443"
	b, err := client.TripBreaker(t.Context(), host, api.TripOrder{Reason: "moving"})
	if err != nil || b.State != gathering.BreakerOpen || b.Reason != "moving" {
		t.Errorf("got %+v, %v, want it open", b, err)
	}
	list, err := client.Breakers(t.Context())
	if err != nil || len(list) != 2 || list[0].Name != host {
		t.Errorf("got %+v, %v, want both", list, err)
	}
	if b, err = client.ResetBreaker(t.Context(), host); err != nil || b.State != gathering.BreakerClosed {
		t.Errorf("got %+v, %v, want it closed", b, err)
	}
	if _, err := client.ResetBreaker(t.Context(), "tool:other"); gathering.KindOf(err) != gathering.KindNotFound {
		t.Errorf("got %v, want that there is none", err)
	}
}
