package breaker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/breaker"
	"gathering/internal/event"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
	"gathering/internal/tool"
)

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// instance is a registry on a database, until the test ends.
func instance(t *testing.T, db *store.DB, c *clock, o breaker.Options) *breaker.Registry {
	t.Helper()
	o.Now = c.Now
	r := breaker.New(o)
	r.Start(t.Context(), &breaker.Store{DB: db, Now: c.Now})
	t.Cleanup(r.Stop)
	return r
}

// told is an event of a history as tests compare it.
type told struct {
	Seq  int64
	Type gathering.EventType
	At   time.Duration // since noon
	gathering.BreakerChangedData
}

func history(t *testing.T, r *breaker.Registry, name string) []told {
	t.Helper()
	events, err := r.History(t.Context(), name, 100)
	if err != nil {
		t.Fatal(err)
	}
	var list []told
	for _, e := range events {
		one := told{Seq: e.Seq, Type: e.Type, At: e.At.Sub(newClock().now)}
		if err := json.Unmarshal(e.Data, &one.BreakerChangedData); err != nil {
			t.Fatal(err)
		}
		list = append(list, one)
	}
	return list
}

func at(d time.Duration) *time.Time {
	then := newClock().now.Add(d)
	return &then
}

const opened, closed = gathering.EventBreakerOpened, gathering.EventBreakerClosed

func TestInstancesSeeEachOther(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := newClock()
		a, b := instance(t, db, c, breaker.Options{}), instance(t, db, c, breaker.Options{})
		try(t, a, 5, errDown)
		state(t, a, host) // writes
		state(t, b, host) // looks
		refused(t, b, open(5, "30s"), 30*time.Second)

		// The call of one that gets through closes it for all.
		c.pass(30 * time.Second)
		try(t, b, 1, nil)
		state(t, b, host)
		if got := state(t, a, host).State; got != gathering.BreakerClosed {
			t.Errorf("after a call of the other got through it is %s, want closed", got)
		}
		if got := try(t, a, 2, nil); got != 2 {
			t.Errorf("%d calls were made, want 2", got)
		}

		// Both find it down at once: that is told once.
		try(t, a, 5, errDown)
		try(t, b, 5, errDown)
		state(t, a, host)
		state(t, b, host)
		c.pass(30 * time.Second)
		if got := try(t, a, 2, errDown) + try(t, b, 2, errDown); got != 2 {
			t.Errorf("%d calls were made while it was half open, want one by each", got)
		}
		want := []told{
			{1, opened, 0, gathering.BreakerChangedData{Reason: "5 failures in a row, the last: it cannot be reached", Failures: 5, Until: at(30 * time.Second)}},
			{2, closed, 30 * time.Second, gathering.BreakerChangedData{Reason: "a call got through"}},
			{3, opened, 30 * time.Second, gathering.BreakerChangedData{Reason: "5 failures in a row, the last: it cannot be reached", Failures: 5, Until: at(time.Minute)}},
			{4, opened, time.Minute, gathering.BreakerChangedData{Reason: "still failing: it cannot be reached", Failures: 6, Until: at(2 * time.Minute)}},
		}
		state(t, b, host)
		if diff := cmp.Diff(want, history(t, a, host)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}

		// One learns that the other opened it again, and for how long. Both find
		// it up at once: that is told once.
		c.pass(time.Minute)
		try(t, a, 1, errDown)
		state(t, a, host)
		state(t, b, host)
		refused(t, b, open(7, "2m0s"), 2*time.Minute)
		c.pass(2 * time.Minute)
		try(t, a, 1, nil)
		try(t, b, 1, nil)
		state(t, a, host)
		state(t, b, host)
		want = append(want,
			told{5, opened, 2 * time.Minute, gathering.BreakerChangedData{Reason: "still failing: it cannot be reached", Failures: 7, Until: at(4 * time.Minute)}},
			told{6, closed, 4 * time.Minute, gathering.BreakerChangedData{Reason: "a call got through"}})
		if diff := cmp.Diff(want, history(t, a, host)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

// TestEventsAreInTheFeed holds that a change is announced like that of any noun.
func TestEventsAreInTheFeed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := instance(t, db, newClock(), breaker.Options{})
		if _, err := r.Trip(t.Context(), host, "ada", "", time.Time{}); err != nil {
			t.Fatal(err)
		}
		feed, err := event.Feed(t.Context(), db.Read(), 0, 10)
		if err != nil || len(feed) != 1 {
			t.Fatalf("got %+v, %v, want one announcement", feed, err)
		}
		if diff := cmp.Diff([]event.Entry{{Stream: "breaker:" + host, First: 1, Last: 1}}, feed[0].Entries); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
	})
}

