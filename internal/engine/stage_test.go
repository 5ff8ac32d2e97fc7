package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gathering"
	"gathering/internal/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ledger is a run's log and inbox in memory. It can be slow, fail, and have
// mail come at any moment. Like a database it takes a commit whole or not at
// all and parks a run only where all of its mail was read.
type ledger struct {
	mu       sync.Mutex
	commits  []engine.Commit
	events   []gathering.Event
	inbox    []engine.Mail
	arrived  int // entries that ever came
	seen     int // of these, before the inbox was read last
	parked   bool
	looks    int // calls of Mail
	folds    int // calls of Fold
	graph    *engine.Graph
	bell     chan struct{}
	consumed map[gathering.InboxID]int

	slow  time.Duration
	hangs bool // Mail returns when its context ends
	// before and after are called around the n-th call of the log, of either
	// method, with n from 1. An error of before makes the call fail, one of
	// after loses its answer.
	before, after func(n int, c *engine.Commit) error
	calls         int
}

func (l *ledger) Append(ctx context.Context, c engine.Commit) error {
	n, err := l.enter(ctx, &c)
	if err != nil {
		return err
	}
	if !l.write(c) {
		return errMail
	}
	return l.leave(n, &c)
}

var errMail = gathering.NewError(gathering.KindConflict, "there is mail").WithCode(gathering.CodeMail)

func (l *ledger) Fold(context.Context) (*engine.State, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.folds++
	s := engine.NewState(l.graph, "run_1", "run_1", "default")
	for _, e := range l.events {
		if err := s.Fold(e); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (l *ledger) Mail(ctx context.Context) ([]engine.Mail, error) {
	if l.hangs {
		<-ctx.Done()
	}
	n, err := l.enter(ctx, nil)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.looks++
	l.seen = l.arrived
	mail := slices.Clone(l.inbox)
	l.mu.Unlock()
	return mail, l.leave(n, nil)
}

func (l *ledger) enter(ctx context.Context, c *engine.Commit) (int, error) {
	l.mu.Lock()
	l.calls++
	n := l.calls
	l.mu.Unlock()
	if l.before != nil {
		if err := l.before(n, c); err != nil {
			return n, err
		}
	}
	if l.slow > 0 {
		<-time.After(l.slow)
	}
	return n, ctx.Err()
}

func (l *ledger) leave(n int, c *engine.Commit) error {
	if l.after == nil {
		return nil
	}
	return l.after(n, c)
}

// write reports false where the commit is refused for the sake of mail.
func (l *ledger) write(c engine.Commit) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.Conditional && l.seen != l.arrived {
		return false
	}
	l.commits = append(l.commits, c)
	l.events = append(l.events, c.Events...)
	for _, id := range c.Consumed {
		l.consumed[id]++
		l.inbox = slices.DeleteFunc(l.inbox, func(m engine.Mail) bool { return m.ID == id })
	}
	for _, start := range c.Start {
		if start.Spec.Wait {
			continue
		}
		l.inbox = append(l.inbox, engine.Mail{
			ID: gathering.InboxID("box_begun_" + start.ID), Kind: engine.MailChildBegun,
			Data: fmt.Appendf(nil, `{"run":%q,"node":%q}`, start.ID, start.Trigger.Node),
		})
		l.arrived++
		select {
		case l.bell <- struct{}{}:
		default:
		}
	}
	l.parked = c.Park
	return true
}

func (l *ledger) deliver(m engine.Mail) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inbox = append(l.inbox, m)
	l.arrived++
}

// history is the events that are durable, in a short form.
func (l *ledger) history() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return historyOf(l.events)
}

// holds reports whether an event such as "a:started" is durable.
func (l *ledger) holds(word string) bool {
	return slices.Contains(strings.Fields(l.history()), word)
}

// appends are the events of each commit.
func (l *ledger) appends() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []string
	for _, c := range l.commits {
		list = append(list, historyOf(c.Events))
	}
	return list
}

// stage has an owner, its log and a bell. It lives in one synctest bubble.
type stage struct {
	t     *testing.T
	log   *ledger
	graph *engine.Graph
	state *engine.State
	bell  chan struct{}
	quiet chan struct{}    // closed, the owners of these tests begin nothing more
	said  *strings.Builder // what was logged
	slog  *slog.Logger
	park  time.Duration
	drain time.Duration
	begun time.Time
}

// drain is how long the owners of these tests wait for work that is told to stop.
const drain = 5 * time.Second

func newStage(t *testing.T, nodes []engine.Node, edges ...string) *stage {
	t.Helper()
	graph, err := engine.NewGraph(nodes, parseEdges(edges))
	if err != nil {
		t.Fatal(err)
	}
	return newStageOf(t, graph)
}

func newStageOf(t *testing.T, graph *engine.Graph) *stage {
	t.Helper()
	said := &strings.Builder{}
	bell := make(chan struct{}, 1)
	return &stage{
		t: t, graph: graph, log: &ledger{graph: graph, bell: bell, consumed: map[gathering.InboxID]int{}},
		bell: bell, quiet: make(chan struct{}), said: said, slog: slog.New(slog.NewTextHandler(said, nil)),
		park: time.Second, drain: drain, begun: time.Now(),
	}
}

