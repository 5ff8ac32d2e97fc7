package progress

import (
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"gathering"
)

// kindMap is the kind of nodes that have items.
const kindMap = "map"

// Of returns the node that an event is about, or the item of a map; nil where
// that is neither.
func (t *Tree) Of(e gathering.Event) *Node {
	n := t.index[e.Node]
	if n == nil || e.Item == nil {
		return n
	}
	return n.item(*e.Item)
}

// All returns every node and every item that has begun.
func (t *Tree) All() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		for _, n := range t.Nodes {
			if !yield(n) {
				return
			}
			for _, item := range n.Items {
				if item != nil && !yield(item) {
					return
				}
			}
		}
	}
}

// item is an item of a map, which begins with its first event.
func (n *Node) item(i int) *Node {
	for len(n.Items) <= i {
		n.Items = append(n.Items, nil)
	}
	if n.Items[i] == nil {
		n.Items[i] = &Node{ID: gathering.NodePath(n.ID, i), State: gathering.NodePending}
	}
	return n.Items[i]
}

// spread makes room for the items of a map that begins: its input lists them.
func (n *Node) spread(e gathering.Event) error {
	var d gathering.NodeStartedData
	if err := decode(e, &d); err != nil {
		return err
	}
	var items []json.RawMessage
	if len(d.Input) > 0 {
		if err := json.Unmarshal(d.Input, &items); err != nil {
			return fmt.Errorf("read its items: %w", err)
		}
	}
	n.Items = make([]*Node, len(items))
	return nil
}

// itemsOf says how a map's items stand, after a comma; of another node nothing.
func (n *Node) itemsOf() string {
	if n.Items == nil {
		return ""
	}
	return ", " + n.counted()
}

// counted says how the items of a map stand.
func (n *Node) counted() string {
	var ended, busy, unknown, failed, stopped, kept int
	for _, item := range n.Items {
		switch {
		case item == nil || item.State == gathering.NodePending:
			continue
		case item.State == gathering.NodeUnknown:
			unknown++
		case !item.State.Terminal():
			busy++
		case item.State == gathering.NodeFailed, item.State == gathering.NodeTimedOut:
			failed++
		case item.State != gathering.NodeCompleted:
			stopped++
		case item.Kept:
			kept++
		}
		if item.State.Terminal() {
			ended++
		}
	}
	text := items(len(n.Items))
	if ended < len(n.Items) {
		text = fmt.Sprintf("%d/%s", ended, text)
	}
	for _, part := range []struct {
		count int
		what  string
	}{{busy, "under way"}, {unknown, "undecided"}, {failed, "failed"}, {stopped, "stopped"}, {kept, "kept"}} {
		if part.count > 0 {
			text += fmt.Sprintf(", %d %s", part.count, part.what)
		}
	}
	return text
}

func items(count int) string {
	if count == 1 {
		return "1 item"
	}
	return fmt.Sprintf("%d items", count)
}

// maxItems is how many items of a map a frame shows.
const maxItems = 20

// items draws the items that are under way or did not complete.
func (s Style) items(n *Node, now time.Time, indent string) []line {
	var lines []line
	shown, more, column := 0, 0, cells(gathering.NodePath(n.ID, max(len(n.Items)-1, 0)))
	for _, item := range n.Items {
		switch {
		case item == nil || item.State == gathering.NodeCompleted || item.State == gathering.NodePending:
		case shown == maxItems:
			more++
		default:
			shown++
			lines = append(lines, s.branch(item, now, indent, min(column, maxName))...)
		}
	}
	if more > 0 {
		lines = append(lines, line{indent: indent, mark: "…", color: dim, name: fmt.Sprintf("%d more", more)})
	}
	return lines
}
