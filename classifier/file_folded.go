package classifier

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/retraind/retraind/serving"
)

// foldedVersion is the file format of models with 768 folded features. After the header it has the weights of the
// n-grams' buckets, the weights of the features, and the bias, all float32.
const foldedVersion = 1

type foldedHeader struct {
	Categories []string `json:"categories"`
	Seed       uint64   `json:"seed"`
	Examples   int      `json:"examples"`
	Dims       int      `json:"dims"`
	Buckets    int      `json:"buckets"`
}

func decodeFolded(head []byte, r reader) (*Model, error) {
	var h foldedHeader
	if err := json.Unmarshal(head, &h); err != nil {
		return nil, fmt.Errorf("%w: header: %v", ErrCorrupt, err)
	}
	k := len(h.Categories)
	if k < 2 || k > maxCategories || h.Dims != foldedDims || h.Buckets != foldedBuckets || !slices.IsSorted(h.Categories) {
		return nil, fmt.Errorf("%w: %d categories, %d features, %d buckets", ErrCorrupt, k, h.Dims, h.Buckets)
	}
	if want := 4 * (foldedBuckets + foldedDims*k + k); len(r.rest) != want {
		return nil, fmt.Errorf("%w: %d bytes of weights instead of %d", ErrCorrupt, len(r.rest), want)
	}
	out := &Head{Name: "label", Kind: serving.KindLabel, Categories: h.Categories, Temperature: 1}
	m := &Model{Heads: []*Head{out}, Seed: h.Seed, Examples: h.Examples, features: folded{r.floats(foldedBuckets)}}
	out.weights.exact, out.bias = r.floats(foldedDims*k), r.floats(k)
	if r.err != nil {
		return nil, r.err
	}
	return m, nil
}
