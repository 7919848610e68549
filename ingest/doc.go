// Package ingest applies label changes and label events to the stored items of a model.
//
// It owns the effect of a table row or an event on an item (which label wins, whether the item is held out, which
// change counts), the salt and the split that decide which items are held out, and the running of a model's
// sources.
//
// Threading: a Writer and an Intake are safe for concurrent use; each call of the Writer is one transaction of the
// store, which also moves the source's position.
//
// It never reads a source by itself, never measures accuracy, and never drops a label for an unknown item: the
// label is buffered until the item arrives.
package ingest
