package breaker

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"gathering/internal/event"
)

// MaxNames is how many breakers a registry keeps in memory. When there are
// more, it forgets a closed one, that which was used least lately, or where
// all are open such a one of those.
const MaxNames = 10_000

// Options say how a registry works. The zero value works.
type Options struct {
	Limits Limits
	Names  int // how many breakers are kept in memory; MaxNames
	// Interval is how often a registry that was started looks for what other
	// instances wrote. Default 1 s on PostgreSQL. On SQLite, where there are no
	// others, it looks only when it was rung for.
	Interval time.Duration
	// Bell is rung for [Topic] after something was written, and listened to.
	// Nil is none.
	Bell   *event.Bell
	Logger *slog.Logger     // of what opens and closes; default nobody
	Now    func() time.Time // time.Now
}

// Topic is what the bell is rung for when a breaker was opened or closed.
const Topic = "breakers"

// Registry is the breakers of an instance. It may be used by many goroutines
// at once, before it is started and after it was stopped as well: it then
// judges for itself alone.
type Registry struct {
	limits   Limits
	names    int
	interval time.Duration
	bell     *event.Bell
	logger   *slog.Logger
	now      func() time.Time

	unclosed atomic.Int64 // how many are not closed

	// turn is held while reading or writing the database, so that nothing that
	// was read is older than what was written.
	turn chan struct{}
	news chan struct{} // something waits to be written

	mu             sync.Mutex
	closed, opened *simplelru.LRU[string, *circuit] // by name, each in one of them
	store          *Store                           // nil while it is not started
	stop           func()                           // likewise
	waiting        []row                            // to be written, the oldest first
}

// New returns a registry of breakers that are all closed.
func New(o Options) *Registry {
	r := &Registry{
		limits: o.Limits.withDefaults(), names: cmp.Or(o.Names, MaxNames), interval: o.Interval,
		bell: o.Bell, logger: o.Logger, now: o.Now,
		turn: make(chan struct{}, 1), news: make(chan struct{}, 1),
	}
	if r.logger == nil {
		r.logger = slog.New(slog.DiscardHandler)
	}
	if r.now == nil {
		r.now = time.Now
	}
	r.closed, r.opened = newLRU(r.names), newLRU(r.names)
	return r
}

// newLRU never evicts by itself: the registry sees to the size of both of its.
func newLRU(names int) *simplelru.LRU[string, *circuit] {
	lru, err := simplelru.NewLRU[string, *circuit](names+2, nil)
	if err != nil {
		panic(fmt.Sprintf("make a cache of %d names: %v", names, err)) // names is not positive
	}
	return lru
}

// Do makes a call unless the breaker of that name is open, and notes how it
// ends. A call that is refused was not made: the error is
// unavailable with the code circuit_open and the delay
// after which to ask again. Otherwise it is that of the call, as it is.
//
// Failures are errors of the kinds unavailable, timeout, exhausted and
// internal, unknown outcomes, and panics, which go on. A call that its caller
// ended or that another breaker refused says nothing, nor does one that was
// forbidden. Every other error is an answer and as good as a success.
func (r *Registry) Do(ctx context.Context, name string, call func(ctx context.Context) error) error {
	p, err := r.admit(name)
	if err != nil {
		return err
	}
	o := outcome{verdict: failing, text: "it panicked"}
	defer func() { r.record(p, o) }()
	err = call(ctx)
	o = r.limits.judge(ctx, err, r.now().Sub(p.begun))
	return err
}

func (r *Registry) admit(name string) (permit, error) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.find(name)
	if !ok {
		canonical, err := Name(name)
		if err != nil {
			return permit{}, err
		}
		c = r.circuit(canonical)
	}
	p, refused := c.admit(now)
	if refused != nil {
		return permit{}, refused.err()
	}
	return p, nil
}

func (r *Registry) record(p permit, o outcome) {
	if made := r.recorded(p, o); made != nil {
		r.tell(*made)
	}
}

func (r *Registry) recorded(p permit, o outcome) *row {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	made := p.circuit.record(p, o, now)
	if made != nil {
		r.keep(p.circuit)
		r.enqueue(*made)
	}
	return made
}

func (r *Registry) tell(b row) {
	about := []any{slog.String("breaker", b.name), slog.String("reason", b.reason)}
	if !b.open {
		r.logger.Info("circuit closed", about...)
		return
	}
	if !b.until.IsZero() {
		about = append(about, slog.Time("until", b.until))
	}
	r.logger.Warn("circuit opened", about...)
}

// find returns the circuit of a name as it is kept, and makes it the one that
// was used last.
func (r *Registry) find(name string) (*circuit, bool) {
	if c, ok := r.closed.Get(name); ok {
		return c, true
	}
	return r.opened.Get(name)
}

// circuit is find, and makes a circuit where there is none.
func (r *Registry) circuit(name string) *circuit {
	c, ok := r.find(name)
	if !ok {
		c = &circuit{row: row{name: name}, limits: &r.limits}
		r.keep(c)
	}
	return c
}

// keep puts a circuit where it belongs by its state.
func (r *Registry) keep(c *circuit) {
	to, from := r.closed, r.opened
	if c.open {
		to, from = from, to
	}
	from.Remove(c.name)
	to.Add(c.name, c)
	for r.closed.Len()+r.opened.Len() > r.names {
		if _, _, ok := r.closed.RemoveOldest(); !ok {
			r.opened.RemoveOldest()
		}
	}
	r.unclosed.Store(int64(r.opened.Len()))
}
