package classifier

import (
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	// maxText is the maximum number of bytes read of an item. The rest hardly changes the category, and a 10 MB item
	// must not stop the service.
	maxText = 64 << 10
	minGram = 3
	maxGram = 5
)

// gramReader finds the n-grams of texts, one text at a time. It reuses its buffers, so it is not safe for concurrent
// use.
type gramReader struct {
	grams  []gram // distinct n-grams of the text in order of first appearance
	table  []int32
	runes  []rune
	starts []int // byte offset of each rune of the padded word
	word   []byte
}

type gram struct {
	hash  uint64
	count int32
	char  bool // characters within a word; otherwise a word or a pair of words
}

// textOf joins the texts of an item's fields, ordered by field name.
func textOf(fields map[string]string) string {
	if len(fields) == 1 {
		for _, v := range fields {
			return v
		}
	}
	var b strings.Builder
	for i, name := range slices.Sorted(maps.Keys(fields)) {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(fields[name])
	}
	return b.String()
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func fnv(seed uint64, b []byte) uint64 {
	h := seed
	for _, c := range b {
		h = (h ^ uint64(c)) * fnvPrime
	}
	return h
}

// mix improves the weak high bits of an FNV hash. It is the finalizer of splitmix64.
func mix(h uint64) uint64 {
	h ^= h >> 30
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 27
	h *= 0x94d049bb133111eb
	return h ^ h>>31
}

// The seeds separate the hashes of the three kinds of n-grams.
const (
	seedWord = fnvOffset ^ 0x57
	seedPair = fnvOffset ^ 0x50ab
	seedChar = fnvOffset ^ 0xc4a3
)

// collect finds the distinct n-grams of a text: words, pairs of adjacent words, and sequences of 3 to 5 characters
// within a word including its borders. Of a long text or a long word it uses only the beginning.
func (v *gramReader) collect(text string) {
	if len(text) > maxText {
		text = text[:maxText]
	}
	if !norm.NFC.IsNormalString(text) {
		text = norm.NFC.String(text)
	}
	v.grams = v.grams[:0]
	if len(v.table) == 0 {
		v.table = make([]int32, 1024)
	}
	clear(v.table)
	v.runes = v.runes[:0]
	var previous uint64
	for _, r := range text {
		if r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)) {
			v.runes = append(v.runes, unicode.ToLower(r))
			continue
		}
		previous = v.endWord(previous)
	}
	v.endWord(previous)
}

// endWord adds the n-grams of the word in runes, and returns the word's hash. If runes is empty, it returns the hash of
// the previous word.
func (v *gramReader) endWord(previous uint64) uint64 {
	n := len(v.runes)
	if n == 0 {
		return previous
	}
	v.word = append(v.word[:0], '_')
	v.starts = append(v.starts[:0], 0)
	for _, r := range v.runes {
		v.starts = append(v.starts, len(v.word))
		v.word = utf8.AppendRune(v.word, r)
	}
	v.starts = append(v.starts, len(v.word))
	v.word = append(v.word, '_')
	v.starts = append(v.starts, len(v.word))
	v.runes = v.runes[:0]

	hash := fnv(seedWord, v.word)
	v.add(mix(hash), false)
	if previous != 0 {
		v.add(mix(seedPair^previous*3^hash), false)
	}
	const longest = 64 // a longer "word" is a URL or noise
	last := min(n+2, longest)
	for i := 0; i+minGram <= last; i++ {
		h := fnv(seedChar, v.word[v.starts[i]:v.starts[i+minGram-1]])
		for size := minGram; size <= maxGram && i+size <= last; size++ {
			h = fnv(h, v.word[v.starts[i+size-1]:v.starts[i+size]])
			v.add(mix(h), true)
		}
	}
	return hash
}

// add counts one occurrence of an n-gram, in an open-addressed table.
func (v *gramReader) add(hash uint64, char bool) {
	mask := uint64(len(v.table) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		k := v.table[i]
		if k == 0 {
			v.grams = append(v.grams, gram{hash, 1, char})
			v.table[i] = int32(len(v.grams))
			if 2*len(v.grams) > len(v.table) {
				v.grow()
			}
			return
		}
		if v.grams[k-1].hash == hash {
			v.grams[k-1].count++
			return
		}
	}
}

func (v *gramReader) grow() {
	v.table = make([]int32, 2*len(v.table))
	mask := uint64(len(v.table) - 1)
	for n, g := range v.grams {
		i := g.hash & mask
		for v.table[i] != 0 {
			i = (i + 1) & mask
		}
		v.table[i] = int32(n + 1)
	}
}

// logCount returns 1 + ln(n). Most n-grams occur once or twice, and for these it computes no logarithm.
func logCount(n int32) float32 {
	switch n {
	case 1:
		return 1
	case 2:
		return 1 + math.Ln2
	}
	return float32(1 + math.Log(float64(n)))
}
