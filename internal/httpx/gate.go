package httpx

import "sync"

// Gate bounds how many streams are open at once, in all and by key. It holds
// one entry for each key that has a stream open.
type Gate struct {
	total, each int

	mu   sync.Mutex
	all  int
	open map[string]int
}

// NewGate returns a gate that lets total streams be open, of them each at most
// of one key.
func NewGate(total, each int) *Gate {
	return &Gate{total: total, each: each, open: map[string]int{}}
}

// Enter takes a place for a stream of the key, which is a user or a [Bucket],
// if there is one. Call leave when the stream has ended; once is enough.
func (g *Gate) Enter(key string) (leave func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all >= g.total || g.open[key] >= g.each {
		return func() {}, false
	}
	g.all++
	g.open[key]++
	return sync.OnceFunc(func() { g.leave(key) }), true
}

func (g *Gate) leave(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all--
	if g.open[key]--; g.open[key] == 0 {
		delete(g.open, key)
	}
}
