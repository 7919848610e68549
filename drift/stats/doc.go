// Package stats implements the statistics that decisions use: intervals of a share, paired comparisons of two
// classifiers, sequential tests that may be evaluated after each observation, and distances between two label mixes.
//
// It owns the formulas, each with its source. ECUSUM and EProcess belong to one goroutine; everything else is a
// function of its arguments. It does not depend on items, models or policies, reads no clock, and uses random
// numbers only from fixed seeds.
package stats
