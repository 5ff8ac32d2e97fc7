package serve

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// last is how long it may take to write what is left to write.
	last = 10 * time.Second
	// grace is how long requests have at least once no node is waited for any
	// more, and how long what takes no time has where nothing is to be waited for.
	grace = 2 * time.Second
)

// end ends what is under way, and at once if it is told to again.
func (s *service) end(ctx context.Context) error {
	s.ending.Store(true)
	s.front.API.End()
	s.Say("ending: what is under way has %s; told again, it ends at once", s.Drain)
	ctx, now := context.WithCancel(ctx)
	defer now()
	var listening sync.WaitGroup
	done := make(chan struct{})
	listening.Go(func() {
		select {
		case <-s.Signals:
			now()
		case <-done:
		}
	})
	defer listening.Wait()
	defer close(done)

	begun := time.Now()
	nodes, cancel := context.WithTimeout(ctx, s.Drain)
	defer cancel()
	s.worker.Drain(nodes)
	requests, cancel := context.WithTimeout(ctx, max(s.Drain-time.Since(begun), grace))
	defer cancel()
	s.shutDown(requests)
	return s.close(ctx)
}

// shutDown listens no more and waits for the answers under way until ctx ends;
// then it breaks them off.
func (s *service) shutDown(ctx context.Context) {
	defer s.hangUp()
	if s.server.Shutdown(ctx) == nil {
		return
	}
	s.logger().WarnContext(ctx, "requests are broken off")
	s.hangUp() // who heeds it still answers
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close() // of connections on which nobody reads or writes
	}
}

// close closes what is open. Once ctx has ended it does not wait for what takes
// its time.
func (s *service) close(ctx context.Context) error {
	var err error
	if s.server == nil && s.listener != nil {
		err = s.listener.Close()
	}
	s.serving.Wait()
	if s.control != nil {
		err = errors.Join(err, s.control.Close())
	}
	if s.worker != nil {
		s.worker.Stop()
	}
	if s.front != nil {
		writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), last)
		defer cancel()
		defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })()
		err = errors.Join(err, s.front.Stop(writing))
	}
	return err
}
