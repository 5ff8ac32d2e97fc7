// Package builtin holds the tools that every installation has: files of a
// workspace, the history of the git repository it belongs to, the clock, and a
// tool that does nothing, for measuring.
//
// The file tools see two trees. Paths that begin with "out/" address the
// output directory, the only place written to; every other path addresses the
// call's workspace, which is read-only. A directory named "out" at the top of
// a workspace is therefore not reachable. No path leads out of its tree: every
// access goes through an [os.Root].
//
// The git tools run the git binary on a repository they do not trust: nothing
// in it can make git start a program, use the network or tell what another
// repository or a file elsewhere holds.
package builtin

import (
	"fmt"
	"path/filepath"
	"time"

	"gathering/internal/tool"
)

// Options say where the tools act. The zero value has no output directory.
type Options struct {
	// Out is the absolute directory behind "out/", made by the first write.
	// Without it files.write is unavailable.
	Out string
	// Hidden are absolute directories that no path reaches where they lie in
	// a workspace, such as the data directory.
	Hidden []string
	// Git is the path of the git binary; empty looks it up in PATH at each call.
	Git string
	// Clock tells the time; nil is time.Now.
	Clock func() time.Time
}

// All returns every built-in tool.
func All(o Options) ([]tool.Tool, error) {
	for _, dir := range append([]string{o.Out}, o.Hidden...) {
		if dir != "" && !filepath.IsAbs(dir) {
			return nil, fmt.Errorf("make built-in tools: directory %q is not absolute", dir)
		}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	trees := &trees{out: o.Out, hidden: o.Hidden}
	git := &git{binary: o.Git, trees: trees}
	var tools []tool.Tool
	for _, build := range []func() (tool.Tool, error){
		trees.listTool, trees.readTool, trees.searchTool, trees.writeTool,
		git.logTool, git.diffTool,
		clock(o.Clock).nowTool, noopTool,
	} {
		t, err := build()
		if err != nil {
			return nil, fmt.Errorf("make built-in tools: %w", err)
		}
		tools = append(tools, t)
	}
	return tools, nil
}
