package event_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/google/go-cmp/cmp"

	"gathering"
	"gathering/internal/event"
)

// tape is a sequence in memory. It makes its items anew for each read, as a
// database does.
type tape struct {
	bell event.Bell

	mu        sync.Mutex
	positions []int64
	trouble   error
	reads     int
	made      []weak.Pointer[mark] // where it is not nil, every item that was read
	onRead    func()
}

// mark is an item of a tape.
type mark struct {
	position int64
	_        [64]byte // so that it has memory of its own
}

func (p *tape) options() event.TailOptions[*mark] {
	return event.TailOptions[*mark]{
		Read: p.read, Position: func(m *mark) int64 { return m.position },
		Oldest: p.oldest, Bell: &p.bell, Topic: "tape",
	}
}

func (p *tape) read(_ context.Context, after int64, limit int) ([]*mark, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reads++
	if p.onRead != nil {
		p.onRead()
	}
	if p.trouble != nil {
		return nil, p.trouble
	}
	i, _ := slices.BinarySearch(p.positions, after+1)
	var items []*mark
	for _, position := range p.positions[i:min(i+limit, len(p.positions))] {
		m := &mark{position: position}
		items = append(items, m)
		if p.made != nil {
			p.made = append(p.made, weak.Make(m))
		}
	}
	return items, nil
}

func (p *tape) oldest(context.Context) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.positions) == 0 {
		return 0, nil
	}
	return p.positions[0], nil
}

// add appends items and rings.
func (p *tape) add(positions ...int64) {
	p.change(func() { p.positions = append(p.positions, positions...) })
	p.bell.Ring("tape")
}

func (p *tape) change(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn()
}

func (p *tape) fail(err error) { p.change(func() { p.trouble = err }) }

// cut removes everything up to a position.
func (p *tape) cut(upTo int64) {
	p.change(func() { p.positions = slices.DeleteFunc(p.positions, func(at int64) bool { return at <= upTo }) })
}

func (p *tape) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reads
}

func upTo(n int64) []int64 { return between(1, n) }

func between(first, last int64) []int64 {
	var positions []int64
	for at := first; at <= last; at++ {
		positions = append(positions, at)
	}
	return positions
}

// hearer is a reader that notes what it gets.
type hearer struct {
	mu     sync.Mutex
	heard  []int64
	errors []error
	stop   context.CancelFunc
	ended  sync.WaitGroup
}

// hear begins to read a tail after a position.
func hear(tail *event.Tail[*mark], after int64) *hearer {
	ctx, stop := context.WithCancel(context.Background())
	h := &hearer{stop: stop}
	h.ended.Go(func() {
		for m, err := range tail.Read(ctx, after) {
			h.note(m, err)
		}
	})
	return h
}

func (h *hearer) note(m *mark, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.errors = append(h.errors, err)
		return
	}
	h.heard = append(h.heard, m.position)
}

func (h *hearer) end() {
	h.stop()
	h.ended.Wait()
}

// want checks what was heard so far, and which errors.
func (h *hearer) want(t *testing.T, heard []int64, errs ...error) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if diff := cmp.Diff(heard, h.heard); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
	if !slices.EqualFunc(h.errors, errs, errors.Is) {
		t.Errorf("got the errors %v, want %v", h.errors, errs)
	}
}

// TestTailYieldsEachOnce has readers begin anywhere and stall now and then while
// the sequence grows in fits and starts, with few items kept and rings lost.
// Each reader meets all that follows its position, once and in order.
func TestTailYieldsEachOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			next := int64(1)
			p := &tape{positions: []int64{next}}
			grow := func(n int) {
				for range n {
					next += 1 + random.Int64N(3)
					p.change(func() { p.positions = append(p.positions, next) })
				}
			}
			grow(random.IntN(400))
			o := p.options()
			o.Items = 1 + random.IntN(50)
			tail := event.NewTail(o)
			const last = int64(1 << 40)
			var readers sync.WaitGroup
			for range 25 {
				after, seed := random.Int64N(next+1), random.Uint64()
				late := time.Duration(random.IntN(3000)) * time.Millisecond
				readers.Go(func() { listen(t, p, tail, after, listening{late: late, seed: seed, last: last}) })
			}
			for range 100 {
				grow(random.IntN(60))
				if random.IntN(4) > 0 {
					p.bell.Ring("tape")
				}
				pass(time.Duration(random.IntN(100)) * time.Millisecond)
			}
			p.add(last)
			readers.Wait()
		})
	}
}

