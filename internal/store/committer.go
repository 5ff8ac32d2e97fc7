package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"gathering"
)

// CommitterOptions say how the members of a [Committer] are written.
type CommitterOptions[M any] struct {
	// Write writes all members in one transaction. err means that none of them
	// was committed; otherwise outcomes, nil or one per member, are the
	// answers to the members of a transaction that was: a member that lost its
	// fence gets its error alone. It is called by one goroutine at a time and
	// again with fewer members when it failed.
	Write func(ctx context.Context, members []M) (outcomes []error, err error)
	// Reread reports whether an earlier Write of the member was committed. It
	// is asked for each member after an [Ambiguous] error, and for one that
	// then violates a unique key. Without it an ambiguous error is the answer.
	// A Write that may be repeated needs no reading: let Reread report false.
	Reread func(ctx context.Context, member M) (committed bool, err error)
	// Size is how many bytes a member takes. Default: none.
	Size func(member M) int
	// MaxRows is how many members one batch takes. Default: 1000.
	MaxRows int
	// MaxBytes is how many bytes one batch takes; a larger member is written
	// alone. Default: 4 MiB.
	MaxBytes int
	// MaxMember is how many bytes one member may have; a larger one is refused.
	// Default: MaxBytes.
	MaxMember int
	// Patience is how long one batch may take with everything that is tried
	// again because the database was away. Default: 10 s.
	Patience time.Duration
}

// Committer writes what many goroutines hand it in few transactions: while one
// batch is being written the next gathers. A batch that fails is split in
// halves until the culprit stands alone and only it gets the error.
type Committer[M any] struct {
	options CommitterOptions[M]
	wake    chan struct{} // holds one token while the queue may have members
	ended   chan struct{}

	mu      sync.Mutex
	queue   []*entry[M]
	closed  bool
	entries sync.Pool // of *entry[M] that have been answered or taken out
}

// entry is one member on its way. It is in the queue until it is written or its
// caller gives up; done then takes its one answer.
type entry[M any] struct {
	member   M
	size     int
	done     chan error
	doubtful bool // an earlier write of it may have been committed
}

// NewCommitter starts a committer. Close it.
func NewCommitter[M any](o CommitterOptions[M]) *Committer[M] {
	if o.Size == nil {
		o.Size = func(M) int { return 0 }
	}
	if o.MaxRows == 0 {
		o.MaxRows = 1000
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 4 << 20
	}
	if o.MaxMember == 0 {
		o.MaxMember = o.MaxBytes
	}
	if o.Patience == 0 {
		o.Patience = 10 * time.Second
	}
	c := &Committer[M]{options: o, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go c.loop()
	return c
}

// Commit returns when the member is durable, or with the reason why it is not.
// If ctx ends while the member waits it is taken out; once it is being written
// the result is waited for.
func (c *Committer[M]) Commit(ctx context.Context, member M) error {
	size := c.options.Size(member)
	if size > c.options.MaxMember {
		return gathering.NewError(gathering.KindTooLarge, "%d bytes are to be written at once; the limit is %d", size, c.options.MaxMember)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	e := c.entry(member, size)
	defer c.recycle(e)
	if !c.enqueue(e) {
		return errClosed()
	}
	if ctx.Done() == nil {
		return <-e.done
	}
	select {
	case err := <-e.done:
		return err
	case <-ctx.Done():
	}
	if c.remove(e) {
		return ctx.Err()
	}
	return <-e.done
}

// entry is one that nobody else has, for one answer.
func (c *Committer[M]) entry(member M, size int) *entry[M] {
	e, ok := c.entries.Get().(*entry[M])
	if !ok {
		e = &entry[M]{done: make(chan error, 1)}
	}
	e.member, e.size, e.doubtful = member, size, false
	return e
}

// recycle keeps an entry that the writing goroutine is done with.
func (c *Committer[M]) recycle(e *entry[M]) {
	var none M
	e.member = none
	c.entries.Put(e)
}

// Close writes what waits, refuses what comes later and returns when all is
// answered. It may be called more than once.
func (c *Committer[M]) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.ring()
	<-c.ended
}

func (c *Committer[M]) enqueue(e *entry[M]) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.queue = append(c.queue, e)
	c.ring()
	return true
}

func (c *Committer[M]) remove(e *entry[M]) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.queue, e)
	if i < 0 {
		return false
	}
	c.queue = slices.Delete(c.queue, i, i+1)
	return true
}

func (c *Committer[M]) ring() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Committer[M]) loop() {
	defer close(c.ended)
	for range c.wake {
		for batch := c.take(); len(batch) > 0; batch = c.take() {
			c.commit(batch)
		}
		c.mu.Lock()
		finished := c.closed && len(c.queue) == 0
		c.mu.Unlock()
		if finished {
			return
		}
	}
}

