package run_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/run"
	"gathering/internal/store"
	"gathering/internal/store/storetest"
)

// act is what an instance asks of the database about a run.
type act string

const (
	claims   act = "claims"
	appends  act = "appends"
	parks    act = "parks" // appends and gives up, in one commit
	releases act = "releases"
	buries   act = "buries" // takes an instance for dead
	looks    act = "looks"
)

// question is an act with what it is about. Instances are numbered from 1.
type question struct {
	act      act
	run      int
	instance int
	epoch    int64
	seq      int64
}

// answer is what came of it.
type answer struct {
	verdict verdict
	// What a claim got or a look saw.
	owner      int
	epoch, seq int64
}

// verdict is how an act ended.
type verdict string

const (
	done    verdict = "done"
	refused verdict = "refused" // nothing was changed
	nothing verdict = "nothing" // nothing was changed, for whatever reason
	lost    verdict = "lost"    // it was done or it was not
)

// lock is what the database holds of a run: a lock whose epoch fences off its
// former owners, and how long the log is that it guards.
type lock struct {
	owner      int // 0 is nobody
	epoch, seq int64
	dead       uint64 // the instances that were taken for dead, a bit each
}

func (l lock) mine(q question) bool { return l.owner == q.instance && l.epoch == q.epoch }

// after is how the lock may be after an act that ended so; none is that it
// cannot have ended so.
func (l lock) after(q question, a answer) []lock {
	if a.verdict == lost {
		return append(l.after(q, answer{verdict: done, epoch: l.epoch + 1}), l)
	}
	if a.verdict == nothing {
		return []lock{l}
	}
	next := l
	switch q.act {
	case claims:
		next.owner, next.epoch = q.instance, l.epoch+1
		if l.owner != 0 || l.dead&(1<<q.instance) != 0 || a.epoch != next.epoch {
			return nil
		}
	case appends, parks:
		if l.mine(q) == (a.verdict == refused) {
			return nil
		}
		if a.verdict == refused {
			return []lock{l}
		}
		if next.seq = l.seq + 1; next.seq != q.seq {
			return nil
		}
		if q.act == parks {
			next.owner = 0
		}
	case releases:
		if l.mine(q) {
			next.owner = 0
		}
	case buries:
		if next.dead |= 1 << q.instance; l.owner == q.instance {
			next.owner = 0
		}
	case looks:
		if a.owner != l.owner || a.epoch != l.epoch || a.seq != l.seq {
			return nil
		}
	}
	return []lock{next}
}

// ownership is the model of the locks of runs, each by itself, which have one
// event in their logs when the history begins.
func ownership() porcupine.Model {
	model := porcupine.NondeterministicModel{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			var parts [][]porcupine.Operation
			for _, o := range history {
				q, _ := o.Input.(question)
				for len(parts) <= q.run {
					parts = append(parts, nil)
				}
				parts[q.run] = append(parts[q.run], o)
			}
			return parts
		},
		Init: func() []any { return []any{lock{seq: 1}} },
		Step: func(state, input, output any) []any {
			l, _ := state.(lock)
			q, _ := input.(question)
			a, _ := output.(answer)
			var next []any
			for _, l := range l.after(q, a) {
				next = append(next, l)
			}
			return next
		},
		Equal: func(a, b any) bool { return a == b },
		DescribeOperation: func(input, output any) string {
			return fmt.Sprintf("%+v → %+v", input, output)
		},
	}
	return model.ToModel()
}

// possible reports whether a history is one of locks that fence.
func possible(t *testing.T, history []porcupine.Operation) bool {
	t.Helper()
	result := porcupine.CheckOperationsTimeout(ownership(), history, patience)
	if result == porcupine.Unknown {
		t.Fatalf("%d acts are too many to be checked", len(history))
	}
	return result == porcupine.Ok
}

