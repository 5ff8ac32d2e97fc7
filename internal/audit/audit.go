package audit

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"gathering"
	"gathering/internal/store"
)

// Caller is who asks, and by what. It travels by context from where a request
// comes in to where its entries are written.
type Caller struct {
	Actor      string // a user's ID, or [gathering.CommandLine]
	Name       string
	Credential string
	Address    string
	Agent      string
	Request    string
}

type callerKey struct{}

// WithCaller returns a context of somebody's request.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf returns whose request a context belongs to. False is nobody's: what
// the program does by itself is not audited.
func CallerOf(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// maxText bounds each text of an entry, in bytes.
const maxText = 512

// By fills in who the entry is about, at what time, and what else its action
// leaves open, and makes of it what a database stores.
func (c Caller) By(e gathering.AuditEntry, now time.Time) gathering.AuditEntry {
	if e.Actor == "" && e.ActorName == "" {
		e.Actor, e.ActorName, e.Credential = c.Actor, c.Name, c.Credential
	}
	e.Address, e.Agent, e.Request = c.Address, c.Agent, c.Request
	if e.Outcome == "" {
		e.Outcome = gathering.OutcomeDone
	}
	for _, text := range []*string{
		&e.Actor, &e.ActorName, &e.Credential, &e.Address, &e.Agent, &e.Request,
		&e.Action, &e.Object, (*string)(&e.Project), (*string)(&e.Outcome), &e.Reason,
	} {
		*text = storable(*text)
	}
	e.At = now.UTC().Truncate(time.Microsecond)
	e.Times = max(e.Times, 1)
	return e
}

// storable makes text one that both databases store, and not too long. Nothing
// of a longer one stays in memory.
func storable(text string) string {
	long := len(text) > maxText
	if long {
		text = text[:maxText]
	}
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	if len(text) > maxText { // each replacement has more bytes than what it replaces
		text = strings.ToValidUTF8(text[:maxText], "")
	}
	if long {
		text = strings.Clone(text)
	}
	return text
}

const insert = `INSERT INTO audit (at, actor, actor_name, credential, address, agent, request, action, object, project, outcome, reason, times)`

// Record writes an entry in the transaction of what it tells of. Without a
// caller there is none to write.
func Record(ctx context.Context, tx *store.Tx, e gathering.AuditEntry, now time.Time) error {
	c, ok := CallerOf(ctx)
	if !ok {
		return nil
	}
	if _, err := tx.Exec(ctx, insert+` VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`, values(c.By(e, now))...); err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, err)
	}
	return nil
}

// Add adds entries, which are complete, to a batch.
func Add(b *store.Batch, entries []gathering.AuditEntry) {
	rows := make([][]any, len(entries))
	for i, e := range entries {
		rows[i] = values(e)
	}
	text := func(name string) store.Column { return store.Column{Name: name, Type: store.Text} }
	b.Rows(insert+` {values}`, []store.Column{
		{Name: "at", Type: store.Int},
		text("actor"), text("actor_name"), text("credential"), text("address"), text("agent"), text("request"),
		text("action"), text("object"), text("project"), text("outcome"), text("reason"),
		{Name: "times", Type: store.Int},
	}, rows, nil)
}

func values(e gathering.AuditEntry) []any {
	return []any{
		e.At.UnixMicro(), e.Actor, e.ActorName, e.Credential, e.Address, e.Agent, e.Request,
		e.Action, e.Object, string(e.Project), string(e.Outcome), e.Reason, e.Times,
	}
}

const columns = `id, at, actor, actor_name, credential, address, agent, request, action, object, project, outcome, reason, times, coalesce(seal, 0)`

// scan reads an entry, and into more what columns there are beside its own.
func scan(row store.Scanner, more ...any) (gathering.AuditEntry, error) {
	var (
		e  gathering.AuditEntry
		at int64
	)
	err := row.Scan(append([]any{
		&e.ID, &at, &e.Actor, &e.ActorName, &e.Credential, &e.Address, &e.Agent, &e.Request,
		&e.Action, &e.Object, &e.Project, &e.Outcome, &e.Reason, &e.Times, &e.Seal,
	}, more...)...)
	e.At = time.UnixMicro(at).UTC()
	return e, err
}

// Entries of an object are found by an index of their own.
const (
	selected = ` AND ($1 = '' OR actor = $1 OR actor_name = $1) AND ($2 = '' OR action = $2) AND ($4 = '' OR outcome = $4)
		AND ($5 = '' OR (project <> '' AND project NOT LIKE '%"%' AND replace($5, '"' || project || '"', '') <> $5))
		AND at >= $6 AND at < $7 AND id < $8 ORDER BY id DESC LIMIT $9`
	allEntries    = `SELECT ` + columns + ` FROM audit WHERE $3 = ''` + selected
	objectEntries = `SELECT ` + columns + ` FROM audit WHERE object = $3` + selected
)

// Entries returns those that the filter selects, the newest first.
func Entries(ctx context.Context, q store.Querier, f gathering.AuditFilter) ([]gathering.AuditEntry, error) {
	limit := f.Limit
	if limit <= 0 {
		limit = 50
	}
	query := allEntries
	if f.Object != "" {
		query = objectEntries
	}
	rows, err := q.Query(ctx, query, f.Actor, f.Action, f.Object, string(f.Outcome), quoted(f.Projects),
		micros(f.Since, math.MinInt64), micros(f.Till, math.MaxInt64), cmp.Or(f.Before, math.MaxInt64), min(limit, 500))
	if err != nil {
		return nil, fmt.Errorf("read the audit trail: %w", err)
	}
	var entries []gathering.AuditEntry
	err = rows.Each(func(row store.Scanner) error {
		e, err := scan(row)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the audit trail: %w", err)
	}
	return entries, nil
}

// quoted is the projects as one parameter, because lists differ between the
// databases: each in quotes after an empty one, so that what is in quotes and
// not empty is one of them; "" is without bound. No project has a quote in it.
func quoted(projects []gathering.ProjectID) string {
	if projects == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString(`""`)
	for _, p := range projects {
		if !strings.Contains(string(p), `"`) {
			b.WriteString(`"` + string(p) + `"`)
		}
	}
	return b.String()
}

func micros(t time.Time, otherwise int64) int64 {
	if t.IsZero() {
		return otherwise
	}
	return t.UnixMicro()
}
