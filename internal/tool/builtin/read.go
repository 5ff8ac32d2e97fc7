package builtin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"gathering"
	"gathering/internal/tool"
)

// maxRead bounds what one call of files.read returns, in bytes.
const maxRead = 1 << 20

type readInput struct {
	Path   string `json:"path" jsonschema:"A file relative to the workspace, or below out/."`
	Offset int64  `json:"offset,omitempty" minimum:"0" jsonschema:"The byte to begin at. Default 0."`
	Limit  int    `json:"limit,omitempty" minimum:"4" maximum:"1048576" jsonschema:"How many bytes at most. Default and most: 1 MiB."`
}

type readOutput struct {
	Path      string `json:"path"`
	Text      string `json:"text"`
	Size      int64  `json:"size" jsonschema:"Bytes of the whole file"`
	Truncated bool   `json:"truncated" jsonschema:"Whether the file goes on after this text"`
	Next      int64  `json:"next_offset,omitempty" jsonschema:"The offset to read on from, where it goes on"`
}

func (t *trees) readTool() (tool.Tool, error) {
	return tool.New(gathering.ToolSpec{
		Name:        "files.read",
		Description: "Reads a UTF-8 text file of the workspace or of out/, up to 1 MiB at a time.",
		Timeout:     gathering.Duration(time.Minute),
	}, t.read)
}

func (t *trees) read(_ context.Context, call tool.Call, in readInput) (readOutput, error) {
	if in.Limit == 0 {
		in.Limit = maxRead
	}
	p, err := t.open(call, in.Path)
	if err != nil {
		return readOutput{}, err
	}
	defer p.Close()
	file, err := p.openFile()
	if err != nil {
		return readOutput{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return readOutput{}, fmt.Errorf("read size: %w", err)
	}
	data, err := io.ReadAll(io.NewSectionReader(file, in.Offset, int64(in.Limit)))
	if err != nil {
		return readOutput{}, pathFault(err)
	}
	out := readOutput{Path: p.shown(p.name), Size: info.Size()}
	end := in.Offset + int64(len(data))
	if end < out.Size {
		data = wholeRunes(data)
		out.Truncated = true
		out.Next = in.Offset + int64(len(data))
	}
	if err := mustBeText(data, in.Offset); err != nil {
		return readOutput{}, err
	}
	out.Text = string(data)
	return out, nil
}

// wholeRunes cuts off a character that data ends in the middle of.
func wholeRunes(data []byte) []byte {
	for i := len(data) - 1; i >= 0 && i >= len(data)-utf8.UTFMax; i-- {
		if utf8.RuneStart(data[i]) {
			if !utf8.FullRune(data[i:]) {
				return data[:i]
			}
			break
		}
	}
	return data
}

func mustBeText(data []byte, offset int64) error {
	switch {
	case !isBinary(data):
		return nil
	case offset > 0 && len(data) > 0 && !utf8.RuneStart(data[0]):
		return invalid("offset", "falls into the middle of a character; read on from next_offset")
	}
	return invalid("path", "must name a text file in UTF-8; this one is binary or in another encoding")
}

func isBinary(data []byte) bool {
	return bytes.IndexByte(data, 0) >= 0 || !utf8.Valid(data)
}
