package api

import (
	"cmp"
	"context"
	"iter"
	"strconv"
	"strings"

	"gathering"
	"gathering/internal/auth"
	"gathering/internal/event"
	"gathering/internal/watch"
)

// interest says what somebody wants to see of everything.
type interest struct {
	types   []string // as run.failed, or run.* for all that begin so; none is all
	project gathering.ProjectID
	stream  string
}

func (i interest) wants(t *watch.Told) bool {
	switch {
	case i.stream != "" && i.stream != t.Stream, i.project != "" && i.project != t.Project:
		return false
	case len(i.types) == 0:
		return true
	}
	for _, wanted := range i.types {
		prefix, all := strings.CutSuffix(wanted, "*")
		if string(t.Type) == wanted || all && strings.HasPrefix(string(t.Type), prefix) {
			return true
		}
	}
	return false
}

// sight remembers what somebody may see.
type sight map[watch.Owner]bool

func (m sight) sees(p *gathering.Principal, o watch.Owner) bool {
	sees, known := m[o]
	if !known {
		sees = auth.Judge(p, o.Action, o.Project) == auth.Allowed
		m[o] = sees
	}
	return sees
}

func (a *API) watchAll(ctx context.Context, in *struct {
	Type        []string            `query:"type" maxItems:"50" doc:"Only these, as run.failed, or run.* for all that begin so."`
	Project     gathering.ProjectID `query:"project" maxLength:"100"`
	Stream      string              `query:"stream" maxLength:"300" doc:"Only of this object."`
	Limit       int                 `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"Of how many commits at most, of a list."`
	Cursor      string              `query:"cursor" maxLength:"100" doc:"The next_cursor of the page before, of a list. Without one it begins with the oldest that is kept."`
	LastEventID string              `header:"Last-Event-Id" maxLength:"100" doc:"The ID of the last event that was seen, of a stream. Without one it begins with what is new."`
	LastID      string              `query:"last_event_id" maxLength:"100" doc:"The same, for those who cannot send headers."`
},
) (*flow, error) {
	of := interest{in.Type, in.Project, in.Stream}
	if !wantsStream(askedOf(ctx).request) {
		return a.listFeed(ctx, of, in.Cursor, in.Limit)
	}
	after, known, err := a.place(ctx, cmp.Or(in.LastEventID, in.LastID))
	if err != nil {
		return nil, err
	}
	return a.watched(ctx, func() error { return nil }, func(ctx context.Context, s *spectator) error {
		if !known {
			if err := s.snapshot("this is another log than before: read everything anew"); err != nil {
				return err
			}
		}
		return s.all(ctx, of, after)
	})
}

// place is the position in the feed that an ID tells; without one it is where
// the feed stands now. Not known is one of another log than this, and one that
// is not reached yet, as where the database was restored from a copy.
func (a *API) place(ctx context.Context, id string) (after int64, known bool, err error) {
	log, text, _ := strings.Cut(id, ".")
	if id != "" && log == a.DB.LogID() {
		if after, err = positionOf(text); err != nil {
			return 0, false, err
		}
		known = true
	}
	newest, err := event.Newest(ctx, a.DB.Read())
	if err != nil || known && after <= newest {
		return after, known, err
	}
	return newest, id == "", nil
}

func (a *API) placeID(pos int64) string { return a.DB.LogID() + "." + strconv.FormatInt(pos, 10) }

func (a *API) listFeed(ctx context.Context, of interest, cursor string, limit int) (*flow, error) {
	after := int64(0)
	if cursor != "" {
		var (
			known bool
			err   error
		)
		if after, known, err = a.place(ctx, cursor); err != nil || !known {
			return nil, errCursor()
		}
	}
	commits, err := a.Watch.Commits(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	p := Page[gathering.Event]{Items: []gathering.Event{}}
	seen := sight{}
	for i := range commits {
		after = commits[i].Pos
		for _, t := range commits[i].Events {
			if seen.sees(askedOf(ctx).principal, t.Owner) && of.wants(&t) {
				p.Items = append(p.Items, t.Event)
			}
		}
	}
	if len(commits) > 0 {
		p.NextCursor = a.placeID(after)
	}
	return listing(p), nil
}

// all tells what happens to everything.
func (s *spectator) all(ctx context.Context, of interest, after int64) error {
	feed := s.api.Watch.Feed
	news, stop := pump(ctx, func(ctx context.Context) iter.Seq2[watch.Commit, error] { return feed.Read(ctx, after) })
	defer stop()
	seen, current := sight{}, false
	s.allow = func() error { // what they may see may be another by now
		clear(seen)
		return nil
	}
	return follow(ctx, s, news, func(n found[watch.Commit]) (over bool, err error) {
		if n.err != nil {
			return false, s.trouble(n.err)
		}
		behind := feed.Behind(n.item.Pos)
		if current = current || behind == 0; current && behind > maxBehind {
			return true, s.stream.Goodbye("too slow: come back with Last-Event-ID for what was not read", comeBack)
		}
		return false, s.commit(n.item, func(t *watch.Told) bool { return of.wants(t) && seen.sees(s.asked.principal, t.Owner) })
	})
}

// commit tells what was committed at one position. The last event that is told
// bears the position: of a commit that was read in part nothing may be missed.
func (s *spectator) commit(c watch.Commit, wanted func(t *watch.Told) bool) error {
	var told []*watch.Told
	for i := range c.Events {
		if t := &c.Events[i]; wanted(t) {
			told = append(told, t)
		}
	}
	for i, t := range told {
		id := ""
		if i == len(told)-1 {
			id = s.api.placeID(c.Pos)
		}
		if err := s.stream.Send(id, string(t.Type), t.JSON); err != nil {
			return err
		}
	}
	return nil
}
