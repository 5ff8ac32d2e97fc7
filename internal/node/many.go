package node

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"gathering"
	"gathering/internal/definition"
	"gathering/internal/engine"
	"gathering/internal/expr"
)

func mapKind() kind {
	const inside = "write it inside do, where it holds for each item"
	return kind{definition.Kind{
		Name: "map", MaxIn: -1,
		Summary: "does one thing for each item of a list; its output is the list of the items' outputs, null for one that was skipped",
		NoItem:  "put a pipeline there and let it hold that map",
		Refused: map[string]string{"retry": inside, "idempotent": inside, "on_unknown": inside, "on_open": inside},
		Fields: []definition.Field{
			{Name: "over", Type: definition.FieldList, Required: true, Summary: "the list"},
			{Name: "as", Type: definition.FieldItem, Summary: "what expressions inside do call the item; item where it is absent"},
			{Name: "do", Type: definition.FieldNode, Required: true, Summary: "what is done for each item: one node, without ID and needs"},
			{
				Name: "max_parallel", Type: definition.FieldInt, Min: 1, Max: 1000,
				Summary: "how many items are under way at once; " + strconv.Itoa(engine.DefaultMaxParallel) + " where it is absent",
			},
			{
				Name: "on_item_error", Type: definition.FieldEnum, Values: []string{"fail", "skip"},
				Summary: "whether an item that fails ends the map, as it does where this is absent, or leaves null",
			},
		},
	}, bindMap}
}

func joinKind() kind {
	return kind{definition.Kind{
		Name: "join", MaxIn: -1, Check: checkJoin, Refused: noTries(),
		Summary: "waits for some of the nodes that lead to it; its output lists them as they came: [{node, output}, …]",
		NoItem:  "put a pipeline there and let it join its own branches",
		Fields: []definition.Field{
			{
				Name: "wait", Type: definition.FieldCount, Values: []string{"all", "any"}, Min: 1, Max: definition.MaxEdges,
				Summary: "for all that are not left out, for any, or for how many; all where it is absent",
			},
			{Name: "cancel_rest", Type: definition.FieldFlag, Summary: "true stops what it then waits for no more"},
		},
	}, bindJoin}
}

// waitFor is how many edges a join waits for; 0 is all.
func waitFor(config map[string]json.RawMessage) int {
	if string(config["wait"]) == `"any"` {
		return 1
	}
	need := 0
	_ = json.Unmarshal(config["wait"], &need) // all, and what is absent, is 0
	return need
}

func checkJoin(config map[string]json.RawMessage, in int) []definition.Fault {
	var faults []definition.Fault
	need := waitFor(config)
	switch {
	case in < 2:
		faults = append(faults, definition.Fault{Problem: "joins fewer than two edges", Remedy: "let it need two nodes or more"})
	case need > in:
		faults = append(faults, definition.Fault{
			Path: "wait", Problem: "is more than lead to it", Remedy: "a whole number from 1 to " + strconv.Itoa(in),
		})
	}
	if need == 0 && string(config["cancel_rest"]) == "true" {
		faults = append(faults, definition.Fault{
			Path: "cancel_rest", Problem: "has nothing to cancel, because it waits for all", Remedy: "write wait: any or a number, or leave it out",
		})
	}
	return faults
}

func bindMap(b *binding) (engine.Node, error) {
	over, err := b.expression("over", expr.List)
	if err != nil {
		return engine.Node{}, err
	}
	do, err := b.each()
	if err != nil {
		return engine.Node{}, fmt.Errorf("bind what it does: %w", err)
	}
	m := engine.Map{Do: do, SkipFailed: b.text("on_item_error") == "skip", MaxParallel: engine.DefaultMaxParallel}
	if err := b.decode("max_parallel", &m.MaxParallel); err != nil {
		return engine.Node{}, err
	}
	m.Over = func(scope *expr.Scope) ([]json.RawMessage, error) {
		list, err := over.Value(scope)
		if err != nil {
			return nil, err
		}
		var items []json.RawMessage
		if err := json.Unmarshal(list, &items); err != nil {
			return nil, fmt.Errorf("read the list of items: %w", err)
		}
		return items, nil
	}
	return engine.Node{Do: m}, nil
}

// each is what a map does for each item, under the map's own ID.
func (b *binding) each() (engine.Node, error) {
	inner, err := definition.DecodeNode(b.node.Config["do"])
	if err != nil {
		return engine.Node{}, err
	}
	inner.ID = b.node.ID
	as := "item"
	if b.has("as") {
		as = b.text("as")
	}
	each := *b
	each.node, each.env = &inner, b.scopes.Item(b.node.ID, as)
	return each.bind()
}

func bindJoin(b *binding) (engine.Node, error) {
	join := engine.Join{Need: waitFor(b.node.Config)}
	if err := b.decode("cancel_rest", &join.CancelRest); err != nil {
		return engine.Node{}, err
	}
	return engine.Node{Do: join}, nil
}

// maxKey bounds, in bytes, what a bound on concurrency is shared by.
const maxKey = 200

// concurrency binds what bounds how many runs are under way at once.
func concurrency(scopes *definition.Scopes, bound *gathering.Concurrency) (func(*expr.Scope) (engine.Concurrency, error), error) {
	if bound.Key == "" {
		return func(*expr.Scope) (engine.Concurrency, error) { return engine.Concurrency{Max: bound.Max}, nil }, nil
	}
	source, err := json.Marshal(bound.Key)
	if err != nil {
		return nil, fmt.Errorf("write the key: %w", err)
	}
	template, err := compileTemplate(scopes.Start(), source)
	if err != nil {
		return nil, err
	}
	return func(scope *expr.Scope) (engine.Concurrency, error) {
		rendered, err := template.Render(scope)
		if err != nil {
			return engine.Concurrency{}, err
		}
		key, problem := keyText(rendered)
		if problem != "" {
			return engine.Concurrency{}, gathering.NewError(gathering.KindInvalid, "the key of the pipeline's concurrency %s", problem).
				WithFields(gathering.FieldError{Field: "concurrency.key", Problem: problem})
		}
		return engine.Concurrency{Key: key, Max: bound.Max}, nil
	}, nil
}

// keyText is a rendered key as text, and what is wrong with it, if something is.
func keyText(rendered json.RawMessage) (key, problem string) {
	rendered = gathering.CompactJSON(rendered)
	switch {
	case rendered == nil || rendered[0] == '{' || rendered[0] == '[':
		return "", "must be text, a number or true or false"
	case json.Unmarshal(rendered, &key) != nil:
		key = string(rendered)
	}
	switch {
	case key == "":
		return "", "is empty"
	case len(key) > maxKey:
		return "", "is " + strconv.Itoa(len(key)) + " bytes long; the limit is " + strconv.Itoa(maxKey)
	case strings.ContainsFunc(key, unicode.IsControl):
		return "", "holds a control character"
	}
	return key, ""
}
