package classifier

import (
	"cmp"
	"math"
	"slices"
	"sync/atomic"
)

const (
	// bucketBits is the length of the n-gram hashes in bits. While a vocabulary is built, the document frequencies of
	// all hashes take 16 MiB, for any number of texts.
	bucketBits = 22
	// maxFeatures and maxWeights limit a model: features, and features times outputs.
	maxFeatures = 1 << 18
	maxWeights  = 1 << 23
	// maxEntries limits the entries of all rows in training: 8 bytes each, 512 MiB in total.
	maxEntries = 1 << 26
)

// vector is a sparse row of feature numbers and values; features of words come first.
type vector struct {
	index []uint32
	value []float32
	words int // number of entries that are words
}

// vocabulary contains the n-grams that a model uses as features. Their number grows with the data. Beyond the limit of
// features the rarest n-grams are left out, beyond the limit of entries the most frequent ones (see frequencies).
type vocabulary struct {
	hashes []uint32  // bucket of each feature, the most frequent first, for locality
	idf    []float32 // inverse document frequency, ln((1+n)/(1+df)) + 1
	table  []int32   // open-addressed: feature number + 1 by bucket
	shift  int       // from a bucket to its first slot in table
}

// newVocabulary counts the texts that contain each n-gram, and chooses the features for a model with the given number
// of outputs.
func newVocabulary(examples []Example, outputs int) *vocabulary {
	counts := make([]uint32, 1<<bucketBits)
	eachInParallel(len(examples), func(from, to int) {
		var v gramReader
		for i := from; i < to; i++ {
			v.collect(textOf(examples[i].Text))
			for _, g := range v.grams {
				atomic.AddUint32(&counts[bucketOf(g)], 1)
			}
		}
	})
	low, high := frequencies(counts, min(maxFeatures, maxWeights/max(outputs, 1)), maxEntries)
	w := &vocabulary{}
	n := float64(len(examples))
	for bucket, df := range counts {
		if df >= low && df <= high {
			w.hashes = append(w.hashes, uint32(bucket))
		}
	}
	slices.SortStableFunc(w.hashes, func(a, b uint32) int { return cmp.Compare(counts[b], counts[a]) })
	for _, bucket := range w.hashes {
		w.idf = append(w.idf, float32(math.Log((1+n)/(1+float64(counts[bucket])))+1))
	}
	w.makeTable()
	return w
}

func bucketOf(g gram) uint32 { return uint32(g.hash >> (64 - bucketBits)) }

// frequencies returns the lowest and the highest document frequency of the features. low is 1 if all n-grams fit into
// the limit of features, because in short texts a word that occurs once can still indicate the category. high is
// limited so that the rows do not exceed the limit of entries, because n-grams that occur in most texts say least about
// the category.
func frequencies(counts []uint32, features, entries int) (low, high uint32) {
	byFrequency := map[uint32]int{}
	top := uint32(0)
	for _, df := range counts {
		if df > 0 {
			byFrequency[df]++
			top = max(top, df)
		}
	}
	kept := 0
	low = top + 1
	for low > 1 && kept+byFrequency[low-1] <= features {
		low--
		kept += byFrequency[low]
	}
	sum := 0
	for high = low - 1; high < top && sum+int(high+1)*byFrequency[high+1] <= entries; {
		high++
		sum += int(high) * byFrequency[high]
	}
	return low, high
}

// makeTable builds the hash table from the hashes; at most half of the slots are used.
func (w *vocabulary) makeTable() {
	size, bits := 2, 1
	for size < 2*len(w.hashes) {
		size, bits = 2*size, bits+1
	}
	w.table, w.shift = make([]int32, size), max(bucketBits-bits, 0)
	for n, hash := range w.hashes {
		i := int(hash>>w.shift) & (size - 1)
		for w.table[i] != 0 {
			i = (i + 1) & (size - 1)
		}
		w.table[i] = int32(n + 1)
	}
}

// find returns the index of the feature for a bucket, or -1.
func (w *vocabulary) find(bucket uint32) int {
	mask := len(w.table) - 1
	for i := int(bucket>>w.shift) & mask; ; i = (i + 1) & mask {
		n := int(w.table[i]) - 1
		if n < 0 || w.hashes[n] == bucket {
			return n
		}
	}
}

// row writes the text's features to out, which is reused. A feature's value is the logarithmic count (logCount) times
// the inverse document frequency. Words and characters are normalized to Euclidean length 1 separately, because there
// are many more character n-grams than words.
func (w *vocabulary) row(v *gramReader, text string, out *vector) {
	out.index, out.value = out.index[:0], out.value[:0]
	v.collect(text)
	for _, char := range []bool{false, true} {
		out.words = len(out.index) // finally, the index at which the characters begin
		for _, g := range v.grams {
			if g.char != char {
				continue
			}
			if n := w.find(bucketOf(g)); n >= 0 {
				out.index, out.value = append(out.index, uint32(n)), append(out.value, logCount(g.count)*w.idf[n])
			}
		}
	}
	out.normalize()
}

func (v *vector) normalize() {
	for _, part := range [][]float32{v.value[:v.words], v.value[v.words:]} {
		var square float64
		for _, x := range part {
			square += float64(x) * float64(x)
		}
		scale := float32(1 / math.Sqrt(max(square, 1e-30)))
		for i := range part {
			part[i] *= scale
		}
	}
}

// without copies the row to out, which is reused, and leaves out unknown features.
func (v *vector) without(unknown func(feature uint32) bool, out *vector) {
	*out = vector{index: out.index[:0], value: out.value[:0]}
	for i, d := range v.index {
		if unknown(d) {
			continue
		}
		out.index, out.value = append(out.index, d), append(out.value, v.value[i])
		if i < v.words {
			out.words++
		}
	}
	out.normalize()
}

// rows returns the features of all examples.
func (w *vocabulary) rows(examples []Example) []vector {
	rows := make([]vector, len(examples))
	eachInParallel(len(examples), func(from, to int) {
		var v gramReader
		var row vector
		for i := from; i < to; i++ {
			w.row(&v, textOf(examples[i].Text), &row)
			rows[i] = vector{slices.Clone(row.index), slices.Clone(row.value), row.words}
		}
	})
	return rows
}
