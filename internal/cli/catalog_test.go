package cli_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"gathering"
)

func TestKinds(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.run("kinds").exits(0).says("KIND", "trigger", "map        does one thing for each item of a list", "join       waits for some")
	d.run("kinds", "map").exits(0).says(
		"over           expression: list", "the list (required)", "max_parallel   1 to 1000", "on_item_error  fail | skip", "timeout",
	)
	d.run("kinds", "join").exits(0).says("wait           all | any | 1 to 5000")
	d.run("kinds", "delay").exits(0).says("exactly one of for, until")
	d.run("kinds", "mapp").exits(2).tells(`there is no kind "mapp"; the kinds are trigger,`)

	type field struct {
		Name     string `json:"name"`
		Required bool   `json:"required"`
		Max      int    `json:"max"`
	}
	type kind struct {
		Kind   string  `json:"kind"`
		Fields []field `json:"fields"`
		Common []field `json:"common"`
		InMap  bool    `json:"in_map"`
	}
	var one kind
	r := d.run("kinds", "map", "--json").exits(0)
	if err := json.Unmarshal([]byte(r.stdout), &one); err != nil {
		t.Fatal(err)
	}
	if one.Kind != "map" || one.InMap || len(one.Fields) != 5 || one.Fields[0].Name != "over" || !one.Fields[0].Required || one.Fields[3].Max != 1000 {
		t.Errorf("got %+v", one)
	}
	for _, common := range one.Common {
		if common.Name == "retry" {
			t.Error("a map has a retry, which it refuses")
		}
	}
	var all struct {
		Items []kind `json:"items"`
	}
	r = d.run("kinds", "--json").exits(0)
	if err := json.Unmarshal([]byte(r.stdout), &all); err != nil || len(all.Items) < 11 {
		t.Errorf("got %d kinds, %v: %s", len(all.Items), err, r.stdout)
	}
}

func TestTools(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.run("tools").exits(0).says("TOOL", "files.read    nothing", "files.write   twice as once", "http.request  each time")
	d.run("tools", "files.read").exits(0).says("side effect  false", "idempotent   true", "timeout      1m0s", "arguments:", `"required": [`, "result:")
	d.run("tools", "files.red").exits(2).tells(`there is no tool "files.red"; the tools are bench.noop,`)

	var one gathering.ToolSpec
	r := d.run("tools", "http.request", "--json").exits(0)
	if err := json.Unmarshal([]byte(r.stdout), &one); err != nil || one.Name != "http.request" || !strings.Contains(string(one.Input), `"url"`) {
		t.Errorf("got %v: %s", err, r.stdout)
	}
	var all struct {
		Items []gathering.ToolSpec `json:"items"`
	}
	r = d.run("tools", "--json").exits(0)
	if err := json.Unmarshal([]byte(r.stdout), &all); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(all.Items, func(spec gathering.ToolSpec) bool { return spec.Name == "git.log" }) {
		t.Errorf("git.log is missing: %s", r.stdout)
	}
}