// pass lets time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }

type listening struct {
	late time.Duration // before it begins
	seed uint64        // of its stalls
	last int64         // the position at which it leaves
}

// listen is one reader of TestTailYieldsEachOnce.
func listen(t *testing.T, p *tape, tail *event.Tail[*mark], after int64, l listening) {
	t.Helper()
	random := rand.New(rand.NewPCG(l.seed, 1))
	pass(l.late)
	var got []int64
	for m, err := range tail.Read(t.Context(), after) {
		if err != nil {
			t.Errorf("read: %v", err)
			return
		}
		got = append(got, m.position)
		if m.position == l.last {
			break
		}
		if random.IntN(20) == 0 {
			pass(time.Duration(random.IntN(500)) * time.Millisecond)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i, _ := slices.BinarySearch(p.positions, after+1)
	if diff := cmp.Diff(p.positions[i:], got); diff != "" {
		t.Errorf("after %d (-want +got):\n%s", after, diff)
	}
}

// What is new is read once, however many wait for it, and at once where a bell
// rang.
func TestTailReadsOnceForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const readers, appends = 1000, 50
		p := &tape{positions: upTo(10)}
		tail := event.NewTail(p.options())
		var all []*hearer
		for range readers {
			all = append(all, hear(tail, 10))
		}
		synctest.Wait()
		before, began := p.count(), time.Now()
		for i := range int64(appends) {
			p.add(11 + i)
			synctest.Wait()
		}
		if got, want := p.count()-before, appends; got != want {
			t.Errorf("read %d times for %d appends, want %d", got, appends, want)
		}
		if got := time.Since(began); got != 0 {
			t.Errorf("it took %s, want no time", got)
		}
		for _, h := range all {
			h.want(t, between(11, 10+appends))
			h.end()
		}
	})
}

func TestTailWithoutABell(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &tape{}
		o := p.options()
		o.Bell, o.Poll = nil, 2*time.Second
		h := hear(event.NewTail(o), 0)
		defer h.end()
		synctest.Wait()
		p.add(1, 2)
		pass(2*time.Second - 1)
		h.want(t, nil)
		pass(1)
		synctest.Wait()
		h.want(t, []int64{1, 2})
	})
}

// What does not fit into one page is read at once nevertheless, whether the page
// has many items or large ones.
func TestTailReadsOn(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(o *event.TailOptions[*mark]){
		"many": func(*event.TailOptions[*mark]) {},
		"large": func(o *event.TailOptions[*mark]) {
			read := o.Read
			o.Size = func(*mark) int { return event.PageBytes / 2 }
			o.Read = func(ctx context.Context, after int64, limit int) ([]*mark, error) {
				return read(ctx, after, min(limit, 2))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &tape{}
				o := p.options()
				o.Bell = nil
				change(&o)
				h := hear(event.NewTail(o), 0)
				defer h.end()
				synctest.Wait()
				p.add(upTo(300)...)
				pass(500 * time.Millisecond)
				synctest.Wait()
				h.want(t, upTo(300))
			})
		})
	}
}

// What has been is read as fast as its reader takes it, and no faster.
func TestTailReadsThePastAtItsReadersPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &tape{positions: upTo(100_000)}
		n := 0
		for range event.NewTail(p.options()).Read(t.Context(), 0) {
			pass(time.Second)
			if n++; n == 200 {
				break
			}
		}
		if got, most := p.count(), 2; got > most {
			t.Errorf("read %d times for a reader of 200 items, want %d at most", got, most)
		}
	})
}