func TestTripAndReset(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := newClock()
		a, b := instance(t, db, c, breaker.Options{}), instance(t, db, c, breaker.Options{})
		got, err := a.Trip(t.Context(), "host:API.example.com", "ada", "they\nmove house", time.Time{})
		want := gathering.Breaker{Name: host, State: gathering.BreakerOpen, Since: at(0), Reason: "they move house", By: "ada"}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		const byHand = "the circuit of host api.example.com:443 was opened by hand (they move house); it stays so until it is reset"
		for _, r := range []*breaker.Registry{a, b} {
			state(t, r, host)
			refused(t, r, byHand, 30*time.Second)
		}
		c.pass(20 * time.Minute)
		refused(t, a, byHand, 5*time.Minute)
		c.pass(365 * 24 * time.Hour)
		refused(t, a, byHand, 15*time.Minute)

		if got, err = b.Reset(t.Context(), host, "bob"); err != nil || got.State != gathering.BreakerClosed || got.By != "bob" {
			t.Errorf("got %+v, %v, want it closed", got, err)
		}
		state(t, a, host)
		if made := try(t, a, 1, nil) + try(t, b, 1, nil); made != 2 {
			t.Errorf("%d calls were made after the reset, want 2", made)
		}
		// To reset it again changes nothing, and forgets the failures so far.
		try(t, b, 4, errDown)
		if _, err := b.Reset(t.Context(), host, "bob"); err != nil {
			t.Error(err)
		}
		if made := try(t, b, 4, errDown); made != 4 {
			t.Errorf("%d calls were made, want 4", made)
		}
		if got := len(history(t, a, host)); got != 2 {
			t.Errorf("%d events, want 2", got)
		}
	})
}

// What is logged of a breaker that stays open until it is reset names no time.
func TestTripIsLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	c := newClock()
	r := instance(t, storetest.Open(t, storetest.SQLite(t)), c, breaker.Options{
		Logger: slog.New(slog.NewJSONHandler(&log, nil)),
	})
	for _, test := range []struct {
		until time.Time
		want  any
	}{
		{time.Time{}, nil},
		{c.Now().Add(time.Hour), c.Now().Add(time.Hour).Format(time.RFC3339Nano)},
	} {
		log.Reset()
		if _, err := r.Trip(t.Context(), host, "ada", "they move house", test.until); err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(log.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got["msg"] != "circuit opened" || got["reason"] != "they move house" || got["until"] != test.want {
			t.Errorf("logged %s, want it open until %v", log.String(), test.want)
		}
	}
}

