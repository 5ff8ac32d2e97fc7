package builtin

import (
	"context"
	"io/fs"
	"os"
	"time"

	"gathering"
	"gathering/internal/tool"
)

const defaultEntries = 1000

type listInput struct {
	Path      string `json:"path,omitempty" jsonschema:"A directory relative to the workspace, or out/ and below. Default: the workspace."`
	Glob      string `json:"glob,omitempty" jsonschema:"Only paths below path that match, such as *.go or docs/**/*.md. A pattern without a slash matches names at any depth."`
	Recursive bool   `json:"recursive,omitempty" jsonschema:"Also list what is in directories below."`
	Limit     int    `json:"limit,omitempty" minimum:"1" maximum:"10000" jsonschema:"How many entries at most. Default 1000."`
}

type listOutput struct {
	Entries    []listEntry `json:"entries" jsonschema:"What is there, in the order of the names"`
	Truncated  bool        `json:"truncated" jsonschema:"Whether there is more than was listed"`
	Unreadable []string    `json:"unreadable,omitempty" jsonschema:"Paths that could not be read"`
}

type listEntry struct {
	Path     string `json:"path"`
	Size     int64  `json:"size" jsonschema:"Bytes; 0 for what is no file"`
	Kind     string `json:"kind" jsonschema:"file, directory, link or other"`
	Modified string `json:"modified,omitempty" jsonschema:"When a file was last changed, in RFC 3339"`
}

func (t *trees) listTool() (tool.Tool, error) {
	return tool.New(gathering.ToolSpec{
		Name:        "files.list",
		Description: "Lists files and directories of the workspace or of out/. Does not look into .git.",
		Timeout:     gathering.Duration(time.Minute),
	}, t.list)
}

func (t *trees) list(ctx context.Context, call tool.Call, in listInput) (listOutput, error) {
	out := listOutput{Entries: []listEntry{}}
	if in.Limit == 0 {
		in.Limit = defaultEntries
	}
	g, err := parseGlob(in.Glob)
	if err != nil {
		return out, err
	}
	p, err := t.open(call, in.Path)
	if err != nil {
		return out, err
	}
	defer p.Close()
	w := walk{glob: g, recursive: in.Recursive, visit: func(_ *os.Root, f found) error {
		if len(out.Entries) == in.Limit {
			out.Truncated = true
			return fs.SkipAll
		}
		if entry, ok := describe(f); ok {
			out.Entries = append(out.Entries, entry)
		}
		return nil
	}}
	if err := w.run(ctx, p); err != nil {
		return out, err
	}
	out.Truncated = out.Truncated || w.truncated
	out.Unreadable = w.unreadable
	return out, nil
}

// describe tells what f is, and false where it is gone by now.
func describe(f found) (listEntry, bool) {
	info, err := f.entry.Info()
	if err != nil {
		return listEntry{}, false
	}
	entry := listEntry{Path: f.shown, Kind: "other"}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		entry.Kind = "file"
		entry.Size = info.Size()
		entry.Modified = info.ModTime().UTC().Format(time.RFC3339)
	case mode.IsDir():
		entry.Kind = "directory"
	case mode&fs.ModeSymlink != 0:
		entry.Kind = "link"
	}
	return entry, true
}
