package stats

import (
	"maps"
	"math"
	"slices"
)

// emptyBin is the share assumed for a category that one of the mixes lacks, so that the logarithm is finite. The
// library Evidently uses the same value.
const emptyBin = 1e-4

// PSI returns the population stability index of a label mix against a reference: the sum of (now - then) ln(now / then)
// over the categories of both, as shares. Usually a value below 0.1 counts as stable, and above 0.2 as shifted. It is 0
// if a mix is empty.
func PSI(reference, current map[string]int) float64 {
	then, now := total(reference), total(current)
	if then == 0 || now == 0 {
		return 0
	}
	var sum float64
	for _, c := range union(reference, current) {
		a := max(float64(current[c])/float64(now), emptyBin)
		b := max(float64(reference[c])/float64(then), emptyBin)
		sum += (a - b) * math.Log(a/b)
	}
	return sum
}

// JensenShannon returns the Jensen-Shannon distance (the square root of the divergence, base 2) between two label
// mixes: 0 if they are equal, 1 if they are disjoint. It is 0 if a mix is empty.
func JensenShannon(reference, current map[string]int) float64 {
	then, now := total(reference), total(current)
	if then == 0 || now == 0 {
		return 0
	}
	var divergence float64
	for _, c := range union(reference, current) {
		p := float64(reference[c]) / float64(then)
		q := float64(current[c]) / float64(now)
		m := (p + q) / 2
		if p > 0 {
			divergence += p / 2 * math.Log2(p/m)
		}
		if q > 0 {
			divergence += q / 2 * math.Log2(q/m)
		}
	}
	return math.Sqrt(max(0, divergence))
}

func total(mix map[string]int) int {
	n := 0
	for _, k := range mix {
		n += max(k, 0)
	}
	return n
}

// union lists the categories of both mixes in a fixed order, so that sums are reproducible.
func union(a, b map[string]int) []string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]int{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}
