package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// counting is a service that numbers every request it hears, remembers which
// of them it acted on, and misbehaves now and then.
//
// The address of a request is /RUN/NODE or /RUN/NODE/ITEM. A request under an
// Idempotency-Key that it acted on already is answered and not acted on again.
type counting struct {
	server *httptest.Server
	held   chan struct{} // closed: nobody is held any more

	mu     sync.Mutex
	random *rand.Rand
	fine   int // requests since it last misbehaved
	calls  []heard
	acted  map[string]int // by call and key: the request that was acted on
}

// heard is one request, whose number is its place in the list, from 1.
type heard struct {
	call string // RUN/NODE or RUN/NODE/ITEM
	key  string // Idempotency-Key; "" is none
	how  manner
}

// manner is how a request is dealt with.
type manner int

const (
	answers manner = iota
	answersLate
	refuses     // says 503 and has not acted
	dropsBefore // breaks the connection and has not acted
	dropsAfter  // acts and breaks the connection
	holds       // acts and says nothing until all are let go
)

// between is how many requests it deals with in a good manner between two that
// it does not, so that nobody's circuit breaker opens.
const between = 5

func newCounting(t testing.TB, seed uint64) *counting {
	t.Helper()
	c := &counting{random: rand.New(rand.NewPCG(seed, 1)), acted: map[string]int{}, held: make(chan struct{})}
	c.server = httptest.NewServer(c)
	t.Cleanup(c.server.Close)
	t.Cleanup(c.letGo)
	return c
}

// letGo answers those who are held, and holds nobody any more.
func (c *counting) letGo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.held:
	default:
		close(c.held)
	}
}

// ServeHTTP implements [http.Handler].
func (c *counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // who is killed sends no more of it
	n, how, late := c.hear(r)
	switch how {
	case refuses:
		http.Error(w, fmt.Sprintf("call %d is refused", n), http.StatusServiceUnavailable)
		return
	case dropsBefore, dropsAfter:
		panic(http.ErrAbortHandler)
	case answersLate:
		wait(r, time.After(late))
	case holds:
		wait(r, c.held)
	default:
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"call":%d}`, n)
}

// wait waits for an event or until whoever asks is gone.
func wait[T any](r *http.Request, event <-chan T) {
	select {
	case <-event:
	case <-r.Context().Done():
	}
}

// hear numbers a request and, where it is to be acted on, acts.
func (c *counting) hear(r *http.Request) (n int, how manner, late time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := heard{call: strings.Trim(r.URL.Path, "/"), key: r.Header.Get("Idempotency-Key"), how: c.manner(r)}
	c.calls = append(c.calls, h)
	n = len(c.calls)
	if h.how != refuses && h.how != dropsBefore && c.acted[called(r)] == 0 {
		c.acted[called(r)] = n
	}
	return n, h.how, time.Duration(20+c.random.IntN(100)) * time.Millisecond
}

// called is a call and the key under which it is made.
func called(r *http.Request) string {
	return strings.Trim(r.URL.Path, "/") + " " + r.Header.Get("Idempotency-Key")
}

// manner chooses how a request is dealt with.
func (c *counting) manner(r *http.Request) manner {
	if strings.Contains(r.URL.Path, "held") {
		select {
		case <-c.held:
			return answers
		default:
			return holds
		}
	}
	if strings.Contains(r.URL.Path, "quick") {
		return answers
	}
	c.fine++
	if bad := c.random.IntN(100); bad < 20 && c.fine > between {
		c.fine = 0
		how := []manner{refuses, refuses, dropsBefore, dropsAfter, dropsAfter}[bad%5]
		if how == refuses && c.acted[called(r)] > 0 {
			return answers // it looks a key up before it refuses what comes under it
		}
		return how
	}
	if c.random.IntN(100) < 15 {
		return answersLate
	}
	return answers
}

// count is how many requests were heard.
func (c *counting) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.calls)
}

// of returns the numbers of the requests of one call, in order.
func (c *counting) of(call string) []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var numbers []int
	for i, h := range c.calls {
		if h.call == call {
			numbers = append(numbers, i+1)
		}
	}
	return numbers
}

// ledger is everything a service heard, by call.
type ledger map[string]*account

// account is what a service heard of one call.
type account struct {
	requests []int          // their numbers
	keys     map[string]int // how many requests came under each key
	order    []string       // the keys as they first came
	acted    int            // how many times it was acted on
	last     int            // the last request that was acted on
}

func (c *counting) ledger() ledger {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := ledger{}
	for i, h := range c.calls {
		a := l.account(h.call)
		a.requests = append(a.requests, i+1)
		if a.keys[h.key] == 0 {
			a.order = append(a.order, h.key)
		}
		a.keys[h.key]++
	}
	for call, n := range c.acted {
		name, _, _ := strings.Cut(call, " ")
		a := l.account(name)
		a.acted++
		a.last = max(a.last, n)
	}
	return l
}

func (l ledger) account(call string) *account {
	if l[call] == nil {
		l[call] = &account{keys: map[string]int{}}
	}
	return l[call]
}
