package builtin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"time"

	"gathering"
	"gathering/internal/tool"
)

// Bounds of one search.
const (
	defaultMatches    = 100
	maxSearchedFiles  = 20_000
	maxSearchedBytes  = 256 << 20
	maxSearchedFile   = 8 << 20
	maxMatchText      = 500      // bytes of a line that are returned
	sniffBytes        = 8 << 10  // looked at to tell text from binary
	bytesBetweenLooks = 64 << 10 // bytes searched between two looks at the context
)

type searchInput struct {
	Pattern    string `json:"pattern" jsonschema:"A regular expression in RE2 syntax, matched within each line."`
	Path       string `json:"path,omitempty" jsonschema:"A file or directory relative to the workspace, or out/ and below. Default: the workspace."`
	Glob       string `json:"glob,omitempty" jsonschema:"Only files whose path below path matches, such as *.go or docs/**/*.md."`
	Limit      int    `json:"limit,omitempty" minimum:"1" maximum:"1000" jsonschema:"How many matching lines at most. Default 100."`
	IgnoreCase bool   `json:"ignore_case,omitempty" jsonschema:"Whether upper and lower case are the same."`
}

type searchOutput struct {
	Matches    []match  `json:"matches" jsonschema:"Matching lines, in the order of the paths"`
	Files      int      `json:"files" jsonschema:"How many text files were searched"`
	Skipped    int      `json:"skipped" jsonschema:"How many files were not searched because they are binary or over 8 MiB"`
	Truncated  bool     `json:"truncated" jsonschema:"Whether the search ended before everything was searched"`
	Unreadable []string `json:"unreadable,omitempty" jsonschema:"Paths that could not be read"`
}

type match struct {
	Path string `json:"path"`
	Line int    `json:"line" jsonschema:"Counted from 1"`
	Text string `json:"text" jsonschema:"The line, cut off after 500 bytes"`
}

func (t *trees) searchTool() (tool.Tool, error) {
	return tool.New(gathering.ToolSpec{
		Name:        "files.search",
		Description: "Finds lines that match a regular expression in the text files of the workspace or of out/.",
		Timeout:     gathering.Duration(time.Minute),
	}, t.search)
}

func (t *trees) search(ctx context.Context, call tool.Call, in searchInput) (searchOutput, error) {
	s := search{ended: func() error { return ended(ctx) }, limit: in.Limit}
	s.out.Matches = []match{}
	if s.limit == 0 {
		s.limit = defaultMatches
	}
	var err error
	if s.pattern, err = compile(in); err != nil {
		return s.out, err
	}
	g, err := parseGlob(in.Glob)
	if err != nil {
		return s.out, err
	}
	p, err := t.open(call, in.Path)
	if err != nil {
		return s.out, err
	}
	defer p.Close()
	w := walk{glob: g, recursive: true, visit: s.visit}
	if err := w.run(ctx, p); err != nil {
		return s.out, err
	}
	s.out.Truncated = s.out.Truncated || w.truncated
	s.out.Unreadable = append(s.out.Unreadable, w.unreadable...)
	return s.out, nil
}

func compile(in searchInput) (*regexp.Regexp, error) {
	if len(in.Pattern) > maxPattern {
		return nil, invalid("pattern", "is too long")
	}
	pattern := in.Pattern
	if in.IgnoreCase {
		pattern = "(?i:" + pattern + ")"
	}
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return nil, invalid("pattern", "must be a regular expression in RE2 syntax").WithCause(err)
	}
	return compiled, nil
}

// search is one search under way.
type search struct {
	ended   func() error
	pattern *regexp.Regexp
	limit   int
	bytes   int64
	out     searchOutput
}

func (s *search) visit(root *os.Root, f found) error {
	if !f.entry.Type().IsRegular() {
		return nil
	}
	file, err := (&place{root: root, name: f.name}).openFile()
	if err != nil {
		if len(s.out.Unreadable) < maxUnreadable {
			s.out.Unreadable = append(s.out.Unreadable, f.shown)
		}
		return nil
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	switch {
	case info.Size() > maxSearchedFile:
		s.out.Skipped++
		return nil
	case s.out.Files >= maxSearchedFiles, s.bytes+info.Size() > maxSearchedBytes:
		s.out.Truncated = true
		return fs.SkipAll
	}
	return s.lines(f.shown, io.LimitReader(file, maxSearchedFile))
}

func (s *search) lines(shown string, file io.Reader) error {
	reader := bufio.NewReaderSize(file, sniffBytes)
	if head, _ := reader.Peek(sniffBytes); isBinary(wholeRunes(head)) {
		s.out.Skipped++
		return nil
	}
	s.out.Files++
	looked := s.bytes
	for number := 1; ; number++ {
		if s.bytes-looked > bytesBetweenLooks {
			if err := s.ended(); err != nil {
				return err
			}
			looked = s.bytes
		}
		line, err := reader.ReadBytes('\n')
		s.bytes += int64(len(line))
		line = bytes.TrimRight(line, "\r\n")
		if (err == nil || len(line) > 0) && s.pattern.Match(line) {
			if len(s.out.Matches) == s.limit {
				s.out.Truncated = true
				return fs.SkipAll
			}
			s.out.Matches = append(s.out.Matches, match{shown, number, excerpt(line)})
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return pathFault(err)
		}
	}
}

// excerpt is a line as it is shown.
func excerpt(line []byte) string {
	if len(line) > maxMatchText {
		line = wholeRunes(line[:maxMatchText])
	}
	return strings.ToValidUTF8(string(line), "\uFFFD")
}
