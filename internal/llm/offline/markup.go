package offline

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// atx returns the title of a heading such as "## Storage".
func atx(line string) (string, bool) {
	title := strings.TrimLeft(line, "#")
	level := len(line) - len(title)
	if level == 0 || level > 6 || title != "" && title[0] != ' ' {
		return "", false
	}
	return strings.TrimSpace(strings.TrimRight(title, "# ")), true
}

// underline reports whether line makes the one before it a heading.
func underline(line string) bool {
	return len(line) >= 3 && (strings.Trim(line, "=") == "" || strings.Trim(line, "-") == "")
}

// commit reads the line that begins a commit in what git log prints: "commit
// <hash>", or "<hash> subject" of the short form.
func commit(line string) (hash, subject string, ok bool) {
	rest, full := strings.CutPrefix(line, "commit ")
	hash, subject, _ = strings.Cut(rest, " ")
	if len(hash) < 7 || len(hash) > 64 || strings.Trim(hash, "0123456789abcdef") != "" || !strings.ContainsAny(hash, "0123456789") {
		return "", "", false
	}
	if decoration, after, found := strings.Cut(subject, ") "); found && strings.HasPrefix(decoration, "(") {
		subject = after
	}
	if full {
		subject = ""
	} else if subject == "" {
		return "", "", false
	}
	return hash[:min(len(hash), 12)], plain(subject), true
}

// statistics reports whether line is one of those that git adds about files.
func statistics(line string) bool {
	if _, after, ok := strings.Cut(line, " | "); ok && strings.Trim(after, " 0123456789+-") == "" {
		return true
	}
	return strings.Contains(line, " changed, ") && (strings.Contains(line, "insertion") || strings.Contains(line, "deletion"))
}

// listItem returns what stands behind the mark of a list item or of a quotation.
func listItem(line string) (string, bool) {
	if after, ok := strings.CutPrefix(line, ">"); ok {
		return strings.TrimSpace(after), false
	}
	if len(line) > 2 && strings.IndexByte("-*+", line[0]) >= 0 && line[1] == ' ' {
		item := strings.TrimSpace(line[2:])
		for _, box := range []string{"[ ] ", "[x] ", "[X] "} {
			item = strings.TrimPrefix(item, box)
		}
		return item, true
	}
	digits := len(line) - len(strings.TrimLeft(line, "0123456789"))
	if digits > 0 && digits < 4 && len(line) > digits+2 && strings.IndexByte(".)", line[digits]) >= 0 && line[digits+1] == ' ' {
		return strings.TrimSpace(line[digits+2:]), true
	}
	return line, false
}

// plain removes Markdown and HTML from a line and leaves its words.
func plain(line string) string {
	if strings.HasPrefix(line, "|") {
		line = cells(line)
	}
	line = strings.NewReplacer("**", "", "__", "", "~~", "", "`", "").Replace(line)
	return strings.TrimSpace(emphasis(tags(links(line))))
}

// emphasis removes the stars around words and leaves those between them.
func emphasis(line string) string {
	if strings.IndexByte(line, '*') < 0 {
		return line
	}
	var b strings.Builder
	before := ' '
	for i, r := range line {
		after, _ := utf8.DecodeRuneInString(line[i+utf8.RuneLen(r):])
		outside := func(r rune) bool { return r == utf8.RuneError || !unicode.IsLetter(r) && !unicode.IsDigit(r) }
		spaced := unicode.IsSpace(before) && (unicode.IsSpace(after) || after == utf8.RuneError)
		if r != '*' || spaced || !outside(before) && !outside(after) {
			b.WriteRune(r)
		}
		before = r
	}
	return b.String()
}

// cells returns the cells of a table's row; the row under its head has none.
func cells(row string) string {
	var filled []string
	for cell := range strings.SplitSeq(row, "|") {
		if cell = strings.TrimSpace(cell); strings.Trim(cell, "-: ") != "" {
			filled = append(filled, cell)
		}
	}
	return strings.Join(filled, " | ")
}

// links puts the text of links in their place and removes images.
func links(line string) string {
	var b strings.Builder
	for {
		open := strings.IndexByte(line, '[')
		if open < 0 {
			break
		}
		length := strings.Index(line[open:], "](")
		if length < 0 {
			break
		}
		end := strings.IndexByte(line[open+length:], ')')
		if end < 0 {
			break
		}
		before, label := line[:open], line[open+1:open+length]
		if image := strings.HasSuffix(before, "!"); image {
			before, label = before[:len(before)-1], ""
		}
		b.WriteString(before + label)
		line = line[open+length+end+1:]
	}
	return b.String() + line
}

// tags removes HTML tags and comments that begin and end on the line.
func tags(line string) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(line, "<")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		if first, _ := utf8.DecodeRuneInString(after); first != '/' && first != '!' && !unicode.IsLetter(first) {
			b.WriteByte('<')
			line = after
			continue
		}
		_, rest, closed := strings.Cut(after, ">")
		if !closed {
			return b.String() + "<" + after
		}
		line = rest
	}
}

// splitInstruction separates what a prompt asks for from the text it is about:
// a first line or short paragraph that ends in a colon, or words that point to
// what follows ("Summarise this: …").
func splitInstruction(prompt string) (instruction, text string) {
	prompt = strings.TrimLeft(prompt, "\r\n")
	first, rest, _ := strings.Cut(prompt, "\n")
	first = strings.TrimSpace(first)
	if asks(first) && strings.TrimSpace(rest) != "" {
		return first, strings.TrimLeft(rest, "\r\n")
	}
	if paragraph, after, ok := strings.Cut(prompt, "\n\n"); ok && len(paragraph) <= 400 && asks(strings.TrimSpace(paragraph)) {
		return strings.TrimSpace(paragraph), strings.TrimLeft(after, "\r\n")
	}
	before, _, ok := strings.Cut(first, ": ")
	if words := strings.Fields(strings.ToLower(before)); ok && len(words) >= 2 && len(words) <= 16 && pointsOn(words) {
		_, text, _ = strings.Cut(prompt, ": ")
		return before, text
	}
	return "", prompt
}

func asks(line string) bool {
	if _, heading := atx(line); heading {
		return false
	}
	return strings.HasSuffix(line, ":") || strings.HasSuffix(line, "：")
}

func pointsOn(words []string) bool {
	for _, word := range words {
		switch word {
		case "this", "these", "following", "below", "text":
			return true
		}
	}
	return false
}