// owner returns an owner and the turn it begins with: of a fresh run, or of one
// taken over from its log.
func (s *stage) owner() (*engine.Owner, engine.Turn) {
	s.t.Helper()
	s.state = engine.NewState(s.graph, "run_1", "run_1", "default")
	s.log.mu.Lock()
	events := slices.Clone(s.log.events)
	s.log.parked = false
	s.log.mu.Unlock()
	var (
		turn     engine.Turn
		consumed []gathering.InboxID
		err      error
	)
	if len(events) == 0 {
		turn, err = engine.Queue(s.state, time.Now(), gathering.RunQueuedData{Input: json.RawMessage(`{"n":1}`)})
		if err != nil {
			s.t.Fatal(err)
		}
		var next engine.Turn
		next, err = engine.Next(s.state, time.Now(), engine.Begin{})
		turn.Events, turn.Effects = append(turn.Events, next.Events...), next.Effects
	} else {
		for _, e := range events {
			if err := s.state.Fold(e); err != nil {
				s.t.Fatal(err)
			}
		}
		s.log.mu.Lock()
		mail := slices.Clone(s.log.inbox)
		s.log.seen = s.log.arrived
		s.log.mu.Unlock()
		for _, m := range mail {
			consumed = append(consumed, m.ID)
		}
		turn, err = engine.Next(s.state, time.Now(), engine.Takeover{Instance: "ins_2", Mail: mail})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	c := engine.NewCommit(s.state, turn)
	c.Consumed = consumed
	s.log.write(c)
	return &engine.Owner{
		State: s.state, Log: s.log, Now: time.Now, Bell: s.bell,
		ParkAfter: s.park, Quiet: s.quiet, Drain: s.drain, Logger: s.slog,
	}, turn
}

// ended is how an owner was done with its run.
type ended struct {
	ending engine.Ending
	err    error
	took   time.Duration
}

// start lets an owner go and returns where its end arrives.
func (s *stage) start(ctx context.Context) <-chan ended {
	s.t.Helper()
	o, turn := s.owner()
	done := make(chan ended, 1)
	from := time.Now()
	go func() {
		ending, err := o.Run(ctx, turn)
		s.state = o.State
		done <- ended{ending, err, time.Since(from)}
	}()
	return done
}

// play runs the run until its owner is done with it as wanted.
func (s *stage) play(want engine.Ending) time.Duration {
	s.t.Helper()
	end := <-s.start(s.t.Context())
	s.wantEnding(end, want)
	return end.took
}

func (s *stage) wantEnding(end ended, want engine.Ending) {
	s.t.Helper()
	if end.err != nil || end.ending != want {
		s.t.Errorf("the owner was done with the run as %d, %v, want %d: %s", end.ending, end.err, want, s.log.history())
	}
}

func (s *stage) wantHistory(want string) {
	s.t.Helper()
	if got := s.log.history(); got != want {
		s.t.Errorf("history\n got %s\nwant %s", got, want)
	}
}

// send puts mail into the inbox and rings.
func (s *stage) send(id string, kind engine.MailKind, data string) {
	s.log.deliver(engine.Mail{ID: gathering.InboxID(id), Kind: kind, Data: json.RawMessage(data)})
	s.ring()
}

func (s *stage) ring() {
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

// node is a node's report.
func (s *stage) node(id string) gathering.NodeReport {
	s.t.Helper()
	for _, n := range s.state.Report().Nodes {
		if n.ID == id {
			return n
		}
	}
	s.t.Fatalf("there is no node %s", id)
	return gathering.NodeReport{}
}

// clock says when an event came, counted from the run's beginning.
func (s *stage) at(word string) time.Duration {
	s.t.Helper()
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	for _, e := range s.log.events {
		if historyOf([]gathering.Event{e}) == word {
			return e.At.Sub(s.begun)
		}
	}
	s.t.Fatalf("%s is not in the log: %s", word, historyOf(s.log.events))
	return 0
}

func historyOf(events []gathering.Event) string {
	words := make([]string, 0, len(events))
	for _, e := range events {
		word := string(e.Type)
		if e.Node != "" {
			word = e.Node + ":" + strings.TrimPrefix(word, "node.")
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// does is a node whose work is fn. It may be done again.
func does(id string, fn func(ctx context.Context, j engine.Job) (engine.Outcome, error)) engine.Node {
	return engine.Node{ID: id, Do: engine.Work{Idempotent: true, Run: fn}}
}

// takes is a node that works for a while, unless it is told to stop.
func takes(id string, d time.Duration) engine.Node {
	return does(id, func(ctx context.Context, _ engine.Job) (engine.Outcome, error) {
		select {
		case <-time.After(d):
			return engine.Outcome{Output: json.RawMessage(`"` + id + `"`)}, nil
		case <-ctx.Done():
			return engine.Outcome{}, ctx.Err()
		}
	})
}

var errAway = gathering.NewError(gathering.KindUnavailable, "the database cannot be reached")

// step is a step of a tool.
func step(key string) gathering.Step {
	return gathering.Step{Key: key, Kind: gathering.StepTool, Result: json.RawMessage(fmt.Sprintf("%q", key))}
}
