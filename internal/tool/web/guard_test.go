package web_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gathering"
	"gathering/internal/breaker"
	"gathering/internal/safedial"
	"gathering/internal/tool"
	"gathering/internal/tool/web"
)

// watch is a time that tests move.
type watch struct {
	mu  sync.Mutex
	now time.Time
}

func (w *watch) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *watch) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// guardedBy is the tool with circuit breakers.
func guardedBy(t *testing.T, r *breaker.Registry) tool.Tool {
	t.Helper()
	tools, err := web.All(web.Options{
		Network: safedial.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}},
		Guard:   r,
	})
	if err != nil {
		t.Fatal(err)
	}
	return tools[0]
}

func (w *watch) registry() *breaker.Registry { return breaker.New(breaker.Options{Now: w.Now}) }

// failures is how many calls in a row have failed by what a registry knows of a
// server, or -1 where it knows nothing.
func failures(t *testing.T, r *breaker.Registry, name string) int {
	t.Helper()
	for _, b := range r.List(t.Context()) {
		if b.Name == name {
			return b.Failures
		}
	}
	return -1
}

func TestCircuitOfAHost(t *testing.T) {
	t.Parallel()
	var calls, status atomic.Int64
	status.Store(http.StatusServiceUnavailable)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(int(status.Load()))
	})
	clock := &watch{now: time.Unix(1e9, 0)}
	made := guardedBy(t, clock.registry())
	for range 5 {
		_, err := requestAs(t, made, tool.Call{}, arguments{"url": s.URL})
		want{kind: gathering.KindUnavailable, text: "GET to " + host(s) + " was answered 503 Service Unavailable"}.check(t, err)
	}
	for _, method := range []string{"GET", "POST"} {
		_, err := requestAs(t, made, tool.Call{}, arguments{"method": method, "url": s.URL})
		want{
			kind: gathering.KindUnavailable, code: gathering.CodeCircuitOpen,
			text: "the circuit of host " + host(s) + " is open after 5 failures; it lets a call through in 30s",
		}.check(t, err)
		if got := gathering.RetryAfter(err); got < 30*time.Second || got > 34*time.Second {
			t.Errorf("%s is to be asked again after %s, want 30s and a little", method, got)
		}
	}
	if got := calls.Load(); got != 5 {
		t.Errorf("the server saw %d calls, want 5", got)
	}
	other := serve(t, func(http.ResponseWriter, *http.Request) {})
	if _, err := requestAs(t, made, tool.Call{}, arguments{"url": other.URL}); err != nil {
		t.Errorf("another host: %v", err)
	}

	clock.pass(30 * time.Second)
	for range 3 {
		_, _ = requestAs(t, made, tool.Call{}, arguments{"url": s.URL})
	}
	if got := calls.Load(); got != 6 {
		t.Errorf("the server saw %d calls, want one more while half open", got)
	}
	clock.pass(time.Minute)
	status.Store(http.StatusNoContent)
	for range 3 {
		if _, err := requestAs(t, made, tool.Call{}, arguments{"url": s.URL}); err != nil {
			t.Error(err)
		}
	}
	if got := calls.Load(); got != 9 {
		t.Errorf("the server saw %d calls, want all once one got through", got)
	}
}

// TestWhatAHostIsBlamedFor holds which answers count as failures.
func TestWhatAHostIsBlamedFor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		with   arguments
		want   int
	}{
		"success":               {200, arguments{}, 0},
		"nothing there":         {404, arguments{}, 0},
		"wrong":                 {400, arguments{"method": "POST"}, 0},
		"forbidden":             {403, arguments{}, 0},
		"not made for it":       {501, arguments{}, 0},
		"too often":             {429, arguments{}, 1},
		"broken":                {500, arguments{}, 1},
		"broken, not repeated":  {500, arguments{"method": "POST"}, 1},
		"a gateway":             {502, arguments{"method": "POST"}, 1},
		"overloaded":            {503, arguments{}, 1},
		"a slow gateway":        {504, arguments{}, 1},
		"overloaded, own words": {529, arguments{}, 1},
		"expected":              {503, arguments{"expect_status": []int{200, 503}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(test.status) })
			r := breaker.New(breaker.Options{})
			test.with["url"] = s.URL
			_, _ = requestAs(t, guardedBy(t, r), tool.Call{}, test.with)
			if got := failures(t, r, "host:"+host(s)); got != test.want {
				t.Errorf("%d failures, want %d", got, test.want)
			}
		})
	}
}

func TestHostsThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	hang := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for name, test := range map[string]struct {
		url, timeout string
		want         int
	}{
		"nobody listens":      {"http://" + closed(t), "10s", 1},
		"it hangs":            {hang.URL, "1100ms", 1},
		"its caller is hasty": {hang.URL, "50ms", 0},
		"it is not reached":   {"http://10.0.0.1:80", "10s", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := breaker.New(breaker.Options{})
			if _, err := requestAs(t, guardedBy(t, r), tool.Call{}, arguments{"url": test.url, "timeout": test.timeout}); err == nil {
				t.Error("there was an answer")
			}
			address, err := url.Parse(test.url)
			if err != nil {
				t.Fatal(err)
			}
			if got := failures(t, r, breaker.Host(address)); got != test.want {
				t.Errorf("%d failures, want %d", got, test.want)
			}
		})
	}
}

// TestRedirectsPassTheGuardOfEachHost holds that a host is blamed for itself
// alone, and that one whose circuit is open is not led to.
func TestRedirectsPassTheGuardOfEachHost(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	behind := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusBadGateway)
	})
	front := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, behind.URL, http.StatusSeeOther) })
	r := breaker.New(breaker.Options{})
	made := guardedBy(t, r)
	for range 7 {
		_, err := requestAs(t, made, tool.Call{}, arguments{"url": front.URL})
		if gathering.KindOf(err) != gathering.KindUnavailable {
			t.Errorf("got %v, want unavailable", err)
		}
	}
	if got := calls.Load(); got != 5 {
		t.Errorf("the host behind saw %d calls, want 5", got)
	}
	if got := failures(t, r, "host:"+host(front)); got != 0 {
		t.Errorf("the host in front is blamed %d times", got)
	}
	_, err := requestAs(t, made, tool.Call{}, arguments{"method": "POST", "url": front.URL})
	if gathering.CodeOf(err) != unknown {
		t.Errorf("got %v, want an unknown outcome: the host in front was called", err)
	}
}
