package ingest

import (
	"errors"

	"github.com/retraind/retraind/store"
	"github.com/retraind/retraind/watch"
)

// storeFault converts an error of the state directory into a watch.Fault with Store set, so that a source does not
// report it as its own error. It returns any other error unchanged.
func (w *Writer) storeFault(err error) error {
	var fault *store.Fault
	if !errors.As(err, &fault) {
		return err
	}
	return &watch.Fault{Cause: "state directory " + w.store.Dir() + ": " + fault.Text, Store: true, Err: err}
}
