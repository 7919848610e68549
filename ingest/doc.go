// Package ingest applies label changes and label events to the stored items of a model.
//
// It decides how a table row or an event changes an item: which label wins, whether the item is held out, and whether
// the change is new. It creates the split, which decides which items are held out, and the salt, which is the split's
// secret key. It also runs a model's sources.
//
// Threading: a Writer and an Intake are safe for concurrent use; each call of the Writer is one transaction of the
// store, which also stores the source's new position.
//
// It contains no code that reads a particular source, and it never measures accuracy. It never drops a label for an
// unknown item: the label is buffered until the item arrives.
package ingest
