// Package policy decides from a report whether a model should be retrained and when that may start, and gives the
// reasons.
//
// It owns the rules of the configuration (thresholds, limits, probation) and Decision, which contains every condition
// with value, bound and distance. Everything is pure: reports, history and the time are arguments, and the result is a
// Decision. A compiled Policy never changes and may be shared by any number of goroutines. The quiet hours are in
// policy/quiethours.
//
// It never starts anything, never sleeps (a retrain that has to wait is returned as a Decision), never reads a clock,
// and never uses retraind's own label writes as evidence.
package policy