// take takes the next batch from the front of the queue.
func (c *Committer[M]) take() []*entry[M] {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, size := 0, 0
	for n < len(c.queue) && n < c.options.MaxRows && (n == 0 || size+c.queue[n].size <= c.options.MaxBytes) {
		size += c.queue[n].size
		n++
	}
	batch := slices.Clone(c.queue[:n])
	c.queue = slices.Delete(c.queue, 0, n)
	return batch
}

// commit writes the batch and answers every member of it.
func (c *Committer[M]) commit(batch []*entry[M]) {
	ctx, cancel := context.WithTimeout(context.Background(), c.options.Patience)
	defer cancel()
	parts := [][]*entry[M]{batch}
	for len(parts) > 0 {
		part := parts[len(parts)-1]
		parts = parts[:len(parts)-1]
		parts = append(parts, c.attempt(ctx, part)...)
	}
}

// attempt writes part until it is committed or the trouble is not the
// database's, and returns what is to be attempted next, in halves, the first last.
func (c *Committer[M]) attempt(ctx context.Context, part []*entry[M]) [][]*entry[M] {
	pause := newBackoff()
	for len(part) > 0 {
		err := c.write(ctx, part)
		switch {
		case err == nil:
			return nil
		case Ambiguous(err) && c.options.Reread == nil:
			answerAll(part, err)
			return nil
		case Ambiguous(err):
			for _, e := range part {
				e.doubtful = true
			}
			if part = c.reread(ctx, part, err); len(part) == 0 {
				return nil
			}
		case gathering.KindOf(err) == gathering.KindUnavailable || ctx.Err() != nil:
		case len(part) > 1:
			half := len(part) / 2
			return [][]*entry[M]{part[half:], part[:half]}
		default:
			c.settle(ctx, part[0], err)
			return nil
		}
		if !pause.wait(ctx) {
			giveUp(part, err)
			return nil
		}
	}
	return nil
}

// write answers every member if the transaction was committed.
func (c *Committer[M]) write(ctx context.Context, part []*entry[M]) error {
	members := make([]M, len(part))
	for i, e := range part {
		members[i] = e.member
	}
	outcomes, err := c.options.Write(ctx, members)
	if err != nil {
		return err
	}
	if outcomes != nil && len(outcomes) != len(part) {
		outcomes = slices.Repeat([]error{fmt.Errorf("write %d members: %d outcomes", len(part), len(outcomes))}, len(part))
	}
	for i, e := range part {
		if outcomes == nil {
			e.done <- nil
		} else {
			e.done <- outcomes[i]
		}
	}
	return nil
}

// reread answers the members that were committed after all, and returns those
// that were not. It keeps asking while the database is away.
func (c *Committer[M]) reread(ctx context.Context, part []*entry[M], cause error) []*entry[M] {
	pause := newBackoff()
	absent := make([]*entry[M], 0, len(part))
	for i := 0; i < len(part); {
		committed, err := c.options.Reread(ctx, part[i].member)
		switch {
		case err == nil && committed:
			part[i].done <- nil
			i++
		case err == nil:
			absent = append(absent, part[i])
			i++
		case gathering.KindOf(err) != gathering.KindUnavailable && ctx.Err() == nil:
			part[i].done <- err
			i++
		case !pause.wait(ctx):
			giveUp(part[i:], cause)
			return absent
		}
	}
	return absent
}

// settle answers the one member that cannot be written. A unique key may be
// taken by the member itself, written earlier without an answer.
func (c *Committer[M]) settle(ctx context.Context, e *entry[M], err error) {
	if e.doubtful && IsUniqueViolation(err) {
		for _, absent := range c.reread(ctx, []*entry[M]{e}, err) {
			absent.done <- err
		}
		return
	}
	e.done <- err
}

func answerAll[M any](part []*entry[M], err error) {
	for _, e := range part {
		e.done <- err
	}
}

// giveUp answers once patience is at its end.
func giveUp[M any](part []*entry[M], cause error) {
	if gathering.KindOf(cause) != gathering.KindUnavailable {
		cause = gathering.NewError(gathering.KindUnavailable, "the database cannot be reached").WithCause(cause)
	}
	for _, e := range part {
		if e.doubtful && !Ambiguous(cause) {
			e.done <- &AmbiguousError{Err: cause}
		} else {
			e.done <- cause
		}
	}
}

// backoff is a pause that doubles from 10 ms to 1 s.
type backoff struct{ next time.Duration }

func newBackoff() *backoff { return &backoff{next: 10 * time.Millisecond} }

// wait reports whether there is time for another try.
func (b *backoff) wait(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	timer := time.NewTimer(b.next)
	defer timer.Stop()
	b.next = min(2*b.next, time.Second)
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
