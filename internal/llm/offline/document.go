package offline

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxSentence bounds a sentence in runes; what is longer is cut, with a mark.
	maxSentence = 500
	// wrapped is the length in runes from which a line is taken to go on in the
	// next one: shorter lines without a full stop are entries of a list.
	wrapped = 40
)

// document is a text taken apart.
type document struct {
	sentences []*sentence
	headings  []string
	words     int
	frequency map[string]int // of terms, over all sentences
	spread    map[string]int // sentences that hold the term
}

type sentence struct {
	text    string
	line    int // where it begins, from 1
	heading string
	lead    bool // the first under its heading
	order   int
	terms   []string // distinct, in order of appearance
	score   float64
}

// reader goes through a text line by line.
type reader struct {
	doc     *document
	heading string
	lead    bool
	fence   string // what closes the code block that it is in
	commit  bool   // in the head of a commit
	block   strings.Builder
	starts  []start // of the block's lines
	last    string  // the block's last line
}

type start struct{ offset, line int }

// read takes text apart: Markdown or plain text, and what git log prints.
func read(ctx context.Context, text string) (*document, error) {
	r := &reader{doc: &document{frequency: map[string]int{}, spread: map[string]int{}}, lead: true}
	number := 0
	for line := range strings.Lines(text) {
		if number++; number%1024 == 0 && ctx.Err() != nil {
			return nil, fmt.Errorf("extract: %w", ctx.Err())
		}
		r.line(strings.TrimRight(line, "\r\n"), number)
	}
	r.flush()
	return r.doc, nil
}

// line takes one line: it is skipped, becomes a heading, or joins a block.
func (r *reader) line(raw string, number int) {
	line := strings.TrimSpace(strings.ToValidUTF8(raw, " "))
	if r.skipCode(line) {
		return
	}
	if number == 1 && line == "---" {
		r.fence = line // what stands before the text in many Markdown files
		return
	}
	if underline(line) && len(r.starts) == 1 {
		title := r.block.String()
		r.clear()
		r.under(title)
		return
	}
	if line == "" || strings.Trim(line, "-*_= ") == "" {
		r.flush()
		r.commit = r.commit && line != ""
		return
	}
	if hash, rest, ok := commit(line); ok {
		r.flush()
		r.under("commit " + hash)
		r.commit = rest == ""
		if rest != "" {
			r.add(rest, number)
			r.flush()
		}
		return
	}
	if r.commit && strings.Contains(line, ": ") || statistics(line) {
		return
	}
	if title, ok := atx(line); ok {
		r.flush()
		r.under(plain(title))
		return
	}
	item, isItem := listItem(line)
	if isItem || strings.HasPrefix(line, "|") || r.ended(item) {
		r.flush()
	}
	r.add(plain(item), number)
}

// skipCode skips fenced code and reports whether line belongs to it.
func (r *reader) skipCode(line string) bool {
	if r.fence != "" {
		if strings.HasPrefix(line, r.fence) {
			r.fence = ""
		}
		return true
	}
	for _, fence := range []string{"```", "~~~"} {
		if strings.HasPrefix(line, fence) {
			r.flush()
			r.fence = fence
			return true
		}
	}
	return false
}

// ended reports whether the block is complete without the line that follows:
// its last line was too short to be wrapped and the next begins anew.
func (r *reader) ended(next string) bool {
	if r.last == "" || utf8.RuneCountInString(r.last) >= wrapped {
		return false
	}
	first, _ := utf8.DecodeRuneInString(next)
	return !unicode.IsLower(first)
}

func (r *reader) under(title string) {
	r.heading, r.lead = title, true
	if title != "" && !strings.HasPrefix(title, "commit ") {
		r.doc.headings = append(r.doc.headings, title)
	}
}

func (r *reader) add(text string, number int) {
	if text == "" {
		return
	}
	if r.block.Len() > 0 {
		r.block.WriteByte(' ')
	}
	r.starts = append(r.starts, start{r.block.Len(), number})
	r.block.WriteString(text)
	r.last = text
}

func (r *reader) clear() {
	r.block.Reset()
	r.starts, r.last = r.starts[:0], ""
}

// flush ends the block and takes its sentences.
func (r *reader) flush() {
	defer r.clear()
	if len(r.starts) == 0 {
		return
	}
	block := r.block.String()
	r.doc.words += len(strings.Fields(block))
	at, on := 0, 0
	for _, end := range sentenceEnds(block) {
		// The space between two lines belongs to neither.
		for on+1 < len(r.starts) && r.starts[on+1].offset <= at+1 {
			on++
		}
		text := cut(strings.TrimSpace(block[at:end]), maxSentence)
		at = end
		s := &sentence{
			text: text, line: r.starts[on].line, heading: r.heading, lead: r.lead,
			order: len(r.doc.sentences), terms: terms(text),
		}
		if len(s.terms) == 0 {
			continue
		}
		r.doc.keep(s)
		r.lead = false
	}
}

func (d *document) keep(s *sentence) {
	distinct := s.terms[:0:0]
	seen := make(map[string]bool, len(s.terms))
	for _, term := range s.terms {
		d.frequency[term]++
		if !seen[term] {
			seen[term] = true
			d.spread[term]++
			distinct = append(distinct, term)
		}
	}
	s.terms = distinct
	d.sentences = append(d.sentences, s)
}

// cut shortens text to at most limit runes, at a space where there is one.
func cut(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	const mark = " …"
	runes := []rune(text)[:max(limit-2, 0)]
	short := string(runes)
	if at := strings.LastIndexByte(short, ' '); at > len(short)/2 {
		short = short[:at]
	}
	return short + mark
}
