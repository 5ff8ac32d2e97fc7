package event_test

import (
	"testing"

	"gathering/internal/event"
)

func TestEnds(t *testing.T) {
	t.Parallel()
	over := func(e *event.End) bool {
		select {
		case <-e.Over():
			return true
		default:
			return false
		}
	}
	var ends event.Ends
	ends.Tell("nothing")
	ends.Drop("nothing")
	if ends.Of("nothing") != nil {
		t.Error("an end is expected of what nobody named")
	}
	ends.Expect("a")
	ends.Expect("b")
	ends.Expect("c")
	a, again, b := ends.Of("a"), ends.Of("a"), ends.Of("b")
	if over(a) || over(b) {
		t.Error("what is expected is over")
	}
	ends.Tell("a")
	ends.Drop("a") // comes too late
	ends.Drop("b")
	ends.Tell("c") // nobody waits
	if !over(a) || !over(again) || !a.Ended() || !again.Ended() {
		t.Error("an end that was told is not heard by all")
	}
	if !over(b) || b.Ended() {
		t.Error("what was dropped has ended")
	}
	for _, what := range []string{"a", "b", "c"} {
		if ends.Of(what) != nil {
			t.Errorf("%s is still expected", what)
		}
	}
}
