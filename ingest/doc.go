// Package ingest applies label changes and label events to the stored items of a model.
//
// It decides how a table row or an event changes an item: which label wins, whether the item is held out, and whether
// the change is new. It creates the split, which decides which items are held out, and the salt, which is the split's
// secret key. It also runs a model's sources.
//
// Threading: a Writer and an Intake are safe for concurrent use, except Intake.CheckTestSet; each Append, Replace and
// Take of the Writer is one transaction of the store, which also stores the source's new position.
//
// It contains no code that reads a particular source, and it never measures accuracy. A label that an event gives to an
// unknown item is not dropped: it is buffered until the item arrives, or until store.Tx.PruneInbox deletes it.
package ingest