func TestTripUntil(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := newClock()
		r := instance(t, db, c, breaker.Options{})
		if _, err := r.Trip(t.Context(), host, "ada", "", c.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		refused(t, r, "the circuit of host api.example.com:443 was opened by hand; it lets a call through in 1h0m0s", 30*time.Second)
		c.pass(59*time.Minute + 50*time.Second)
		refused(t, r, "the circuit of host api.example.com:443 was opened by hand; it lets a call through in 10s", 10*time.Second)
		c.pass(10 * time.Second)
		if got := try(t, r, 2, errDown); got != 1 {
			t.Errorf("%d calls were made once its time was up, want 1", got)
		}
		refused(t, r, open(1, "30s"), 30*time.Second)
		c.pass(30 * time.Second)
		try(t, r, 1, nil)
		if got := state(t, r, host); got.State != gathering.BreakerClosed || got.By != "" {
			t.Errorf("got %+v, want it closed by a call", got)
		}
		types := []gathering.EventType{}
		for _, e := range history(t, r, host) {
			types = append(types, e.Type)
		}
		if diff := cmp.Diff([]gathering.EventType{opened, opened, closed}, types); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

// TestSomebodysWordOutweighsCalls holds that what calls make of a breaker is
// dropped where somebody opened it meanwhile elsewhere.
func TestSomebodysWordOutweighsCalls(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := newClock()
		a, b := instance(t, db, c, breaker.Options{}), instance(t, db, c, breaker.Options{})
		try(t, a, 5, errDown)
		state(t, a, host)
		state(t, b, host)
		c.pass(30 * time.Second)
		if _, err := a.Trip(t.Context(), host, "ada", "stop", time.Time{}); err != nil {
			t.Fatal(err)
		}
		try(t, b, 1, nil) // b does not know yet
		if got := state(t, b, host); got.State != gathering.BreakerOpen || got.By != "ada" {
			t.Errorf("got %+v, want it as ada left it", got)
		}
		if got := len(history(t, a, host)); got != 2 {
			t.Errorf("%d events, want 2", got)
		}
	})
}

func TestOrdersThatCannotBeCarriedOut(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := instance(t, storetest.Open(t, storetest.SQLite(t)), c, breaker.Options{})
	_, badName := r.Trip(t.Context(), "nonsense", "ada", "", time.Time{})
	_, past := r.Trip(t.Context(), host, "ada", "", c.Now())
	_, nobody := r.Trip(t.Context(), host, "", "", time.Time{})
	_, unknown := r.Reset(t.Context(), host, "ada")
	_, history := r.History(t.Context(), "nonsense", 1)
	_, alone := breaker.New(breaker.Options{}).Trip(t.Context(), host, "ada", "", time.Time{})
	for name, test := range map[string]struct {
		err  error
		want gathering.Kind
	}{
		"a name that is none": {badName, gathering.KindInvalid},
		"until the past":      {past, gathering.KindInvalid},
		"by nobody":           {nobody, gathering.KindInternal},
		"reset of nothing":    {unknown, gathering.KindNotFound},
		"history of nothing":  {history, gathering.KindInvalid},
		"without a database":  {alone, gathering.KindUnavailable},
	} {
		if got := gathering.KindOf(test.err); got != test.want {
			t.Errorf("%s: got %v, want %s", name, test.err, test.want)
		}
	}
	// One that is known by its calls alone can be reset.
	try(t, r, 4, errDown)
	if b, err := r.Reset(t.Context(), host, "ada"); err != nil || b.Failures != 0 {
		t.Errorf("got %+v, %v", b, err)
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		c := newClock()
		db := open(store.Options{})
		r := instance(t, db, c, breaker.Options{})
		try(t, r, 5, errDown)
		if _, err := r.Trip(t.Context(), "tool:mail.send", "ada", "", time.Time{}); err != nil {
			t.Fatal(err)
		}
		c.pass(30 * time.Second)
		try(t, r, 1, errDown)
		r.Stop()
		r.Stop()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}

		c.pass(20 * time.Second)
		r = instance(t, open(store.Options{}), c, breaker.Options{})
		refused(t, r, fmt.Sprintf("the circuit of host api.example.com:443 is open after 6 failures; it lets a call through in %s", "40s"), 40*time.Second)
		if err := r.Do(t.Context(), "tool:mail.send", returning(nil)); gathering.CodeOf(err) != gathering.CodeCircuitOpen {
			t.Errorf("got %v, want it open still", err)
		}
		// It is open for longer each time, as if it had never stopped.
		c.pass(40 * time.Second)
		try(t, r, 1, errDown)
		refused(t, r, "the circuit of host api.example.com:443 is open after 7 failures; it lets a call through in 2m0s", 2*time.Minute)
	})
}