// What comes just when the first reader has found nothing is not left for the
// next poll, though nobody was there yet whom its ring could wake.
func TestTailMissesNoRingAtTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &tape{}
		o := p.options()
		first := true
		o.Read = func(ctx context.Context, after int64, limit int) ([]*mark, error) {
			items, err := p.read(ctx, after, limit)
			if first {
				first = false
				p.add(1)
				pass(time.Millisecond) // the ring is heard and leads to nothing
			}
			return items, err
		}
		h := hear(event.NewTail(o), 0)
		defer h.end()
		pass(2 * time.Millisecond)
		synctest.Wait()
		h.want(t, []int64{1})
	})
}

// A tail that began where the sequence has not come to is moved by a reader who
// is before that, also while it reads.
func TestTailIsMovedWhileItReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &tape{positions: upTo(3)}
		o := p.options()
		var asked atomic.Int32
		goOn := make(chan struct{})
		o.Read = func(ctx context.Context, after int64, limit int) ([]*mark, error) {
			if after == 100 && asked.Add(1) == 2 { // the reader was the first
				<-goOn
			}
			return p.read(ctx, after, limit)
		}
		tail := event.NewTail(o)
		ahead := hear(tail, 100)
		synctest.Wait()
		here := hear(tail, 3)
		synctest.Wait()
		p.add(4, 101)
		close(goOn)
		pass(time.Second)
		synctest.Wait()
		here.want(t, []int64{4, 101})
		ahead.want(t, []int64{101})
		here.end()
		ahead.end()
	})
}

// A reader that stands still costs nobody anything: what is held stays within
// its bound, and when the reader goes on it misses nothing.
func TestTailHoldsNothingForThoseWhoStall(t *testing.T) {
	t.Parallel()
	for _, bound := range []string{"items", "bytes"} {
		synctest.Test(t, func(t *testing.T) {
			const stalled, items, kept = 100, 5000, 100
			p := &tape{made: []weak.Pointer[mark]{}}
			o := p.options()
			if o.Items = kept; bound == "bytes" {
				o.Items, o.Bytes, o.Size = items, kept*10, func(*mark) int { return 10 }
			}
			tail := event.NewTail(o)
			goOn := make(chan struct{})
			var readers sync.WaitGroup
			for i := range stalled {
				readers.Go(func() {
					next := int64(1)
					for m, err := range tail.Read(t.Context(), 0) {
						if err != nil || m.position != next {
							t.Errorf("got %v, %v, want %d", m, err, next)
							return
						}
						if next == int64(1+i*10) { // so that each stands elsewhere
							<-goOn
						}
						if next++; next > items {
							return
						}
					}
				})
			}
			goes := hear(tail, 0)
			live := 0
			for at := int64(1); at <= items; at += 10 {
				p.add(between(at, at+9)...)
				synctest.Wait()
				if at > items-300 {
					live = max(live, p.live())
				}
			}
			goes.want(t, upTo(items))
			if most := kept + stalled + 10; live > most {
				t.Errorf("bounded by %s: %d of %d items are held, want %d at most", bound, live, items, most)
			}
			close(goOn)
			readers.Wait()
			goes.end()
		})
	}
}

// live is how many of the items that were read are still held.
func (p *tape) live() int {
	runtime.GC()
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, m := range p.made {
		if m.Value() != nil {
			n++
		}
	}
	return n
}

// Trouble is told once to each and passes: readers that go on miss nothing.
func TestTailInTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		away := gathering.NewError(gathering.KindUnavailable, "away")
		p := &tape{positions: upTo(3)}
		o := p.options()
		o.Items = 2
		tail := event.NewTail(o)
		first, second := hear(tail, 0), hear(tail, 2)
		synctest.Wait()
		first.want(t, upTo(3))
		p.fail(away)
		p.add(between(4, 300)...)
		pass(50 * time.Millisecond) // so that it tries again after the tail has
		late := hear(tail, 1)
		pass(time.Minute)
		synctest.Wait()
		first.want(t, upTo(3), away)
		second.want(t, []int64{3}, away)
		late.want(t, nil, away)
		// 100, 200, … 3,200 ms and then every 5 s, for the tail and for who is late.
		if got, most := p.count(), 2*(6+11)+10; got > most {
			t.Errorf("read %d times in a minute of trouble, want %d at most", got, most)
		}
		p.fail(nil)
		pass(5 * time.Second)
		synctest.Wait()
		first.want(t, upTo(300), away)
		second.want(t, between(3, 300), away)
		late.want(t, between(2, 300), away)

		again := errors.New("damaged")
		p.fail(again)
		p.bell.Ring("tape")
		synctest.Wait()
		first.want(t, upTo(300), away, again)
		for _, h := range []*hearer{first, second, late} {
			h.end()
		}
		first.want(t, upTo(300), away, again, context.Canceled)
	})
}

