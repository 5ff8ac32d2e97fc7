package safedial_test

import (
	"net/http"
	"testing"
	"time"

	"gathering/internal/safedial"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"": 0, "2": 2 * time.Second, "0.5": 500 * time.Millisecond, "-3": 0, "soon": 0, "1e99": 24 * time.Hour, "NaN": 0, "Inf": 24 * time.Hour,
		"Mon, 02 Jan 2006 15:05:00 GMT": 55 * time.Second, "Mon, 02 Jan 2006 15:00:00 GMT": 0,
		"Mon, 02 Jan 2106 15:05:00 GMT": 24 * time.Hour,
	} {
		header := http.Header{"Retry-After": {value}, "Date": {"Mon, 02 Jan 2006 15:04:05 GMT"}}
		if got := safedial.RetryAfter(header); got != want {
			t.Errorf("%q: got %s, want %s", value, got, want)
		}
	}
	if got := safedial.RetryAfter(http.Header{"Retry-After": {"Mon, 02 Jan 2006 15:05:00 GMT"}}); got != 0 {
		t.Errorf("got %s for a time without the answer's own, want none", got)
	}
}
