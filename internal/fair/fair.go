// Package fair shares things out between those who want some.
package fair

import "maps"

// Turns remembers who has how many of what is shared out and who had a turn
// last. It belongs to one goroutine at a time.
type Turns[K comparable] struct {
	held   map[K]int
	served map[K]int64 // when it last got one, counted in things; absent is long ago
	count  int64
}

// New returns turns that nobody had yet.
func New[K comparable]() Turns[K] {
	return Turns[K]{held: make(map[K]int), served: make(map[K]int64)}
}

// Clone returns a copy that goes on by itself.
func (t *Turns[K]) Clone() Turns[K] {
	return Turns[K]{held: maps.Clone(t.held), served: maps.Clone(t.served), count: t.count}
}

// Take notes that who got one.
func (t *Turns[K]) Take(who K) {
	t.held[who]++
	t.count++
	t.served[who] = t.count
}

// Leave notes that who gave one back.
func (t *Turns[K]) Leave(who K) {
	if t.held[who]--; t.held[who] <= 0 {
		delete(t.held, who)
	}
}

// Forget drops when those had their turns who want nothing now.
func (t *Turns[K]) Forget(wants func(who K) bool) {
	maps.DeleteFunc(t.served, func(who K, _ int64) bool { return !wants(who) })
}

// Share shares out n things, each to whom has the fewest by then, among equals
// to whom waited for one the longest. It returns how many each is to get.
func (t *Turns[K]) Share(who []K, n int) []int {
	shares := make([]int, len(who))
	if len(who) == 0 {
		return shares
	}
	last := make([]int64, len(who))
	for i, k := range who {
		last[i] = t.served[k]
	}
	for turn := t.count + 1; turn <= t.count+int64(n); turn++ {
		next := 0
		for i, k := range who {
			has, least := t.held[k]+shares[i], t.held[who[next]]+shares[next]
			if has < least || has == least && last[i] < last[next] {
				next = i
			}
		}
		shares[next]++
		last[next] = turn
	}
	return shares
}
