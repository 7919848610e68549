// Package ingest applies label changes and label events to the stored items of a model.
//
// It owns what a row of the table or an event does to an item (whose label wins, which side an item is on, which change
// counts), the salt and the split that decide which items are held out, and the running of a model's sources.
//
// Threading: a Writer and an Intake are safe for concurrent use; each call of the Writer is one transaction of the
// store, which also moves the source's position.
//
// It never reads a source by itself, never measures accuracy, and never drops a change that it cannot place: a label
// for an item that is not known yet waits for the item.
package ingest
