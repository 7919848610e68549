// Package ingest applies label changes and label events to the stored items of a model.
//
// It decides how a table row or an event changes an item: which label wins, whether the item is held out, and which
// change counts. It owns the salt and the split that decide which items are held out, and it runs a model's sources.
//
// Threading: a Writer and an Intake are safe for concurrent use; each call of the Writer is one transaction of the
// store, which also stores the source's new position.
//
// It never reads a source by itself, never measures accuracy, and never drops a label for an unknown item: the
// label is buffered until the item arrives.
package ingest
