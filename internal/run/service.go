package run

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gathering"
	"gathering/internal/audit"
	"gathering/internal/codec"
	"gathering/internal/engine"
	"gathering/internal/event"
	"gathering/internal/once"
	"gathering/internal/roster"
	"gathering/internal/store"
	"gathering/internal/vital"
)

// EngineVersion is the newest form of log that this program folds. A run
// needs at least its own, and older programs leave it alone.
const EngineVersion = 1

// Pipelines is what runs need to know of stored pipelines.
type Pipelines interface {
	// Graph returns the bound graph of a version.
	Graph(ctx context.Context, id gathering.PipelineID, version int) (*engine.Graph, error)
	// Admit returns the published version of a pipeline of the project, if it
	// takes the input.
	Admit(ctx context.Context, project gathering.ProjectID, name string, input json.RawMessage) (gathering.PipelineID, int, error)
}

// Options configure a [Service].
type Options struct {
	DB        *store.DB
	Pipelines Pipelines
	Logger    *slog.Logger     // nil: nobody hears
	Now       func() time.Time // nil is time.Now
	// Patience is how long a commit, or the reading of a run that was just
	// claimed, waits for a database that is away or full; 10 s.
	Patience time.Duration
	// MaxTurn bounds what one turn of one run may write, in bytes; 128 MB. A turn
	// that would write more, such as one that starts hundreds of children with
	// megabytes of input each, cannot be made, and ends its run.
	MaxTurn int
}

// Service stores and reads runs. It executes none: a [Worker] does.
type Service struct {
	db        *store.DB
	pipelines Pipelines
	logger    *slog.Logger
	now       func() time.Time
	patience  time.Duration
	maxTurn   int
	bell      event.Bell
	relay     *event.Relay // nil where there are no other processes
	ends      event.Ends
	vitals    vital.Vitals
	committer *store.Committer[*member]
	local     localWorker
}

