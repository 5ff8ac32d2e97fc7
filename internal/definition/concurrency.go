package definition

import (
	"cmp"

	"gathering"
)

// MaxConcurrency is the highest bound on how many runs are under way at once.
const MaxConcurrency = 10_000

// concurrency reads the bound on how many runs are under way at once.
func (l *loader) concurrency(v *value) {
	at := place{"concurrency", v.line}
	if !l.object(at, v, "a mapping such as {max: 1}") {
		return
	}
	l.unknown(at, v, []string{"key", "max"}, "a concurrency")
	if !v.has("key") && !v.has("max") {
		l.add(at, "says nothing", "write {max: 1}, or a key that some runs share")
	}
	bound := gathering.Concurrency{Max: 1}
	if key := v.member("key"); !key.absent() {
		bound.Key, _ = l.text(at.in("key", key.line), key, MaxText)
		l.key = key
	}
	if highest := v.member("max"); !highest.absent() {
		bound.Max = cmp.Or(l.whole(at.in("max", highest.line), highest, [2]int{1, MaxConcurrency}), 1)
	}
	l.def.Concurrency = &bound
}
