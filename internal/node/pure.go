package node

import (
	"encoding/json"
	"slices"
	"time"

	"gathering"
	"gathering/internal/engine"
	"gathering/internal/expr"
)

func bindTrigger(*binding) (engine.Node, error) { return engine.Node{Do: engine.Trigger{}}, nil }

func bindParallel(*binding) (engine.Node, error) {
	return engine.Node{Do: engine.Pure(func(*expr.Scope, json.RawMessage) (engine.Outcome, error) {
		return engine.Outcome{}, nil
	})}, nil
}

func bindTransform(b *binding) (engine.Node, error) {
	set, err := b.template("set")
	if err != nil {
		return engine.Node{}, err
	}
	return engine.Node{Input: input(set), Do: engine.Pure(func(_ *expr.Scope, in json.RawMessage) (engine.Outcome, error) {
		return engine.Outcome{Output: in}, nil
	})}, nil
}

func bindCondition(b *binding) (engine.Node, error) {
	if b.has("switch") {
		return bindSwitch(b)
	}
	when, err := b.expression("when", expr.Bool)
	if err != nil {
		return engine.Node{}, err
	}
	return engine.Node{Do: engine.Pure(func(scope *expr.Scope, _ json.RawMessage) (engine.Outcome, error) {
		yes, err := when.Bool(scope)
		if err != nil {
			return engine.Outcome{}, err
		}
		if yes {
			return engine.Outcome{Output: json.RawMessage("true"), Branch: "true"}, nil
		}
		return engine.Outcome{Output: json.RawMessage("false"), Branch: "false"}, nil
	})}, nil
}

func bindSwitch(b *binding) (engine.Node, error) {
	value, err := b.expression("switch", expr.Any)
	if err != nil {
		return engine.Node{}, err
	}
	var cases []string
	if err := b.decode("cases", &cases); err != nil {
		return engine.Node{}, err
	}
	return engine.Node{Do: engine.Pure(func(scope *expr.Scope, _ json.RawMessage) (engine.Outcome, error) {
		got, err := value.Value(scope)
		if err != nil {
			return engine.Outcome{}, err
		}
		// A text is compared as it is, anything else by its JSON.
		branch := string(gathering.CompactJSON(got))
		if branch == "" {
			branch = "null"
		}
		var text string
		if json.Unmarshal(got, &text) == nil && len(got) > 0 && got[0] == '"' {
			branch = text
		}
		if !slices.Contains(cases, branch) {
			branch = defaultBranch
		}
		return engine.Outcome{Output: got, Branch: branch}, nil
	})}, nil
}

func bindDelay(b *binding) (engine.Node, error) {
	if b.has("until") {
		until, err := b.expression("until", expr.Timestamp)
		if err != nil {
			return engine.Node{}, err
		}
		return engine.Node{Do: engine.Sleep(func(scope *expr.Scope, _ time.Time) (time.Time, error) {
			return until.Time(scope)
		})}, nil
	}
	var wait gathering.Duration
	if err := b.decode("for", &wait); err != nil {
		return engine.Node{}, err
	}
	return engine.Node{Do: engine.Sleep(func(_ *expr.Scope, now time.Time) (time.Time, error) {
		return now.Add(time.Duration(wait)), nil
	})}, nil
}

func bindPipeline(b *binding) (engine.Node, error) {
	in, err := b.template("input")
	if err != nil {
		return engine.Node{}, err
	}
	wait := true
	if err := b.decode("wait", &wait); err != nil {
		return engine.Node{}, err
	}
	pipeline := b.text("pipeline")
	return engine.Node{Input: input(in), Do: engine.Child(func(_ *expr.Scope, in json.RawMessage) (engine.ChildSpec, error) {
		return engine.ChildSpec{Pipeline: pipeline, Input: in, Wait: wait}, nil
	})}, nil
}
