package ingest

import (
	"errors"

	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// storeFault marks an error of the state directory, so that a source does not report it as an error of the source.
func (w *Writer) storeFault(err error) error {
	var fault *store.Fault
	if !errors.As(err, &fault) {
		return err
	}
	return &watch.Fault{Cause: "state directory " + w.store.Dir() + ": " + fault.Text, Store: true, Err: err}
}
