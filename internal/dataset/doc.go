// Package dataset reads the labelled items of a model as they stand now, each with the side that it is on.
//
// It owns how the table, the stored labels of events and the items that only events brought become one sequence of
// rows, for the export of a run and for the command retraind export. A Reader is a value; each call reads in one
// snapshot of the store. It never decides a side for good: a side that the store knows is kept.
package dataset
