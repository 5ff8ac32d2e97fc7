package builtin

import (
	"context"
	"strconv"
	"strings"
	"time"

	"gathering"
	"gathering/internal/tool"
)

// Bounds of git.diff.
const (
	maxStatBytes  = 2 << 20
	maxPatchBytes = 1 << 20
)

type diffInput struct {
	From     string `json:"from" jsonschema:"The revision to compare with."`
	To       string `json:"to,omitempty" jsonschema:"The revision that is compared. Default HEAD. Changes that are not committed are not seen."`
	Path     string `json:"path,omitempty" jsonschema:"Only this path of the workspace."`
	StatOnly bool   `json:"stat_only,omitempty" jsonschema:"Leave the patch out."`
}

type diffOutput struct {
	Files     []fileChange `json:"files"`
	Patch     string       `json:"patch" jsonschema:"A unified diff; empty where only the files were asked for"`
	Truncated bool         `json:"truncated" jsonschema:"Whether files or the patch, of at most 1 MiB, were cut off"`
}

type fileChange struct {
	Path    string `json:"path"`
	From    string `json:"from,omitempty" jsonschema:"The path it had before it was renamed"`
	Added   int    `json:"added" jsonschema:"Lines added"`
	Deleted int    `json:"deleted" jsonschema:"Lines deleted"`
	Binary  bool   `json:"binary,omitempty" jsonschema:"Whether it is no text, so that lines are not counted"`
}

func (g *git) diffTool() (tool.Tool, error) {
	return tool.New(gathering.ToolSpec{
		Name:        "git.diff",
		Description: "Tells what changed between two commits of the git repository that the workspace belongs to.",
		Timeout:     gathering.Duration(time.Minute),
	}, g.diff)
}

func (g *git) diff(ctx context.Context, call tool.Call, in diffInput) (diffOutput, error) {
	var none diffOutput
	repo, err := g.open(ctx, call)
	if err != nil {
		return none, err
	}
	paths, err := repo.paths(in.Path)
	if err != nil {
		return none, err
	}
	from, err := repo.commit(ctx, "from", in.From)
	if err != nil {
		return none, err
	}
	if in.To == "" {
		in.To = "HEAD"
	}
	to, err := repo.commit(ctx, "to", in.To)
	if err != nil {
		return none, err
	}
	span := append([]string{"--end-of-options", from, to}, paths...)
	stat, err := repo.run(ctx, maxStatBytes, diffTree(span, "--numstat", "-z")...)
	if err != nil {
		return none, err
	}
	out := diffOutput{Files: parseNumstat(stat), Truncated: stat.truncated}
	if in.StatOnly {
		return out, nil
	}
	patch, err := repo.run(ctx, maxPatchBytes, diffTree(span, "--patch", "--unified=3", "--inter-hunk-context=0",
		"--src-prefix=a/", "--dst-prefix=b/", "--submodule=short")...)
	if err != nil {
		return none, err
	}
	if patch.truncated {
		out.Truncated = true
		patch.data = wholeRunes(patch.data)
	}
	out.Patch = text(string(patch.data))
	return out, nil
}

// diffTree returns the arguments of a comparison of two commits, which looks
// at nothing but what is committed.
func diffTree(span []string, format ...string) []string {
	arguments := []string{
		"diff-tree", "-r", "--find-renames", "--no-color", "--no-ext-diff", "--no-textconv",
		"--ignore-submodules=none", "--relative", // none: .gitmodules has no say
	}
	return append(append(arguments, format...), span...)
}

// parseNumstat reads "added TAB deleted TAB path NUL", where the path of a
// rename is empty and followed by the old one and the new one.
func parseNumstat(printed output) []fileChange {
	files := []fileChange{}
	parts := strings.Split(string(printed.data), "\x00")
	parts = parts[:len(parts)-1] // what follows the last NUL: nothing, or half a name
	for len(parts) > 0 {
		counts := strings.SplitN(parts[0], "\t", 3)
		parts = parts[1:]
		if len(counts) < 3 {
			continue
		}
		change := fileChange{Path: text(counts[2]), Binary: counts[0] == "-"}
		if change.Path == "" {
			if len(parts) < 2 {
				break
			}
			change.From, change.Path, parts = text(parts[0]), text(parts[1]), parts[2:]
		}
		change.Added, _ = strconv.Atoi(counts[0])
		change.Deleted, _ = strconv.Atoi(counts[1])
		files = append(files, change)
	}
	return files
}