// An answer such as that there is no such run ends its readers, and nobody else.
func TestTailIsAnswered(t *testing.T) {
	t.Parallel()
	for _, kind := range []gathering.Kind{
		gathering.KindNotFound, gathering.KindForbidden, gathering.KindUnauthenticated, gathering.KindInvalid,
	} {
		synctest.Test(t, func(t *testing.T) {
			answer := gathering.NewError(kind, "no")
			p := &tape{positions: upTo(3)}
			tail := event.NewTail(p.options())
			first, second := hear(tail, 0), hear(tail, 3)
			synctest.Wait()
			away := gathering.NewError(gathering.KindUnavailable, "away")
			p.fail(away)
			p.bell.Ring("tape")
			synctest.Wait()
			p.fail(answer)
			first.ended.Wait()
			second.ended.Wait()
			first.want(t, upTo(3), away, answer)
			second.want(t, nil, away, answer)
			none := hear(tail, 1)
			none.ended.Wait()
			none.want(t, nil, answer)
			p.fail(nil)
			again := hear(tail, 1)
			synctest.Wait()
			again.want(t, []int64{2, 3})
			again.end()
		})
	}
}

// A reader that comes while others are still leaving with an answer is served.
func TestTailBegunWhileOthersAreAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answer := gathering.NewError(gathering.KindNotFound, "no")
		p := &tape{positions: upTo(3)}
		tail := event.NewTail(p.options())
		leave := make(chan struct{})
		var slow sync.WaitGroup
		slow.Go(func() {
			for _, err := range tail.Read(t.Context(), 3) {
				if errors.Is(err, answer) {
					<-leave // it takes its time to notice
				}
			}
		})
		synctest.Wait()
		p.fail(answer)
		p.bell.Ring("tape")
		synctest.Wait()
		p.fail(nil)
		h := hear(tail, 3)
		synctest.Wait()
		p.add(4)
		synctest.Wait()
		h.want(t, []int64{4})
		close(leave)
		slow.Wait()
		if got, want := tail.Behind(0), int64(4); got != want {
			t.Errorf("got %d behind, want %d: the end of others is not that of the tail", got, want)
		}
		p.add(5)
		synctest.Wait()
		h.want(t, []int64{4, 5})
		h.end()
	})
}

// TestTailRests: it works while somebody reads and not a moment longer.
func TestTailRests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &tape{positions: upTo(3)}
		o := p.options()
		var busy atomic.Int32
		o.Read = func(ctx context.Context, after int64, limit int) ([]*mark, error) {
			busy.Add(1)
			defer busy.Add(-1)
			if after == 3 {
				<-ctx.Done() // until it is told to stop
				pass(time.Second)
				return nil, ctx.Err()
			}
			return p.read(ctx, after, limit)
		}
		tail := event.NewTail(o)
		pass(time.Minute)
		if got := p.count(); got != 0 {
			t.Errorf("read %d times for nobody", got)
		}
		for m, err := range tail.Read(t.Context(), 1) {
			if err != nil || m.position != 2 {
				t.Errorf("got %v, %v, want 2", m, err)
			}
			break
		}
		h := hear(tail, 2)
		synctest.Wait()
		h.end()
		if got := busy.Load(); got != 0 {
			t.Errorf("%d reads are under way after the last reader has left", got)
		}
		if got := tail.Behind(0); got != 0 {
			t.Errorf("got %d behind while nobody reads, want 0", got)
		}
	})
}

