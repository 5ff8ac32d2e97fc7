package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/breaker"
	"gathering/internal/store/storetest"
	"gathering/internal/tool"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const host = "host:api.example.com:443"

var (
	errDown = gathering.NewError(gathering.KindUnavailable, "it cannot be reached")
	errOdd  = gathering.NewError(gathering.KindInvalid, "it was asked for nonsense")
)

// returning is a call that ends with err.
func returning(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

// try makes n calls that end with err and returns how many of them were made.
func try(t *testing.T, r *breaker.Registry, n int, err error) int {
	t.Helper()
	made := 0
	for range n {
		got := r.Do(t.Context(), host, func(context.Context) error { made++; return err })
		if gathering.CodeOf(got) != gathering.CodeCircuitOpen && !errors.Is(got, err) {
			t.Errorf("a call that ended with %v returned %v", err, got)
		}
	}
	return made
}

// refused holds that a call is refused with the text, to be asked again after
// the time given and a tenth of it at most.
func refused(t *testing.T, r *breaker.Registry, text string, after time.Duration) {
	t.Helper()
	err := r.Do(t.Context(), host, func(context.Context) error { t.Error("an open circuit let a call through"); return nil })
	want := &gathering.Failure{Kind: gathering.KindUnavailable, Code: gathering.CodeCircuitOpen, Message: text}
	if diff := cmp.Diff(want, gathering.FailureOf(err)); diff != "" {
		t.Errorf("refusal (-want +got):\n%s", diff)
	}
	if got := gathering.RetryAfter(err); got < after || got > after+after/10+1 {
		t.Errorf("asked to wait %s, want %s and a little", got, after)
	}
}

func state(t *testing.T, r *breaker.Registry, name string) gathering.Breaker {
	t.Helper()
	for _, b := range r.List(t.Context()) {
		if b.Name == name {
			return b
		}
	}
	t.Fatalf("no breaker %s is listed", name)
	return gathering.Breaker{}
}

const half = "the circuit of host api.example.com:443 is half open: one call is seeing whether it can be closed"

func open(failures int, in string) string {
	return fmt.Sprintf("the circuit of host api.example.com:443 is open after %d failures; it lets a call through in %s", failures, in)
}

func TestOpensHalfOpensAndCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := breaker.New(breaker.Options{})
		try(t, r, 4, errDown)
		try(t, r, 1, nil) // which ends the row
		if got := try(t, r, 10, errDown); got != 5 {
			t.Fatalf("%d failing calls were made, want 5", got)
		}
		pass(3 * time.Second)
		refused(t, r, open(5, "27s"), 27*time.Second)

		// Each call that fails while it is half open keeps it open for longer.
		pass(27 * time.Second)
		for i, want := range []string{"1m0s", "2m0s", "4m0s", "5m0s", "5m0s"} {
			if got := state(t, r, host).State; got != gathering.BreakerHalfOpen {
				t.Fatalf("it is %s, want half open", got)
			}
			if got := try(t, r, 3, errDown); got != 1 {
				t.Fatalf("%d calls were made while it was half open, want 1", got)
			}
			d, err := time.ParseDuration(want)
			if err != nil {
				t.Fatal(err)
			}
			refused(t, r, open(6+i, want), d)
			pass(d)
		}
		if got := try(t, r, 10, nil); got != 10 {
			t.Fatalf("%d calls were made after one got through, want 10", got)
		}
		b := state(t, r, host)
		if b.State != gathering.BreakerClosed || b.Failures != 0 || b.Calls != 9 || b.Failed != 0 {
			t.Errorf("got %+v, want closed and as good as new", b)
		}

		// And then it begins anew.
		try(t, r, 5, errDown)
		refused(t, r, open(5, "30s"), 30*time.Second)
	})
}

func TestOpensByRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := breaker.New(breaker.Options{})
		mixed := func(n int) (made int) {
			for i := range n {
				made += try(t, r, 1, []error{nil, errDown}[i%2])
			}
			return made
		}
		mixed(18)
		pass(time.Minute) // those are forgotten
		if got := mixed(24); got != 20 {
			t.Errorf("%d calls were made, want it open after 20", got)
		}
		refused(t, r, open(10, "30s"), 30*time.Second)
		if got, want := state(t, r, host).Reason, "10 of 20 calls failed within 1m0s, the last: it cannot be reached"; got != want {
			t.Errorf("reason %q, want %q", got, want)
		}
	})
}

func TestOneCallAtATimeWhileHalfOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := breaker.New(breaker.Options{})
		try(t, r, 5, errDown)
		pass(30 * time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		begun, ended := 0, make(chan error)
		hang := func(ctx context.Context) {
			ended <- r.Do(ctx, host, func(ctx context.Context) error { begun++; <-ctx.Done(); return ctx.Err() })
		}
		go hang(ctx)
		synctest.Wait()
		refused(t, r, half, 5*time.Second)

		// A call that its caller ends says nothing: the next one sees.
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that it was cancelled", err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		go hang(ctx)
		synctest.Wait()
		if begun != 2 {
			t.Fatalf("%d calls were made, want the second as well", begun)
		}
		refused(t, r, half, 5*time.Second)

		// One that does not end does not keep others from seeing for ever.
		pass(time.Minute)
		if got := try(t, r, 3, nil); got != 3 {
			t.Errorf("%d calls were made beside one that hangs, want 3", got)
		}
		cancel()
		<-ended
		if got := state(t, r, host).State; got != gathering.BreakerClosed {
			t.Errorf("it is %s, want closed", got)
		}
	})
}

// TestLateResults holds that a call which began before the breaker changed says
// nothing about it.
func TestLateResults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := breaker.New(breaker.Options{})
		release := make(chan error)
		var calls sync.WaitGroup
		for range 10 {
			calls.Go(func() { _ = r.Do(t.Context(), host, func(context.Context) error { return <-release }) })
		}
		synctest.Wait()
		try(t, r, 5, errDown)
		pass(10 * time.Second)
		for range 5 {
			release <- errDown
		}
		synctest.Wait()
		refused(t, r, open(5, "20s"), 20*time.Second)
		pass(20 * time.Second)
		for range 4 {
			release <- nil
		}
		synctest.Wait()
		if got := state(t, r, host).State; got != gathering.BreakerHalfOpen {
			t.Errorf("it is %s after late results, want half open", got)
		}
		try(t, r, 1, nil)
		release <- errDown
		calls.Wait()
		if got := state(t, r, host).Failures; got != 0 {
			t.Errorf("%d failures after a late one, want none", got)
		}
	})
}

func TestWhatCountsAsAFailure(t *testing.T) {
	t.Parallel()
	fault := func(kind gathering.Kind) error { return gathering.NewError(kind, "x") }
	const fails, answers, nothing = "fails", "answers", "nothing"
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"success":         {nil, answers},
		"unavailable":     {errDown, fails},
		"timeout":         {fault(gathering.KindTimeout), fails},
		"exhausted":       {fault(gathering.KindExhausted), fails},
		"internal":        {fault(gathering.KindInternal), fails},
		"no kind":         {errors.New("x"), fails},
		"unknown outcome": {gathering.NewError(gathering.KindConflict, "x").WithCode(gathering.CodeUnknownOutcome), fails},
		"invalid":         {errOdd, answers},
		"not found":       {fault(gathering.KindNotFound), answers},
		"conflict":        {fault(gathering.KindConflict), answers},
		"too large":       {fault(gathering.KindTooLarge), answers},
		"unauthenticated": {fault(gathering.KindUnauthenticated), answers},
		"forbidden":       {fault(gathering.KindForbidden), nothing},
		"cancelled":       {fault(gathering.KindCancelled), nothing},
		"another breaker": {gathering.NewError(gathering.KindUnavailable, "x").WithCode(gathering.CodeCircuitOpen), nothing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := breaker.New(breaker.Options{})
			try(t, r, 2, errDown)
			try(t, r, 1, test.err)
			want := map[string]int{fails: 3, answers: 0, nothing: 2}[test.want]
			if got := state(t, r, host).Failures; got != want {
				t.Errorf("%d failures in a row, want %d", got, want)
			}
		})
	}
}

func TestCallersThatGiveUp(t *testing.T) {
	t.Parallel()
	late := gathering.NewError(gathering.KindTimeout, "the attempt did not end in the time allowed")
	for name, test := range map[string]struct {
		after time.Duration
		ctx   func(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc)
		want  int
	}{
		"its time is up":       {2 * time.Second, context.WithTimeout, 1},
		"in haste":             {time.Second / 2, context.WithTimeout, 0},
		"its own kind of time": {2 * time.Second, ending(late), 1},
		"somebody stops it":    {2 * time.Second, ending(errors.New("the run was cancelled")), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := breaker.New(breaker.Options{})
				ctx, cancel := test.ctx(t.Context(), test.after)
				defer cancel()
				_ = r.Do(ctx, host, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
				if got := state(t, r, host).Failures; got != test.want {
					t.Errorf("%d failures, want %d", got, test.want)
				}
			})
		})
	}
}

// ending returns contexts that end with a cause after a while.
func ending(cause error) func(context.Context, time.Duration) (context.Context, context.CancelFunc) {
	return func(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancelCause(ctx)
		timer := time.AfterFunc(after, func() { cancel(cause) })
		return ctx, func() { timer.Stop(); cancel(nil) }
	}
}

func TestRetryAfterKeepsItOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			asked time.Duration
			want  string
		}{{time.Second, "30s"}, {2 * time.Minute, "2m0s"}, {time.Hour, "5m0s"}} {
			r := breaker.New(breaker.Options{})
			try(t, r, 5, gathering.Delayed(errDown, test.asked))
			err := r.Do(t.Context(), host, returning(nil))
			if err == nil || err.Error() != open(5, test.want) {
				t.Errorf("asked for %s: got %v, want %s", test.asked, err, test.want)
			}
		}
	})
}

func TestPanicIsAFailureAndGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := breaker.New(breaker.Options{})
		for range 5 {
			func() {
				defer func() {
					if p := recover(); p != "a defect" {
						t.Errorf("recovered %v, want the panic", p)
					}
				}()
				_ = r.Do(t.Context(), host, func(context.Context) error { panic("a defect") })
			}()
		}
		refused(t, r, open(5, "30s"), 30*time.Second)
	})
}

func TestNames(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"provider:openai":                  "provider:openai",
		" tool:mail.Send ":                 "tool:mail.Send",
		"host:API.Example.com.:8443":       "host:api.example.com:8443",
		"host:example.com":                 "host:example.com:443",
		"host:[::1]:80":                    "host:[::1]:80",
		"host:[::1]":                       "host:[::1]:443",
		"host:::1":                         "host:[::1]:443",
		"host:example.com:0":               "",
		"host:example.com:99999":           "",
		"host::80":                         "",
		"host:":                            "",
		"openai":                           "",
		"model:x":                          "",
		"tool:a b":                         "",
		"tool:a/b":                         "",
		"tool:a\x00":                       "",
		"tool:\xff":                        "",
		"":                                 "",
		"tool:" + strings.Repeat("a", 300): "",
	} {
		got, err := breaker.Name(given)
		if got != want || (err == nil) == (want == "") {
			t.Errorf("%q: got %q, %v, want %q", given, got, err, want)
		}
		if err != nil && gathering.KindOf(err) != gathering.KindInvalid {
			t.Errorf("%q: got %v, want it to be invalid", given, err)
		}
		if err := breaker.New(breaker.Options{}).Do(t.Context(), given, returning(nil)); (err == nil) == (want == "") {
			t.Errorf("a call of %q: got %v", given, err)
		}
	}
}

// TestBoundedMemory holds that closed breakers give way to others and open ones
// do not.
func TestBoundedMemory(t *testing.T) {
	t.Parallel()
	r := breaker.New(breaker.Options{Names: 100})
	try(t, r, 5, errDown)
	name := func(i int) string { return fmt.Sprintf("tool:t%d", i) }
	for i := range 10_000 {
		if err := r.Do(t.Context(), name(i), returning(nil)); err != nil {
			t.Fatal(err)
		}
		_ = r.Do(t.Context(), name(0), returning(nil))
	}
	list := r.List(t.Context())
	if len(list) != 100 {
		t.Fatalf("%d breakers are kept, want 100", len(list))
	}
	if list[0].Name != host || list[0].State != gathering.BreakerOpen {
		t.Errorf("the first is %+v, want the open one", list[0])
	}
	if got := state(t, r, name(0)).Calls; got != 10_001 {
		t.Errorf("the one in use counts %d calls, want 10001", got)
	}
	if state(t, r, name(9_999)).Calls != 1 {
		t.Error("the newest is not kept")
	}
	for i := range 200 {
		for range 5 {
			_ = r.Do(t.Context(), name(i), returning(errDown))
		}
	}
	if got := len(r.List(t.Context())); got != 100 {
		t.Errorf("%d open breakers are kept, want 100", got)
	}
}

func TestManyCallersAtOnce(t *testing.T) {
	t.Parallel()
	r := breaker.New(breaker.Options{Names: 8, Limits: breaker.Limits{Open: time.Microsecond, MaxOpen: time.Microsecond}})
	var callers sync.WaitGroup
	for i := range 16 {
		callers.Go(func() {
			for j := range 500 {
				name := fmt.Sprintf("tool:t%d", (i+j)%12)
				err := r.Do(t.Context(), name, returning([]error{nil, errDown}[j/20%2]))
				if err != nil && !errors.Is(err, errDown) && gathering.CodeOf(err) != gathering.CodeCircuitOpen {
					t.Errorf("got %v", err)
				}
				if j%50 == 0 {
					r.List(t.Context())
				}
			}
		})
	}
	callers.Wait()
}

func BenchmarkDo(b *testing.B) {
	r := breaker.New(breaker.Options{})
	call := returning(nil)
	b.Run("counted", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = r.Do(b.Context(), host, call)
		}
	})
	b.Run("switched", func(b *testing.B) {
		b.ReportAllocs()
		made := r.Switched(&counting{})
		for b.Loop() {
			_, _ = made.Call(b.Context(), tool.Call{})
		}
	})
}

// pass lets time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }
