package api

import (
	"strconv"
	"strings"

	"gathering"
)

// answer is one with a body.
type answer[T any] struct{ Body T }

// tagged is the answer with something that can be edited.
type tagged[T any] struct {
	ETag string `header:"Etag"`
	Body T
}

// revised is an answer whose tag is a revision.
func revised[T any](body T, revision int64) *tagged[T] {
	return &tagged[T]{ETag: strconv.Quote(strconv.FormatInt(revision, 10)), Body: body}
}

// nothing is an answer without a body, or a request without parameters.
type nothing struct{}

// Page is a part of a list.
type Page[T any] struct {
	Items []T `json:"items" nullable:"false"`
	// NextCursor is given back to get the part that follows; "" is the end.
	NextCursor string `json:"next_cursor,omitempty"`
}

// Listed is the parameters of every list.
type Listed struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"How many items at most."`
	Cursor string `query:"cursor" maxLength:"200" doc:"The next_cursor of the page before."`
}

// after is the cursor of a list whose items have IDs that begin with prefix, "_"
// included.
func (l Listed) after(prefix string) (string, error) {
	if l.Cursor != "" && (!strings.HasPrefix(l.Cursor, prefix) || len(l.Cursor) == len(prefix) || !nameable(l.Cursor)) {
		return "", errCursor()
	}
	return l.Cursor, nil
}

// page is one of at most limit items, of which one more was asked for.
func page[T any](items []T, limit int, cursor func(T) string) *answer[Page[T]] {
	p := Page[T]{Items: items}
	if len(items) > limit {
		p.Items, p.NextCursor = items[:limit], cursor(items[limit-1])
	}
	if p.Items == nil {
		p.Items = []T{}
	}
	return &answer[Page[T]]{p}
}

// Matched is the parameter of what changes something that others may edit.
type Matched struct {
	IfMatch string `header:"If-Match" maxLength:"100" doc:"The ETag of what is to be changed: if it has changed meanwhile, the answer is 412."`
}

// revision is the one that is to be changed; 0 is any.
func (m Matched) revision() (int64, error) {
	if m.IfMatch == "" || m.IfMatch == "*" {
		return 0, nil
	}
	text, ok := strings.CutPrefix(m.IfMatch, `"`)
	if text, closed := strings.CutSuffix(text, `"`); ok && closed {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 {
			return n, nil
		}
	}
	return 0, gathering.NewError(gathering.KindConflict, "there is no such revision: read it again").WithCode(gathering.CodePrecondition)
}

// Keyed is the parameter of what changes something.
type Keyed struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"A request that is repeated with the same key within a day is done once, and answered as the first time."`
}