// impossible is the shortest beginning of the history of a run that cannot have
// happened, the last of it.
func impossible(t *testing.T, history []porcupine.Operation) string {
	t.Helper()
	for _, part := range ownership().Partition(history) {
		if possible(t, part) {
			continue
		}
		slices.SortFunc(part, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
		n := sort.Search(len(part), func(n int) bool { return !possible(t, until(part, n)) })
		var text strings.Builder
		for _, o := range part[max(n-25, 0):n] {
			fmt.Fprintf(&text, "%d–%d %d: %+v → %+v\n", o.Call/1000, o.Return/1000, o.ClientId, o.Input, o.Output)
		}
		return text.String()
	}
	return ""
}

// until is a history as it was known when the n-th act had returned: what was
// under way then came to something or not.
func until(part []porcupine.Operation, n int) []porcupine.Operation {
	known := slices.Clone(part[:n])
	for _, o := range part[n:] {
		if n > 0 && o.Call < part[n-1].Return {
			o.Return, o.Output = never, answer{verdict: lost}
			known = append(known, o)
		}
	}
	return known
}

// TestOwnershipModel holds that the model tells what can happen from what
// cannot.
func TestOwnershipModel(t *testing.T) {
	t.Parallel()
	type step struct {
		from, to int64
		q        question
		a        answer
	}
	first := step{1, 2, question{act: claims, instance: 1}, answer{verdict: done, epoch: 1}}
	buried := step{5, 6, question{act: buries, instance: 1}, answer{verdict: done}}
	second := step{7, 8, question{act: claims, instance: 2}, answer{verdict: done, epoch: 2}}
	late := question{act: appends, instance: 1, epoch: 1, seq: 2}
	for name, test := range map[string]struct {
		steps []step
		want  bool
	}{
		"one after the other":         {[]step{first, buried, second}, true},
		"two owners":                  {[]step{first, {3, 4, second.q, second.a}}, false},
		"the same epoch again":        {[]step{first, buried, {7, 8, second.q, answer{verdict: done, epoch: 1}}}, false},
		"a zombie writes":             {[]step{first, buried, second, {9, 10, late, answer{verdict: done}}}, false},
		"a zombie is fenced":          {[]step{first, buried, second, {9, 10, late, answer{verdict: refused}}}, true},
		"it wrote while it was dying": {[]step{first, {3, 6, late, answer{verdict: done}}, buried, second}, true},
		"an owner is fenced":          {[]step{first, {3, 4, late, answer{verdict: refused}}}, false},
		"the dead claim":              {[]step{first, buried, {7, 8, first.q, answer{verdict: done, epoch: 2}}}, false},
		"a write is lost": {[]step{
			first,
			{3, 4, late, answer{verdict: done}},
			{5, 6, question{act: looks}, answer{verdict: done, owner: 1, epoch: 1, seq: 1}},
		}, false},
		"a lost answer, done": {[]step{
			{1, 100, first.q, answer{verdict: lost}},
			{5, 6, question{act: looks}, answer{verdict: done, owner: 1, epoch: 1, seq: 1}},
		}, true},
		"a lost answer, not done": {[]step{
			{1, 100, first.q, answer{verdict: lost}},
			{5, 6, question{act: looks}, answer{verdict: done, seq: 1}},
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var history []porcupine.Operation
			for i, s := range test.steps {
				history = append(history, porcupine.Operation{ClientId: i, Input: s.q, Call: s.from, Output: s.a, Return: s.to})
			}
			if got := possible(t, history); got != test.want {
				t.Errorf("possible: %t, want %t", got, test.want)
			}
		})
	}
}

// never is when an act returns of which nobody knows what came of it.
const never = 1 << 62

// record is what instances did to runs, on one clock.
type record struct {
	begun time.Time
	runs  []gathering.RunID

	mu        sync.Mutex
	history   []porcupine.Operation
	instances []gathering.InstanceID // by their number, less one
	verdicts  map[string]int
}

func (r *record) now() int64 { return int64(time.Since(r.begun)) }

// add adds what came of a question that was asked at a time.
func (r *record) add(client int, from int64, q question, a answer) {
	to := r.now()
	if a.verdict == lost {
		to = never
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verdicts[string(q.act)+" "+string(a.verdict)]++
	r.history = append(r.history, porcupine.Operation{ClientId: client, Input: q, Call: from, Output: a, Return: to})
}

// number is that of an instance; 0 is of nobody.
func (r *record) number(id string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, known := range r.instances {
		if string(known) == id {
			return i + 1
		}
	}
	return 0
}

// player is an instance that plays with runs, as client of its own service.
type player struct {
	*house
	record *record
	db     *store.DB // without faults
	client int
	random *rand.Rand
	id     gathering.InstanceID
	self   int                   // its number
	held   map[int]gathering.Run // what it believes to own
	seq    map[int]int64         // and how long their logs are
}

// register makes the player an instance that nobody knew before.
func (p *player) register() {
	p.t.Helper()
	p.id = gathering.NewInstanceID(time.Now())
	p.held, p.seq = map[int]gathering.Run{}, map[int]int64{}
	change(p.t, p.db, `INSERT INTO instances (id, started_at, counter, host, pid, version, max_engine, beat)
		VALUES ($1, 1, 0, '', 0, '', 1, 1)`, string(p.id))
	p.record.mu.Lock()
	p.record.instances = append(p.record.instances, p.id)
	p.self = len(p.record.instances)
	p.record.mu.Unlock()
}

func verdictOf(err error) verdict {
	switch {
	case err == nil:
		return done
	case gathering.CodeOf(err) == gathering.CodeFenced:
		return refused
	default:
		return lost
	}
}

// play makes a random move.
func (p *player) play() {
	i := p.random.IntN(len(p.record.runs))
	for mine := range p.held { // an owner mostly goes on with what it has
		if p.random.IntN(10) < 8 {
			i = mine
		}
	}
	r, owns := p.held[i]
	switch move := p.random.IntN(100); {
	case move < 12:
		p.look(i)
	case move < 16:
		p.bury()
	case !owns:
		p.claim(i)
	case move < 70:
		p.append(i, r, appends)
	case move < 85:
		p.append(i, r, parks)
	default:
		p.release(i, r)
	}
}

func (p *player) claim(i int) {
	from := p.record.now()
	r, ok, err := p.ClaimRun(p.t.Context(), p.id, p.record.runs[i])
	a := answer{verdict: nothing}
	switch {
	case ok:
		a = answer{verdict: done, epoch: r.Epoch}
	case err != nil && gathering.CodeOf(err) != gathering.CodeFenced:
		a.verdict = lost
	}
	p.record.add(p.client, from, question{act: claims, run: i, instance: p.self}, a)
	switch {
	case ok:
		p.held[i] = r
		p.seq[i] = p.look(i)
	case err != nil && a.verdict != lost:
		p.register() // others took it for dead
	}
}

// look reads a run as it is, and returns how long its log is.
func (p *player) look(i int) int64 {
	var (
		owner string
		a     = answer{verdict: done}
	)
	from := p.record.now()
	err := p.db.Read().QueryRow(p.t.Context(), `SELECT coalesce(owner, ''), epoch, (SELECT max(seq) FROM run_log WHERE run_id = runs.id)
		FROM runs WHERE id = $1`, string(p.record.runs[i])).Scan(&owner, &a.epoch, &a.seq)
	if err != nil {
		p.t.Errorf("look at a run: %v", err)
		return 0
	}
	a.owner = p.record.number(owner)
	p.record.add(p.client, from, question{act: looks, run: i}, a)
	return a.seq
}

func (p *player) append(i int, r gathering.Run, how act) {
	q := question{act: how, run: i, instance: p.self, epoch: r.Epoch, seq: p.seq[i] + 1}
	from := p.record.now()
	state := gathering.RunRunning
	if how == parks {
		state = gathering.RunWaiting
	}
	err := p.AppendOne(p.t.Context(), r, q.seq, state)
	a := answer{verdict: verdictOf(err)}
	p.record.add(p.client, from, q, a)
	p.seq[i]++
	if how == parks || a.verdict != done {
		delete(p.held, i)
	}
}

func (p *player) release(i int, r gathering.Run) {
	from := p.record.now()
	a := answer{verdict: verdictOf(p.ReleaseRun(p.t.Context(), r))}
	p.record.add(p.client, from, question{act: releases, run: i, instance: p.self, epoch: r.Epoch}, a)
	delete(p.held, i)
}

// bury takes an instance for dead that may well be alive, and does not hear of it.
func (p *player) bury() {
	p.record.mu.Lock()
	n := len(p.record.instances) - p.random.IntN(min(5, len(p.record.instances)))
	id := p.record.instances[n-1]
	p.record.mu.Unlock()
	from := p.record.now()
	a := answer{verdict: verdictOf(p.Orphan(p.t.Context(), id))}
	for i := range p.record.runs {
		p.record.add(p.client, from, question{act: buries, run: i, instance: n}, a)
	}
}

// faulty commits, mostly. Now and then it is late, does not commit, or commits
// and says that it could not.
func faulty(random *rand.Rand) func(context.Context, func() error) error {
	var mu sync.Mutex
	return func(_ context.Context, commit func() error) error {
		mu.Lock()
		fate, late := random.IntN(100), time.Duration(random.IntN(4000))*time.Microsecond
		mu.Unlock()
		switch {
		case fate < 3:
			return errAway
		case fate < 7:
			if err := commit(); err != nil {
				return err
			}
			return errAway
		case fate < 30:
			<-time.After(late)
		}
		return commit()
	}
}

// TestOwnershipHistories has instances claim, write to, park and give up the
// same few runs, take one another for dead, and lose answers. What each of them
// was told must be what could have happened one after the other to a lock that
// fences off its former owners.
func TestOwnershipHistories(t *testing.T) {
	t.Parallel()
	games := 4
	if os.Getenv("GATHERING_SOAK") != "" {
		games = 200
	}
	for range games {
		seed := rand.Uint64N(1_000_000)
		if given, err := strconv.ParseUint(os.Getenv("GATHERING_SEED"), 10, 64); err == nil {
			seed = given
		}
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			r := playGame(t, seed)
			if !possible(t, r.history) {
				t.Errorf("seed %d: this cannot have happened:\n%s", seed, impossible(t, r.history))
			}
			for _, what := range []string{"claims done", "appends done", "parks done", "releases done", "buries done"} {
				if r.verdicts[what] == 0 {
					t.Errorf("seed %d proves nothing: %v", seed, r.verdicts)
				}
			}
			t.Logf("%d acts: %v", len(r.history), r.verdicts)
		})
	}
}