// NewService returns a service. Close it.
func NewService(o Options) *Service {
	s := &Service{db: o.DB, pipelines: o.Pipelines, logger: o.Logger, now: o.Now, patience: o.Patience, maxTurn: o.MaxTurn}
	if s.now == nil {
		s.now = time.Now
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	setDefault(&s.patience, 10*time.Second)
	setDefault(&s.maxTurn, 128<<20)
	s.committer = store.NewCommitter(store.CommitterOptions[*member]{
		Write: s.writeHeld, Reread: s.reread, Size: (*member).size, MaxMember: s.maxTurn, Patience: s.patience,
	})
	if channel, ok := s.db.Channel(); ok {
		s.relay = s.bell.Relay(channel, s.logger)
	}
	return s
}

// Bell is rung for what happens to runs: [TopicLog], and [event.TopicFeed] for
// all of them.
func (s *Service) Bell() *event.Bell { return &s.bell }

// Close waits for commits under way. Stop the worker first.
func (s *Service) Close() {
	s.committer.Close()
	if s.relay != nil {
		s.relay.Stop()
	}
}

// New says what a new run is.
type New struct {
	ID        gathering.RunID // "" makes a fresh one
	Project   gathering.ProjectID
	Pipeline  gathering.PipelineID
	Version   int
	Input     json.RawMessage
	Vars      map[string]json.RawMessage
	Labels    map[string]string
	Workspace string
	Priority  int // from -MaxPriority to MaxPriority; the higher goes first
	// Key is one that no other run of the project has until this one has ended,
	// at most MaxKey bytes; "" is none.
	Key string
	// OnKey says what to do where another has the key; KeyReject.
	OnKey OnKey
}

// Start stores a new run. When it returns, the run is durable. A worker of
// this process with a free slot begins it at once; else the next free worker
// does. Input is expected to have been checked against the pipeline's schema.
// A run whose pipeline bounds how many are under way waits for its place.
func (s *Service) Start(ctx context.Context, n New) (gathering.Run, error) {
	if err := checkNew(n); err != nil {
		return gathering.Run{}, err
	}
	if n.Key != "" {
		return s.startKeyed(ctx, n)
	}
	return s.startOne(ctx, n)
}

func (s *Service) startOne(ctx context.Context, n New) (gathering.Run, error) {
	graph, err := s.pipelines.Graph(ctx, n.Pipeline, n.Version)
	if err != nil {
		return gathering.Run{}, err
	}
	r, err := s.newRun(ctx, graph, n)
	if err != nil {
		return gathering.Run{}, err
	}
	f := fresh{row: insertOf(r, r.CreatedAt), state: engine.NewState(graph, r.ID, r.Root, r.Project), cause: "run.start"}
	f.row.runKey = n.Key
	f.turn, err = engine.Queue(f.state, r.CreatedAt, gathering.RunQueuedData{
		Pipeline: n.Pipeline, Version: n.Version, Input: n.Input, Vars: n.Vars,
		Trigger: trigger(ctx), Workspace: n.Workspace,
	})
	if err != nil {
		return gathering.Run{}, err
	}
	return s.insertFresh(ctx, f)
}

// trigger is what causes a run that somebody asks for.
func trigger(ctx context.Context) gathering.Trigger {
	c, _ := audit.CallerOf(ctx)
	return gathering.Trigger{Kind: "manual", By: c.Name, Request: c.Request}
}

// newRun is the row of a new run, which is not stored yet.
func (s *Service) newRun(ctx context.Context, graph *engine.Graph, n New) (gathering.Run, error) {
	now := s.now().UTC().Truncate(time.Microsecond)
	if err := checkNew(n); err != nil {
		return gathering.Run{}, err
	}
	r := gathering.Run{
		ID: n.ID, Project: n.Project, Pipeline: n.Pipeline, Version: n.Version,
		State: gathering.RunQueued, Priority: n.Priority, Labels: n.Labels, CreatedAt: now,
	}
	if r.ID == "" {
		r.ID = gathering.NewRunID(now)
	} else if _, err := roster.Run(ctx, s.db.Read(), r.ID); gathering.KindOf(err) != gathering.KindNotFound {
		if err == nil {
			err = gathering.NewError(gathering.KindConflict, "there is a run %s already", r.ID)
		}
		return gathering.Run{}, err
	}
	r.Root = r.ID
	if graph.Timeout > 0 {
		deadline := now.Add(graph.Timeout)
		r.Deadline = &deadline
	}
	return r, nil
}

func checkNew(n New) error {
	if n.ID != "" && !gathering.ValidRunID(n.ID) {
		return gathering.NewError(gathering.KindInvalid, "the ID is none that a run can have").
			WithFields(gathering.FieldError{Field: "id", Problem: "must be run_ and 26 letters and digits"})
	}
	if n.Priority < -MaxPriority || n.Priority > MaxPriority {
		return gathering.NewError(gathering.KindInvalid, "the priority is out of range").WithFields(gathering.FieldError{
			Field: "priority", Problem: fmt.Sprintf("must be from %d to %d", -MaxPriority, MaxPriority),
		})
	}
	if err := checkRunKey(n); err != nil {
		return err
	}
	if n.Input != nil {
		if err := gathering.CheckJSON("input", n.Input); err != nil {
			return err
		}
	}
	for name, value := range n.Vars {
		if err := gathering.CheckJSON("vars."+name, value); err != nil {
			return err
		}
	}
	return nil
}

// fresh is a new run that is not stored yet.
type fresh struct {
	row   insert
	state *engine.State // after the first turn
	turn  engine.Turn
	cause string // what somebody did that it comes of, as the audit trail names it
}

// insertFresh stores a run with the first turn of its log and, with a local
// worker that has a free slot, the first events of its work in the same commit.
func (s *Service) insertFresh(ctx context.Context, f fresh) (gathering.Run, error) {
	r, state, turn := f.row.run, f.state, f.turn
	graph, err := s.pipelines.Graph(ctx, r.Pipeline, r.Version)
	if err != nil {
		return gathering.Run{}, err
	}
	if err := f.row.bind(graph, state.Queued); err != nil {
		return gathering.Run{}, err
	}
	var worker *shift
	if f.row.concurrencyKey == "" {
		worker = s.local.take(r)
	}
	if worker != nil {
		begin, err := engine.Next(state, r.CreatedAt, engine.Begin{})
		if err != nil {
			worker.giveBack(r.ID)
			return gathering.Run{}, fmt.Errorf("begin %s: %w", r.ID, err)
		}
		turn.Events = append(turn.Events, begin.Events...)
		turn.Effects = begin.Effects
		r.Owner, r.Epoch = worker.instance, 1
	}
	l := newRunLog(s, r)
	l.fresh, l.shift = &f.row, worker
	if c, ok := audit.CallerOf(ctx); ok {
		entry := gathering.AuditEntry{Action: f.cause, Object: string(r.ID), Project: r.Project, Reason: string(f.row.origin)}
		l.entries = []gathering.AuditEntry{c.By(entry, r.CreatedAt)}
	}
	l.parentNode = state.Queued.Trigger.Node
	l.know(state.Queued) // for children that this very commit starts
	if worker != nil {
		l.subscribe()
	}
	if err := l.Append(ctx, engine.NewCommit(state, turn)); err != nil {
		if worker != nil {
			l.unsubscribe()
			worker.giveBack(r.ID)
		}
		return gathering.Run{}, fmt.Errorf("insert %s: %w", r.ID, err)
	}
	r.State = state.Run
	switch {
	case worker != nil:
		worker.own(l, state, turn)
	case f.row.concurrencyKey == "":
		s.bell.Ring(topicClaim)
	default:
	}
	return r, nil
}

// send puts an entry into a run's inbox, makes a parked run claimable and
// returns the run as it is then. A run that waits for its place can be asked
// for nothing but to stop.
func (s *Service) send(ctx context.Context, id gathering.RunID, kind engine.MailKind, data []byte) (gathering.Run, error) {
	now := s.now()
	r, err := once.Do(ctx, s.db, func(tx *store.Tx) (gathering.Run, error) {
		var n int64
		err := tx.QueryRow(ctx, `UPDATE runs SET inbox = inbox + 1,
			ready_at = CASE WHEN owner IS NULL THEN $2 ELSE ready_at END
			WHERE id = $1 AND finished_at IS NULL AND ($3 = 'cancel' OR concurrency_key IS NULL OR granted_at IS NOT NULL)
			RETURNING inbox`,
			string(id), now.UnixMicro(), string(kind)).Scan(&n)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return gathering.Run{}, err
		}
		r, found := roster.Run(ctx, tx, id)
		if found != nil {
			return r, found
		}
		switch {
		case err != nil && !r.State.Terminal():
			return r, gathering.NewError(gathering.KindConflict, "run %s waits for its turn among those with its concurrency key; until then it can only be cancelled", id)
		case err != nil:
			return r, gathering.NewError(gathering.KindConflict, "run %s has ended: %s", id, r.State)
		}
		if _, err = tx.Exec(ctx, `INSERT INTO run_inbox (run_id, id, kind, data, at, n) VALUES ($1, $2, $3, $4, $5, $6)`,
			string(id), string(gathering.NewInboxID(now)), string(kind), codec.Encode(data), now.UnixMicro(), n); err != nil {
			return r, err
		}
		return r, audit.Record(ctx, tx, gathering.AuditEntry{Action: "run." + string(kind), Object: string(id), Project: r.Project}, now)
	})
	if err != nil {
		return r, fmt.Errorf("send %s to %s: %w", kind, id, err)
	}
	s.ringMail(id)
	s.bell.Ring(topicClaim)
	return r, nil
}

// ringMail tells the owner of a run that it has mail: there is one owner, here
// or elsewhere.
func (s *Service) ringMail(id gathering.RunID) {
	if !s.bell.RingHere(topicMail(id)) {
		s.bell.RingElsewhere(topicMail(id))
	}
}

// Topics of the bell.
const (
	topicClaim = "claim" // a run may have become claimable
	topicGrant = "grant" // a run with a concurrency key waits, or one has ended
)

// TopicLog is what the bell is rung for when a run's log has grown.
func TopicLog(id gathering.RunID) string { return "log:" + string(id) }

func topicEnd(id gathering.RunID) string  { return "end:" + string(id) }
func topicMail(id gathering.RunID) string { return "mail:" + string(id) }
