// Package drift knows how accurate a deployed classifier is on items that it never trained on.
//
// It owns the held-out membership (a keyed hash), the way from a service's answer to canonical values (Target), the
// exact counters that one label change moves in constant time (Monitor), the tests and intervals over them, and the
// Report that a policy decides on. Everything but Scorer is pure: time and data come in as arguments.
//
// Threading: a Monitor belongs to one goroutine; Membership, Target and the statistics are values that any goroutine
// may use; a Scorer is safe for concurrent use.
//
// It never decides anything, never stores anything, and never counts a missing answer as a wrong one.
package drift