// The goroutine of the tail ends before the last reader does, in the middle of
// a read.
func TestTailWaitsForItsGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &tape{}
		o := p.options()
		reading, stopped := make(chan struct{}), false
		calls := 0
		o.Read = func(ctx context.Context, _ int64, _ int) ([]*mark, error) {
			if calls++; calls == 1 {
				return nil, nil // to the reader: it has come to the end
			}
			close(reading)
			<-ctx.Done()
			pass(time.Second)
			stopped = true
			return nil, ctx.Err()
		}
		h := hear(event.NewTail(o), 0)
		<-reading
		h.end()
		if !stopped {
			t.Error("the last reader has left while the tail reads")
		}
	})
}

// A read that hangs is given up.
func TestTailBoundsReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &tape{positions: upTo(3)}
		o := p.options()
		hang := true
		o.Read = func(ctx context.Context, after int64, limit int) ([]*mark, error) {
			if hang {
				hang = false
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return p.read(ctx, after, limit)
		}
		h := hear(event.NewTail(o), 0)
		defer h.end()
		pass(31 * time.Second)
		synctest.Wait()
		h.want(t, upTo(3), context.DeadlineExceeded)
	})
}

func TestTailTellsWhatIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &tape{positions: upTo(20)}
		p.cut(10)
		tail := event.NewTail(p.options())
		goneAfter := func(h *hearer, after, oldest int64) {
			t.Helper()
			h.mu.Lock()
			defer h.mu.Unlock()
			want := event.GoneError{After: after, Oldest: oldest}
			gone, ok := errors.AsType[*event.GoneError](errors.Join(h.errors...))
			if !ok || *gone != want || len(h.errors) != 1 {
				t.Errorf("got %v, want %+v", h.errors, want)
			}
			h.errors = nil
		}
		late := hear(tail, 5)
		synctest.Wait()
		goneAfter(late, 5, 11)
		late.want(t, between(11, 20))

		all, edge := hear(tail, 0), hear(tail, 10)
		synctest.Wait()
		all.want(t, between(11, 20))
		edge.want(t, between(11, 20))

		// Positions may be left out without anything being gone.
		p.add(30)
		synctest.Wait()
		all.want(t, append(between(11, 20), 30))

		// What goes while nobody looks is missed by all.
		p.change(func() { p.positions = []int64{40, 41} })
		p.bell.Ring("tape")
		synctest.Wait()
		for _, h := range []*hearer{late, all, edge} {
			goneAfter(h, 30, 40)
			h.want(t, append(between(11, 20), 30, 40, 41))
			h.end()
		}
	})
}

// A position that the sequence has not come to yet is waited for, without
// harm to other readers. So is one whose surroundings were all deleted.
func TestTailFromNowhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &tape{positions: upTo(3)}
		tail := event.NewTail(p.options())
		ahead := hear(tail, 100)
		synctest.Wait()
		here := hear(tail, 2)
		synctest.Wait()
		p.add(4)
		synctest.Wait()
		here.want(t, []int64{3, 4})
		p.add(100, 101)
		synctest.Wait()
		here.want(t, []int64{3, 4, 100, 101})
		ahead.want(t, []int64{101})

		p.cut(1000)
		before := p.count()
		lost := hear(tail, 2)
		pass(10 * time.Second)
		synctest.Wait()
		if got, most := p.count()-before, 30; got > most {
			t.Errorf("read %d times in 10 s in which there was nothing, want %d at most", got, most)
		}
		for _, h := range []*hearer{ahead, here, lost} {
			h.end()
		}
		lost.want(t, nil, context.Canceled)
	})
}

func TestTailBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &tape{positions: upTo(10)}
		tail := event.NewTail(p.options())
		h := hear(tail, 7)
		synctest.Wait()
		p.add(11, 12)
		synctest.Wait()
		for position, want := range map[int64]int64{12: 0, 11: 1, 2: 10, 99: 0} {
			if got := tail.Behind(position); got != want {
				t.Errorf("got %d behind at %d, want %d", got, position, want)
			}
		}
		h.end()
	})
}

