// Package dataset reads the present labelled items of a model, each with its side (training, validation or test).
//
// It combines the table, the labels from events and the items that came from events into one sequence of rows. The
// export of a run and the command retraind export use this sequence. A Reader is a value; each call reads in one
// snapshot of the store. The package never changes the side of an item that is in the store.
package dataset
