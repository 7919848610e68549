// Package stats has the statistics that the rest decides by: intervals of a share, paired comparisons of two classifiers,
// sequential tests that may be looked at after each observation, and how far two label mixes are apart.
//
// It owns the formulas, each with its source. ECUSUM and EProcess belong to one goroutine; everything else is a function
// of its arguments. It knows nothing of items, models or policies, reads no clock, and uses no random numbers but from
// fixed seeds.
package stats
