package offline

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxCandidates bounds how many of the best sentences are looked at for
	// likeness, so that choosing stays linear in the text.
	maxCandidates = 64
	// maxSummary is how many sentences a summary has at most.
	maxSummary = 5
	// alike is the share of terms in common from which two sentences say the same.
	alike = 0.7
)

// summaryLength is how many of a text's sentences its summary has: half of
// them, but two of two.
func summaryLength(sentences int) int { return min(maxSummary, sentences, max(2, (sentences+1)/2)) }

// rank scores each sentence by the weight of its terms: those that come back
// throughout the text weigh most, those that are in every sentence least. No
// list of words of any language is used. Long sentences, mostly enumerations,
// gain nothing by their length; the beginning of the text and what comes first
// under a heading has more; what only announces the next line has less.
func (d *document) rank() {
	n := float64(len(d.sentences))
	weight := func(term string) float64 {
		return math.Log(float64(d.frequency[term])) * math.Log(1+n/float64(d.spread[term]))
	}
	for _, s := range d.sentences {
		for _, term := range s.terms {
			s.score += weight(term)
		}
		length := float64(len(s.terms))
		s.score /= length + 4
		switch {
		case s.order == 0:
			s.score = s.score*1.6 + 0.4
		case s.order < 3:
			s.score = s.score*1.3 + 0.1
		case s.lead:
			s.score = s.score*1.2 + 0.1
		}
		if length > 30 {
			s.score *= 30 / length
		}
		if length < 3 || strings.HasSuffix(s.text, ":") {
			s.score /= 2
		}
	}
}

// choose returns the count best sentences that fit, in the order of the text,
// leaving out those that say what a better one says. A nil fits takes all.
func (d *document) choose(count int, fits func(*sentence) bool) []*sentence {
	better := func(a, b *sentence) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.order, b.order)) }
	var best []*sentence
	for _, s := range d.sentences {
		if fits != nil && !fits(s) {
			continue
		}
		if len(best) == maxCandidates {
			if better(s, best[maxCandidates-1]) > 0 {
				continue
			}
			best = best[:maxCandidates-1]
		}
		at, _ := slices.BinarySearchFunc(best, s, better)
		best = slices.Insert(best, at, s)
	}
	var chosen []*sentence
	for _, s := range best {
		if len(chosen) == count {
			break
		}
		if !slices.ContainsFunc(chosen, func(c *sentence) bool { return likeness(c, s) >= alike }) {
			chosen = append(chosen, s)
		}
	}
	slices.SortFunc(chosen, func(a, b *sentence) int { return cmp.Compare(a.order, b.order) })
	return chosen
}

func likeness(a, b *sentence) float64 {
	common := 0
	for _, term := range a.terms {
		if slices.Contains(b.terms, term) {
			common++
		}
	}
	return float64(common) / float64(min(len(a.terms), len(b.terms)))
}

// keywords returns the count terms that come back most, best first.
func (d *document) keywords(count int) []string {
	n := float64(len(d.sentences))
	type scored struct {
		term  string
		score float64
	}
	var all []scored
	for term, frequency := range d.frequency {
		all = append(all, scored{term, math.Log(1+float64(frequency)) * math.Log(1+n/float64(d.spread[term]))})
	}
	slices.SortFunc(all, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.term, b.term))
	})
	words := make([]string, 0, count)
	for _, s := range all[:min(count, len(all))] {
		words = append(words, s.term)
	}
	return words
}

// join writes sentences as running text. One that does not end as a sentence,
// such as an entry of a list, gets a full stop.
func join(chosen []*sentence) string {
	var b strings.Builder
	for i, s := range chosen {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(s.text)
		last, _ := utf8.DecodeLastRuneInString(s.text)
		if unicode.IsLetter(last) || unicode.IsDigit(last) {
			b.WriteByte('.')
		}
	}
	return b.String()
}

// sentenceEnds returns the offsets at which the sentences of block end.
func sentenceEnds(block string) []int {
	var ends []int
	for i, r := range block {
		after := block[i+utf8.RuneLen(r):]
		switch {
		case strings.ContainsRune("。！？।۔؟", r):
			ends = append(ends, i+utf8.RuneLen(r))
		case strings.ContainsRune(".!?…", r) && stops(block[:i], after):
			closing := len(after) - len(strings.TrimLeft(after, `"')]”’»`))
			ends = append(ends, i+utf8.RuneLen(r)+closing)
		}
	}
	if len(ends) == 0 || ends[len(ends)-1] < len(block) {
		ends = append(ends, len(block))
	}
	return ends
}

// stops reports whether a stop between before and after ends a sentence: a
// space follows and then no small letter, and what stands before is no initial.
func stops(before, after string) bool {
	after = strings.TrimLeft(after, `"')]”’»`)
	if after == "" {
		return true
	}
	if after[0] != ' ' {
		return false
	}
	next, _ := utf8.DecodeRuneInString(strings.TrimLeft(after, " "))
	if unicode.IsLower(next) {
		return false
	}
	word := before[strings.LastIndexByte(before, ' ')+1:]
	first, size := utf8.DecodeRuneInString(word)
	return size != len(word) || !unicode.IsUpper(first)
}

// terms returns what a text is compared by: its words of three letters and
// more, in lower case, and for scripts without spaces every pair of letters.
func terms(text string) []string {
	var all []string
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.Mn, r) && !unicode.Is(unicode.Mc, r)
	})
	for _, word := range words {
		runes := []rune(word)
		switch {
		case unicode.In(runes[0], unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Khmer, unicode.Lao, unicode.Myanmar):
			for i := range max(len(runes)-1, 1) {
				all = append(all, string(runes[i:min(i+2, len(runes))]))
			}
		case len(runes) > 2:
			all = append(all, word)
		}
	}
	return all
}
