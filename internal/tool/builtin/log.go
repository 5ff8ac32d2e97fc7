package builtin

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"time"

	"gathering"
	"gathering/internal/tool"
)

// Bounds of git.log.
const (
	defaultCommits = 50
	maxLogBytes    = 4 << 20
)

type logInput struct {
	Path  string `json:"path,omitempty" jsonschema:"Only commits that change this path of the workspace."`
	Since string `json:"since,omitempty" jsonschema:"Leave out this revision and what came before it."`
	Until string `json:"until,omitempty" jsonschema:"The newest revision to tell. Default HEAD."`
	Limit int    `json:"limit,omitempty" minimum:"1" maximum:"1000" jsonschema:"How many commits at most. Default 50."`
	Files bool   `json:"files,omitempty" jsonschema:"Also tell which paths each commit changes."`
}

type logOutput struct {
	Commits   []commit `json:"commits" jsonschema:"The newest first"`
	Truncated bool     `json:"truncated" jsonschema:"Whether there are more"`
}

type commit struct {
	Hash    string   `json:"hash"`
	Author  string   `json:"author" jsonschema:"The author's name"`
	Date    string   `json:"date" jsonschema:"When it was written, in RFC 3339"`
	Subject string   `json:"subject"`
	Body    string   `json:"body"`
	Files   []string `json:"files,omitempty" jsonschema:"The paths it changes; none for a merge"`
}

func (g *git) logTool() (tool.Tool, error) {
	return tool.New(gathering.ToolSpec{
		Name:        "git.log",
		Description: "Tells the commits of the git repository that the workspace belongs to, the newest first.",
		Timeout:     gathering.Duration(time.Minute),
	}, g.log)
}

func (g *git) log(ctx context.Context, call tool.Call, in logInput) (logOutput, error) {
	none := logOutput{Commits: []commit{}}
	if in.Limit == 0 {
		in.Limit = defaultCommits
	}
	repo, err := g.open(ctx, call)
	if err != nil {
		return none, err
	}
	paths, err := repo.paths(in.Path)
	if err != nil {
		return none, err
	}
	revisions, err := repo.span(ctx, in)
	if err != nil || revisions == nil {
		return none, err
	}
	// Nothing in the repository can know the mark, so no file name is taken
	// for the beginning of a commit.
	mark := rand.Text()
	arguments := []string{
		"log", "-z", "--format=" + mark + "%x00%H%x00%an%x00%aI%x00%s%x00%b", "--max-count=" + strconv.Itoa(in.Limit+1),
		"--encoding=UTF-8", "--no-color", "--no-decorate", "--no-mailmap", "--no-notes", "--no-show-signature",
		"--no-ext-diff", "--no-textconv", "--no-diff-merges", "--ignore-submodules=none", "--relative",
	}
	if in.Files {
		arguments = append(arguments, "--name-only")
	}
	arguments = append(append(append(arguments, "--end-of-options"), revisions...), paths...)
	printed, err := repo.run(ctx, maxLogBytes, arguments...)
	if err != nil {
		return none, err
	}
	out := parseLog(printed, mark)
	if len(out.Commits) > in.Limit {
		out.Commits, out.Truncated = out.Commits[:in.Limit], true
	}
	return out, nil
}

// span returns the revision arguments of the commits asked for, and none
// where HEAD has no commit yet.
func (r *repository) span(ctx context.Context, in logInput) ([]string, error) {
	until := in.Until
	if until == "" {
		until = "HEAD"
	}
	last, err := r.commit(ctx, "until", until)
	if in.Until == "" && in.Since == "" && gathering.KindOf(err) == gathering.KindNotFound {
		return nil, nil
	}
	if err != nil || in.Since == "" {
		return []string{last}, err
	}
	first, err := r.commit(ctx, "since", in.Since)
	return []string{last, "^" + first}, err
}

// parseLog reads what git log printed. Where that was cut off, the commit that
// it was cut off in is left out.
func parseLog(printed output, mark string) logOutput {
	out := logOutput{Commits: []commit{}, Truncated: printed.truncated}
	const fields = 5
	records := strings.Split(string(printed.data), mark+"\x00")[1:]
	if printed.truncated && len(records) > 0 {
		records = records[:len(records)-1]
	}
	for _, record := range records {
		parts := strings.Split(record, "\x00")
		if len(parts) < fields {
			continue
		}
		c := commit{parts[0], text(parts[1]), parts[2], text(parts[3]), text(strings.TrimSpace(parts[4])), nil}
		for _, name := range parts[fields:] {
			if name = strings.TrimPrefix(name, "\n"); name != "" {
				c.Files = append(c.Files, text(name))
			}
		}
		out.Commits = append(out.Commits, c)
	}
	return out
}
