package main

import (
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"gathering"
)

const (
	takeovers    = 20 // kills that are measured
	runsPerKill  = 20
	standardBeat = 2 * time.Second
)

// BenchmarkTakeover measures how long a run that was under way in a process
// that is killed stands still: from kill -9 to the first event that another
// process writes. On SQLite that is one started at once, on PostgreSQL a peer
// that was there.
func BenchmarkTakeover(b *testing.B) {
	for _, database := range []string{"sqlite", "postgresql"} {
		b.Run(database, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				s := newStageWith(b, database, standardBeat)
				if database == "sqlite" {
					took = append(took, s.restarts()...)
				} else {
					took = append(took, s.peers()...)
				}
			}
			slices.Sort(took)
			b.ReportMetric(0, "ns/op") // which would say nothing
			b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Milliseconds()), "p99-ms")
		})
	}
}

// restarts kills the one process again and again and starts it anew.
func (s *stage) restarts() []time.Duration {
	var took []time.Duration
	for range takeovers {
		s.service.hold()
		s.enter()
		ids := s.beginMany()
		s.leave()
		victim := s.worker()
		s.awaitCalls(runsPerKill)
		killed := kill(victim)
		heir := s.worker()
		s.awaitCalls(runsPerKill)
		s.service.letGo()
		heir.exits(0)
		s.enter()
		took = append(took, s.stoodStill(ids, killed)...)
		s.leave()
	}
	return took
}

// peers kills one of two processes again and again and starts a new one.
func (s *stage) peers() []time.Duration {
	var took []time.Duration
	s.enter()
	defer s.leave()
	victim := s.loader(0)
	for range takeovers {
		s.service.hold()
		ids := s.beginMany()
		s.awaitCalls(runsPerKill)
		peer := s.loader(0)
		s.registered(2)
		<-time.After(standardBeat + rand.N(standardBeat)) // so that the two have heard of each other
		killed := kill(victim)
		s.awaitCalls(runsPerKill)
		took = append(took, s.stoodStill(ids, killed)...)
		s.service.letGo()
		await(s.t, "the runs to end", func() bool { return s.row(ids[0]).State.Terminal() })
		victim = peer
	}
	victim.signal(syscall.SIGTERM)
	<-victim.ended
	return took
}

// kill kills a process and returns when.
func kill(r *process) time.Time {
	killed := time.Now()
	r.signal(syscall.SIGKILL)
	<-r.ended
	return killed
}

func (s *stage) beginMany() []gathering.RunID {
	ids := make([]gathering.RunID, runsPerKill)
	for i := range ids {
		ids[i] = s.begin("repeatable")
	}
	return ids
}

// awaitCalls waits for so many calls that are held.
func (s *stage) awaitCalls(n int) {
	s.t.Helper()
	await(s.t, "the calls", func() bool { return s.service.heldSince() >= n })
	s.service.forget()
}

func (s *stage) registered(n int) {
	s.t.Helper()
	await(s.t, "the processes to be there", func() bool {
		var there int
		err := s.DB.Read().QueryRow(s.t.Context(), `SELECT count(*) FROM instances`).Scan(&there)
		return err == nil && there == n
	})
}

// stoodStill is for how long runs stood still after a kill.
func (s *stage) stoodStill(ids []gathering.RunID, killed time.Time) []time.Duration {
	s.t.Helper()
	took := make([]time.Duration, len(ids))
	for i, id := range ids {
		for _, e := range s.history(s.App, id).events {
			if e.Type == gathering.EventRunResumed && e.At.After(killed) {
				took[i] = e.At.Sub(killed)
				break
			}
		}
		if took[i] == 0 {
			s.t.Fatalf("%s was not taken over", id)
		}
	}
	return took
}