// TestClocksThatDiffer holds that no other instance's clock, and none that is
// set back, keeps a breaker open for longer than 5 min.
func TestClocksThatDiffer(t *testing.T) {
	t.Parallel()
	ahead, c := newClock(), newClock()
	ahead.pass(24 * time.Hour)
	db := storetest.Open(t, storetest.SQLite(t))
	a := instance(t, db, ahead, breaker.Options{})
	try(t, a, 5, errDown)
	state(t, a, host)
	b := instance(t, db, c, breaker.Options{})
	refused(t, b, open(5, "5m0s"), 5*time.Minute)
	c.pass(5 * time.Minute)
	if got := try(t, b, 2, nil); got != 2 {
		t.Errorf("%d calls were made after 5 min, want 2", got)
	}
	try(t, a, 5, errDown)
	ahead.pass(-24 * time.Hour)
	refused(t, a, open(5, "5m0s"), 5*time.Minute)
}

// TestNewsTravels holds that instances that nobody asks anything learn of each
// other's breakers.
func TestNewsTravels(t *testing.T) {
	t.Parallel()
	var bell event.Bell
	for name, o := range map[string]breaker.Options{
		"by looking": {Interval: time.Millisecond},
		"by ringing": {Bell: &bell, Interval: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				c := newClock()
				a, b := instance(t, db, c, o), instance(t, db, c, o)
				try(t, a, 5, errDown)
				until(t, func() bool {
					return gathering.CodeOf(b.Do(t.Context(), host, returning(nil))) == gathering.CodeCircuitOpen
				})
				if _, err := b.Reset(t.Context(), host, "ada"); err != nil {
					t.Fatal(err)
				}
				until(t, func() bool { return a.Do(t.Context(), host, returning(nil)) == nil })
			})
		})
	}
}

// until waits until something holds.
func until(t *testing.T, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(20 * time.Second); !holds(); {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal("waited in vain")
		}
	}
}

// TestWithoutTheDatabase holds that breakers go on while nothing can be
// written, and that what happened meanwhile is written afterwards.
func TestWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, open func(store.Options) *store.DB) {
		var away, ambiguous atomic.Bool
		db := open(store.Options{Commit: func(_ context.Context, commit func() error) error {
			if away.Load() {
				return errors.New("the line is cut")
			}
			if err := commit(); err != nil {
				return err
			}
			if ambiguous.Swap(false) {
				return errors.New("the answer is lost")
			}
			return nil
		}})
		c := newClock()
		r := instance(t, db, c, breaker.Options{})
		away.Store(true)
		for i := range 3 {
			try(t, r, 5, errDown)
			if got := try(t, r, 1, nil); got != 0 {
				t.Fatalf("round %d: a call was made", i)
			}
			c.pass(30 * time.Second)
			if got := try(t, r, 1, nil); got != 1 {
				t.Fatalf("round %d: no call was made", i)
			}
		}
		if _, err := r.Trip(t.Context(), host, "ada", "", time.Time{}); err == nil {
			t.Error("a trip that is not written was accepted")
		}
		if got := history(t, instance(t, db, c, breaker.Options{}), host); got != nil {
			t.Errorf("history without a database: %+v", got)
		}
		try(t, r, 5, errDown)
		ambiguous.Store(true) // the first change is written and nobody hears of it
		away.Store(false)
		until(t, func() bool { state(t, r, host); return len(history(t, r, host)) == 7 })
		for i, e := range history(t, r, host) {
			want := []gathering.EventType{opened, closed}[i%2]
			if e.Seq != int64(i+1) || e.Type != want {
				t.Errorf("event %d is %d %s, want %s", i+1, e.Seq, e.Type, want)
			}
		}
		refused(t, instance(t, db, c, breaker.Options{}), "the circuit of host api.example.com:443 is open after 5 failures; it lets a call through in 30s", 30*time.Second)
	})
}

// TestChangesThatWaitAreBounded holds that the newest are kept.
func TestChangesThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	where := storetest.SQLite(t)
	where.Commit = func(_ context.Context, commit func() error) error {
		if away.Load() {
			return errors.New("the line is cut")
		}
		return commit()
	}
	db, c := storetest.Open(t, where), newClock()
	r := instance(t, db, c, breaker.Options{})
	away.Store(true)
	for range 700 { // each opens it and closes it
		try(t, r, 5, errDown)
		c.pass(30 * time.Second)
		try(t, r, 1, nil)
	}
	away.Store(false)
	state(t, r, host)
	events, err := r.History(t.Context(), host, 10_000)
	if err != nil || len(events) != 1000 {
		t.Fatalf("%d events, %v, want 1000", len(events), err)
	}
	// One more may have been under way when it had to give way.
	if last := events[999]; !last.At.Equal(c.Now()) || last.Seq > 1001 {
		t.Errorf("the last is %d of %s, want 1000 of %s", last.Seq, last.At, c.Now())
	}
}