// playGame has four instances make their moves.
func playGame(t *testing.T, seed uint64) *record {
	t.Helper()
	where := storetest.PostgreSQL(t)
	sound := storetest.Open(t, where)
	p := newPipelines()
	p.add(t, "line", []engine.Node{trigger(), p.work("a")}, "t→a")
	r := &record{begun: time.Now(), verdicts: map[string]int{}}
	first := openHouse(t, sound, p)
	for range 3 {
		r.runs = append(r.runs, first.start("line"))
	}
	var players []*player
	for client := range 4 {
		random := rand.New(rand.NewPCG(seed, uint64(client)))
		where.Commit = faulty(rand.New(rand.NewPCG(seed, uint64(100+client))))
		h := openHouseWith(t, run.Options{DB: storetest.Open(t, where), Pipelines: p})
		player := &player{house: h, record: r, db: sound, client: client, random: random}
		player.register()
		players = append(players, player)
	}
	var game sync.WaitGroup
	for _, p := range players {
		game.Go(func() {
			for range 200 {
				p.play()
			}
		})
	}
	game.Wait()
	return r
}

// TestSameWordsOfAnotherOwner has a former owner who was not told what came of
// a commit look whether it was written, and find what its successor wrote in the same words.
func TestSameWordsOfAnotherOwner(t *testing.T) {
	t.Parallel()
	where := storetest.PostgreSQL(t)
	p := newPipelines()
	p.add(t, "line", []engine.Node{trigger(), p.work("a")}, "t→a")
	sound := storetest.Open(t, where)
	second := openHouse(t, sound, p)
	fault := &saboteur{fault: func(commit func() error) error { return errors.Join(commit(), errAway) }}
	where.Commit = fault.commit
	first := openHouse(t, storetest.Open(t, where), p)
	r := &record{runs: []gathering.RunID{second.start("line")}, verdicts: map[string]int{}}
	owners := []*player{{house: first, record: r, db: sound}, {house: second, record: r, db: sound}}
	for i, o := range owners {
		o.register()
		if o.claim(0); o.held[0].Epoch != int64(i+1) {
			t.Fatalf("got epoch %d, want %d", o.held[0].Epoch, i+1)
		}
		if err := second.Orphan(t.Context(), owners[0].id); err != nil {
			t.Fatal(err)
		}
	}
	if err := second.AppendOne(t.Context(), owners[1].held[0], 2, gathering.RunRunning); err != nil {
		t.Fatal(err)
	}
	fault.aim(1)
	fault.set(true)
	err := first.AppendOne(t.Context(), owners[0].held[0], 2, gathering.RunRunning)
	if gathering.CodeOf(err) != gathering.CodeFenced || !fault.struck() {
		t.Errorf("got %v, want that the run is another's", err)
	}
}