// Readers come and go while the sequence grows.
func TestTailsComeAndGo(t *testing.T) {
	t.Parallel()
	const keys, readers, items = 5, 40, 300
	tapes := map[string]*tape{}
	for i := range keys {
		tapes[string(rune('a'+i))] = &tape{}
	}
	tails := event.NewTails(func(key string) event.TailOptions[*mark] {
		o := tapes[key].options()
		o.Items = 20
		return o
	})
	var working sync.WaitGroup
	for key, p := range tapes {
		working.Go(func() {
			for at := range int64(items) {
				p.add(at + 1)
				runtime.Gosched()
			}
		})
		for i := range readers {
			working.Go(func() {
				next := int64(1)
				for next <= items { // each leaves now and then
					for m, err := range tails.Read(t.Context(), key, next-1) {
						if err != nil || m.position != next {
							t.Errorf("got %v, %v, want %d", m, err, next)
							return
						}
						if next++; next > items || next%int64(10+i) == 0 {
							break
						}
					}
				}
			})
		}
	}
	working.Wait()
	if got := tails.Len(); got != 0 {
		t.Errorf("%d tails are left of which nobody reads any", got)
	}
}

func TestTails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tapes := map[string]*tape{"a": {positions: upTo(3)}, "b": {}}
		made := 0
		tails := event.NewTails(func(key string) event.TailOptions[*mark] {
			made++
			return tapes[key].options()
		})
		read := func(ctx context.Context, key string) *sync.WaitGroup {
			var reader sync.WaitGroup
			reader.Go(func() {
				for _, err := range tails.Read(ctx, key, 0) {
					if err != nil && !errors.Is(err, context.Canceled) {
						t.Errorf("read %s: %v", key, err)
					}
				}
			})
			return &reader
		}
		ctx, stop := context.WithCancel(t.Context())
		lasting, stopLasting := context.WithCancel(t.Context())
		first, second, other := read(ctx, "a"), read(lasting, "a"), read(ctx, "b")
		synctest.Wait()
		if got, want := tails.Len(), 2; got != want || made != want {
			t.Errorf("got %d tails, %d made, want %d", got, made, want)
		}
		tapes["a"].add(4)
		synctest.Wait()
		if got, want := tails.Behind("a", 1), int64(3); got != want {
			t.Errorf("got %d behind, want %d", got, want)
		}
		if got := tails.Behind("none", 1); got != 0 {
			t.Errorf("got %d behind in what nobody reads, want 0", got)
		}
		stop()
		first.Wait()
		other.Wait()
		if got, want := tails.Len(), 1; got != want {
			t.Errorf("got %d tails, want %d: that which is still read", got, want)
		}
		stopLasting()
		second.Wait()
		if got := tails.Len(); got != 0 {
			t.Errorf("got %d tails of which nobody reads any", got)
		}
	})
}

// Few read for themselves at once, so that many who come together do not take
// the database from others.
func TestTailsCatchUpInTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var busy, most int
		var mu sync.Mutex
		p := &tape{positions: upTo(100)}
		tails := event.NewTails(func(string) event.TailOptions[*mark] {
			o := p.options()
			o.Bell, o.Poll = nil, time.Hour
			o.Read = func(ctx context.Context, after int64, limit int) ([]*mark, error) {
				mu.Lock()
				busy++
				most = max(most, busy)
				mu.Unlock()
				pass(time.Millisecond)
				mu.Lock()
				busy--
				mu.Unlock()
				return p.read(ctx, after, limit)
			}
			return o
		})
		var readers sync.WaitGroup
		for i := range 50 {
			readers.Go(func() {
				for m := range tails.Read(t.Context(), string(rune('a'+i%5)), 0) {
					if m.position == 100 {
						return
					}
				}
			})
		}
		readers.Wait()
		if want := 4; most != want {
			t.Errorf("%d read at once, want %d", most, want)
		}
	})
}
