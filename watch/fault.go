package watch

import (
	"errors"
	"strings"

	"github.com/retraind/retraind/internal/check"
)

// Fault is an error of a source, with a cause and a cure that an operator can read.
type Fault struct {
	Cause string // one sentence: what is wrong
	Cure  string // what to do; may be empty
	// Key is the configuration key within the source's section that causes the fault, such as "dsn_file"; "" if no key
	// does.
	Key string
	// Permanent marks a fault that waiting does not fix; the source retries only once a minute.
	Permanent bool
	// Store marks a fault of retraind's own store: the source itself works.
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

// ProblemOf turns an error of a source into a finding whose path is a configuration key within the source's section.
// For a nil error it returns no finding.
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

// OneLine returns the error's text on one line. It does not mask passwords: pgx does so in errors about connection
// strings that it cannot parse.
func OneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}
