package httpx_test

import (
	"fmt"
	"sync"
	"testing"

	"gathering/internal/httpx"
)

func TestGate(t *testing.T) {
	t.Parallel()
	g := httpx.NewGate(3, 2)
	enter := func(key string, want bool) func() {
		t.Helper()
		leave, ok := g.Enter(key)
		if ok != want {
			t.Errorf("%s: entered: %t, want %t", key, ok, want)
		}
		return leave
	}
	first := enter("ada", true)
	enter("ada", true)
	refused := enter("ada", false)
	enter("bob", true)
	enter("eve", false)
	refused() // who has no place leaves none
	enter("eve", false)
	first()
	first() // once is enough
	last := enter("eve", true)
	enter("ada", false)
	last()
	enter("ada", true)
	enter("ada", false)
}

func TestGateUnderLoad(t *testing.T) {
	t.Parallel()
	g := httpx.NewGate(10, 3)
	var (
		streams sync.WaitGroup
		mu      sync.Mutex
		open    = map[string]int{}
		all     int
	)
	count := func(key string, by int) {
		mu.Lock()
		defer mu.Unlock()
		open[key] += by
		if all += by; all > 10 || open[key] > 3 {
			t.Errorf("%d streams are open, %d of %s", all, open[key], key)
		}
	}
	for i := range 40 {
		streams.Go(func() {
			key := fmt.Sprint(i % 8)
			for range 1000 {
				if leave, ok := g.Enter(key); ok {
					count(key, 1)
					count(key, -1)
					leave()
				}
			}
		})
	}
	streams.Wait()
	for i := range 11 {
		if _, ok := g.Enter(fmt.Sprint("late ", i)); ok != (i < 10) {
			t.Errorf("entered as number %d afterwards: %t", i+1, ok)
		}
	}
}
