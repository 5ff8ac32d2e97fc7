package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gathering"
	"gathering/internal/agent"
	"gathering/internal/definition"
	"gathering/internal/engine"
	"gathering/internal/llm"
	"gathering/internal/llm/llmtest"
	"gathering/internal/node"
	"gathering/internal/store/storetest"
	"gathering/internal/tool"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// bench has the tools and the model that definitions are bound to.
type bench struct {
	t     *testing.T
	specs []gathering.ToolSpec
	tools *tool.Registry
	model *llmtest.Script

	mu    sync.Mutex
	calls []tool.Call
}

type sayIn struct {
	Text  string `json:"text,omitempty" jsonschema:"what to say"`
	Times int    `json:"times,omitempty" jsonschema:"how often"`
	// Method is for the stand-in for http.request.
	Method string `json:"method,omitempty" jsonschema:"how to ask"`
}

type sayOut struct {
	Said string `json:"said"`
}

// asker is the stand-in for http.request, with calls that may be repeated and
// others that may not.
type asker struct{ tool.Tool }

func (asker) Repeatable(arguments json.RawMessage) bool {
	var in sayIn
	return len(arguments) == 0 || json.Unmarshal(arguments, &in) == nil && (in.Method == "" || in.Method == http.MethodGet)
}

func newBench(t *testing.T, turns ...llmtest.Turn) *bench {
	t.Helper()
	b := &bench{t: t, model: llmtest.New(turns...)}
	b.specs = []gathering.ToolSpec{
		{Name: "text.say", Description: "Says it."},
		{Name: "mail.send", Description: "Sends it.", SideEffect: true},
		{Name: "mail.file", Description: "Files it.", SideEffect: true, Idempotent: true},
		{Name: "notify.send", Description: "Tells it.", SideEffect: true},
		{Name: "http.request", Description: "Asks for it.", SideEffect: true},
		{Name: "text.fail", Description: "Fails."},
	}
	var tools []tool.Tool
	for _, spec := range b.specs {
		made, err := tool.New(spec, func(_ context.Context, c tool.Call, in sayIn) (sayOut, error) {
			b.mu.Lock()
			b.calls = append(b.calls, c)
			b.mu.Unlock()
			if spec.Name == "text.fail" {
				return sayOut{}, gathering.NewError(gathering.KindUnavailable, "no voice").WithCode("hoarse")
			}
			return sayOut{strings.Repeat(in.Text, max(in.Times, 1))}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if spec.Name == "http.request" {
			made = asker{made}
		}
		tools = append(tools, made)
	}
	var err error
	if b.tools, err = tool.NewRegistry(tools...); err != nil {
		t.Fatal(err)
	}
	return b
}

// models has the script under the names of two providers.
func (b *bench) models() *llm.Models {
	return llm.New(llmtest.Provider{"model": b.model}, offline{llmtest.Provider{"extract": b.model}})
}

// offline is a scripted provider under the name of the one that pipelines of
// the manual use.
type offline struct{ llmtest.Provider }

func (offline) Name() string { return "offline" }

func (b *bench) checker() *definition.Checker {
	c := &definition.Checker{
		Kinds:    node.Kinds(),
		Model:    b.models().Check,
		Agent:    func(string) bool { return false },
		Pipeline: func(name string) bool { return name == "other" },
		File:     func(string) (string, error) { return "archive", nil },
		Tool: func(name string) (gathering.ToolSpec, bool) {
			t, ok := b.tools.Lookup(name)
			if !ok {
				return gathering.ToolSpec{}, false
			}
			return t.Spec(), true
		},
	}
	for _, s := range b.specs {
		c.Tools = append(c.Tools, s.Name)
	}
	return c
}

func (b *bench) binder() *node.Binder {
	return &node.Binder{Tools: b.tools, Agents: &agent.Loop{Models: b.models(), Tools: b.tools, Clock: time.Now}}
}

// load checks a definition. A text without a name is given one, and a trigger.
func (b *bench) load(text string) *gathering.Definition {
	b.t.Helper()
	if !strings.HasPrefix(text, "name:") {
		text = "name: test\n" + text
	}
	def, err := b.checker().Load([]byte(text))
	if err != nil {
		b.t.Fatalf("load: %v\n%s", err, text)
	}
	return def
}

func (b *bench) bind(text string) *engine.Graph {
	b.t.Helper()
	graph, err := b.binder().Bind(b.load(text))
	if err != nil {
		b.t.Fatal(err)
	}
	return graph
}

// played is a run that ended, or waits for somebody.
type played struct {
	t      *testing.T
	state  *engine.State
	log    *ledger
	ending engine.Ending
	took   time.Duration
}

// play runs a definition with an input. It wants a synctest bubble.
func (b *bench) play(text, input string) *played {
	b.t.Helper()
	return b.playGraph(b.bind(text), input)
}

func (b *bench) playGraph(graph *engine.Graph, input string) *played {
	b.t.Helper()
	p := &played{t: b.t, state: engine.NewState(graph, "run_1", "run_1", gathering.DefaultProject), log: &ledger{graph: graph, bell: make(chan struct{}, 1)}}
	queued, err := engine.Queue(p.state, time.Now(), gathering.RunQueuedData{
		Input: json.RawMessage(input), Trigger: gathering.Trigger{Kind: "manual"}, Workspace: "/work",
	})
	if err != nil {
		b.t.Fatal(err)
	}
	begin, err := engine.Next(p.state, time.Now(), engine.Begin{})
	if err != nil {
		b.t.Fatal(err)
	}
	begin.Events = append(queued.Events, begin.Events...)
	if err := p.log.Append(b.t.Context(), engine.NewCommit(p.state, begin)); err != nil {
		b.t.Fatal(err)
	}
	owner := &engine.Owner{
		State: p.state, Log: p.log, Now: time.Now, Bell: p.log.bell,
		ParkAfter: 1000 * time.Hour, Drain: time.Second, Logger: slog.New(slog.DiscardHandler),
	}
	from := time.Now()
	if p.ending, err = owner.Run(b.t.Context(), begin); err != nil {
		b.t.Fatal(err)
	}
	p.state, p.took = owner.State, time.Since(from)
	return p
}

// ledger is a log in memory. A child run that is waited for ends at once, with
// its input as its output, or fails where its input is "fail".
type ledger struct {
	events   []gathering.Event
	children []engine.StartChild
	inbox    []engine.Mail
	arrived  int // entries that ever came
	seen     int // of these, before the inbox was read last
	graph    *engine.Graph
	bell     chan struct{}
}

func (l *ledger) Append(_ context.Context, c engine.Commit) error {
	if c.Conditional && l.arrived > l.seen {
		return gathering.NewError(gathering.KindConflict, "there is mail").WithCode(gathering.CodeMail)
	}
	l.events = append(l.events, c.Events...)
	l.inbox = slices.DeleteFunc(l.inbox, func(m engine.Mail) bool { return slices.Contains(c.Consumed, m.ID) })
	for _, s := range c.Start {
		l.children = append(l.children, s)
		if !s.Spec.Wait {
			if err := l.deliver("box_begun_"+s.ID, engine.MailChildBegun, engine.ChildBegunMail{Run: s.ID, Node: s.Trigger.Node}); err != nil {
				return err
			}
			continue
		}
		end := engine.ChildEndedMail{Run: s.ID, Node: s.Trigger.Node, State: gathering.RunCompleted, Output: s.Spec.Input}
		if string(s.Spec.Input) == `"fail"` {
			end.State, end.Output = gathering.RunFailed, nil
			end.Failure = &gathering.Failure{Kind: gathering.KindInvalid, Message: "no"}
		}
		if err := l.deliver("box_"+s.ID, engine.MailChildEnded, end); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) deliver(id gathering.RunID, kind engine.MailKind, mail any) error {
	data, err := json.Marshal(mail)
	if err != nil {
		return err
	}
	l.arrived++
	l.inbox = append(l.inbox, engine.Mail{ID: gathering.InboxID(id), Kind: kind, Data: data})
	select {
	case l.bell <- struct{}{}:
	default:
	}
	return nil
}

func (l *ledger) Mail(context.Context) ([]engine.Mail, error) {
	l.seen = l.arrived
	return slices.Clone(l.inbox), nil
}

func (l *ledger) Fold(context.Context) (*engine.State, error) {
	s := engine.NewState(l.graph, "run_1", "run_1", gathering.DefaultProject)
	for _, e := range l.events {
		if err := s.Fold(e); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// want compares where the run and its nodes stand, without the trigger, with
// lines such as
//
//	a completed {"said":"x"}
//	b failed unavailable hoarse: no voice
//	run completed 7
//
// where … at the end of a line stands for anything.
func (p *played) want(lines string) {
	p.t.Helper()
	report := p.state.Report()
	var got []string
	for _, n := range report.Nodes {
		if n.Kind != "trigger" {
			got = append(got, line(n.ID, string(n.State), n.Output, n.Error))
		}
	}
	got = append(got, line("run", string(report.State), report.Output, report.Error))
	var want []string
	for l := range strings.Lines(lines) {
		if l = strings.TrimSpace(l); l != "" {
			want = append(want, l)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.EqualFunc(got, want, func(g, w string) bool {
		begin, open := strings.CutSuffix(w, "…")
		return g == w || open && strings.HasPrefix(g, begin)
	}) {
		p.t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func line(id, state string, output json.RawMessage, failure *gathering.Failure) string {
	words := []string{id, state}
	if output != nil {
		words = append(words, string(output))
	}
	if failure != nil {
		words = append(words, strings.TrimSpace(fmt.Sprintf("%s %s", failure.Kind, failure.Code))+":", failure.Message)
		for _, f := range failure.Fields {
			words = append(words, "["+f.Field+"]")
		}
	}
	return strings.Join(words, " ")
}
