// Package dataset reads the present labelled items of a model, each with its side (training, validation or test).
//
// It owns the combination of the table, the labels from events and the items that came from events into one
// sequence of rows, for the export of a run and for the command retraind export. A Reader is a value; each call
// reads in one snapshot of the store. It never changes a side: a side that the store has is kept.
package dataset
