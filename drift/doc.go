// Package drift measures how accurate a deployed classifier is on items that it never trained on.
//
// It owns the held-out membership (a keyed hash), the exact counters that one label change updates in constant time
// (Monitor), the history of relabels since a training (RelabelHistory), and the Report that a policy decides on.
// Everything is pure (time and data are arguments), except that OpenHeldoutFile reads a file. The formulas are in
// drift/stats, and the client of the classifier service is in serving.
//
// Threading: a Monitor belongs to one goroutine; Membership is a value that any goroutine may use.
//
// It never decides anything, never stores anything, and never counts a missing answer as a wrong one.
package drift