// counting is a tool whose calls end with an error that tests choose.
type counting struct {
	calls int
	err   error
}

func (c *counting) Spec() gathering.ToolSpec { return gathering.ToolSpec{Name: "mail.send"} }

func (c *counting) Repeatable(arguments json.RawMessage) bool { return string(arguments) == `"again"` }

func (c *counting) Call(_ context.Context, call tool.Call) (json.RawMessage, error) {
	c.calls++
	return call.Arguments, c.err
}

func TestSwitchedTools(t *testing.T) {
	t.Parallel()
	const name = "tool:mail.send"
	c := newClock()
	r := instance(t, storetest.Open(t, storetest.SQLite(t)), c, breaker.Options{})
	mail := &counting{err: errDown}
	made := r.Switched(mail)
	call := func() error {
		_, err := made.Call(t.Context(), tool.Call{})
		return err
	}
	for range 100 {
		if err := call(); !errors.Is(err, errDown) {
			t.Fatalf("got %v: it counts", err)
		}
	}
	if _, err := r.Trip(t.Context(), "tool:other", "ada", "", time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := call(); !errors.Is(err, errDown) {
		t.Errorf("got %v, want that of the call", err)
	}
	if _, err := r.Trip(t.Context(), name, "ada", "", c.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := call(); gathering.CodeOf(err) != gathering.CodeCircuitOpen || mail.calls != 101 {
		t.Errorf("got %v after %d calls, want it refused", err, mail.calls)
	}
	c.pass(time.Hour)
	if err := call(); !errors.Is(err, errDown) {
		t.Errorf("got %v, want that of the call", err)
	}
	if got := state(t, r, name).State; got != gathering.BreakerClosed {
		t.Errorf("it is %s once its time is up and a call was made, want closed", got)
	}
}

func TestGuardedTools(t *testing.T) {
	t.Parallel()
	r := breaker.New(breaker.Options{})
	mail := &counting{}
	made := r.Guarded(mail)
	if got, err := made.Call(t.Context(), tool.Call{Arguments: json.RawMessage(`{"to":"ada"}`)}); err != nil || string(got) != `{"to":"ada"}` {
		t.Errorf("got %s, %v, want the tool's own result", got, err)
	}
	if diff := cmp.Diff(mail.Spec(), made.Spec()); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	mail.err = errDown
	for range 10 {
		got, err := made.Call(t.Context(), tool.Call{Arguments: json.RawMessage("{}")})
		if open := gathering.CodeOf(err) == gathering.CodeCircuitOpen; err == nil || open && got != nil {
			t.Errorf("got %s, %v", got, err)
		}
	}
	if mail.calls != 6 {
		t.Errorf("%d calls were made, want 6", mail.calls)
	}
}

func TestOpenReadsTheDatabaseAlone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		c := newClock()
		r := instance(t, db, c, breaker.Options{})
		try(t, r, 5, errDown)
		c.pass(time.Second)
		if _, err := r.Trip(t.Context(), "tool:mail.send", "ada", "why not", time.Time{}); err != nil {
			t.Fatal(err)
		}
		c.pass(time.Minute)
		got, err := (&breaker.Store{DB: db, Now: c.Now}).Open(t.Context())
		want := []gathering.Breaker{
			{Name: "tool:mail.send", State: gathering.BreakerOpen, Since: at(time.Second), Reason: "why not", By: "ada"},
			{Name: host, State: gathering.BreakerHalfOpen, Since: at(0), Until: at(30 * time.Second), Failures: 5, Reason: "5 failures in a row, the last: it cannot be reached"},
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}
