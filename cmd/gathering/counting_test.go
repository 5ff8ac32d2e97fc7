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

	mu      sync.Mutex
	random  *rand.Rand
	fine    int // requests since it last misbehaved
	calls   []heard
	holding int            // requests that were held since somebody asked
	acted   map[string]int // by call and key: the request that was acted on
}

// heard is one request, whose number is its place in the list, from 1.
type heard struct {
	call string // RUN/NODE or RUN/NODE/ITEM
	key  string // Idempotency-Key; "" is none
	how  manner
	late time.Duration // of its answer, where that is late
	held chan struct{} // closed when it is let go, where it is held
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

func newCounting(tb testing.TB, seed uint64) *counting {
	tb.Helper()
	c := &counting{random: rand.New(rand.NewPCG(seed, 1)), acted: map[string]int{}, held: make(chan struct{})}
	c.server = httptest.NewServer(c)
	tb.Cleanup(c.server.Close)
	tb.Cleanup(c.letGo)
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

// hold holds those who come from now on, until they are let go.
func (c *counting) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held, c.holding = make(chan struct{}), 0
}

// heldSince is how many requests were held since they were forgotten.
func (c *counting) heldSince() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.holding
}

func (c *counting) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holding = 0
}

// ServeHTTP implements [http.Handler].
func (c *counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // who is killed sends no more of it
	n, h := c.hear(r)
	switch h.how {
	case refuses:
		http.Error(w, fmt.Sprintf("call %d is refused", n), http.StatusServiceUnavailable)
		return
	case dropsBefore, dropsAfter:
		panic(http.ErrAbortHandler)
	case answersLate:
		wait(r, time.After(h.late))
	case holds:
		wait(r, h.held)
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
func (c *counting) hear(r *http.Request) (int, heard) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := heard{call: strings.Trim(r.URL.Path, "/"), key: r.Header.Get("Idempotency-Key"), how: c.manner(r), held: c.held}
	h.late = time.Duration(20+c.random.IntN(100)) * time.Millisecond
	c.calls = append(c.calls, h)
	n := len(c.calls)
	if h.how != refuses && h.how != dropsBefore && c.acted[called(r)] == 0 {
		c.acted[called(r)] = n
	}
	if h.how == holds {
		c.holding++
	}
	return n, h
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
		return []manner{refuses, refuses, dropsBefore, dropsAfter, dropsAfter}[bad%5]
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
