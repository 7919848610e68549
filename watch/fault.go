package watch

import (
	"errors"
	"strings"

	"github.com/retraind/retraind/internal/check"
)

// Fault is an error of a source with its cause and what an operator can do about it.
type Fault struct {
	Cause string // one sentence: what is wrong
	Cure  string // what to do; may be empty
	// Key is the key of the source's section that has to do with it, such as "dsn_file"; "" where none has.
	Key string
	// Permanent marks what does not mend itself by waiting; it is retried rarely.
	Permanent bool
	// Store marks a fault of the place where label changes are stored: nothing is wrong with the source.
	Store bool
	Err   error
}

func (f *Fault) Error() string {
	if f.Cure == "" {
		return f.Cause
	}
	return f.Cause + " (" + f.Cure + ")"
}

func (f *Fault) Unwrap() error { return f.Err }

// ProblemOf turns an error of a source into a finding, its path a key of the source's section; nil gives none.
func ProblemOf(err error) (found check.Problems) {
	if err == nil {
		return nil
	}
	fault := &Fault{}
	if errors.As(err, &fault) {
		err = errors.New(fault.Cause)
	}
	found.Errorf(fault.Key, fault.Cure, "%s", OneLine(err))
	return found
}

// OneLine returns the error's text on one line. pgx masks passwords itself in the strings that it cannot parse.
func OneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}
