package classifier

import "math"

const (
	foldedDims    = 768
	foldedBuckets = 1 << 17
)

// folded is the feature map of model files in format 1. It adds each n-gram, weighted by its bucket, to one of 768
// features, with a sign that makes collisions cancel. New models use a vocabulary; folded is needed to serve old
// releases.
type folded struct {
	weights []float32 // by bucket; 0 = unused
}

func (f folded) row(v *gramReader, text string, out *vector) {
	var dense [foldedDims]float32
	var touched [foldedDims]bool
	v.collect(text)
	for _, g := range v.grams {
		w := f.weights[g.hash>>47] // the top 17 bits
		if w == 0 {
			continue
		}
		x := w * logCount(g.count)
		if g.hash&(1<<40) != 0 {
			x = -x
		}
		d := (g.hash & 0xffffffff) * foldedDims >> 32
		dense[d] += x
		touched[d] = true
	}
	out.index, out.value = out.index[:0], out.value[:0]
	var square float64
	for d, x := range dense {
		if !touched[d] || x == 0 {
			continue
		}
		out.index = append(out.index, uint32(d))
		out.value = append(out.value, x)
		square += float64(x) * float64(x)
	}
	if square > 0 {
		scale := float32(1 / math.Sqrt(square))
		for i := range out.value {
			out.value[i] *= scale
		}
	}
}
