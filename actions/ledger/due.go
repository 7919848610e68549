package ledger

import (
	"github.com/retraind/retraind/actions/runner"
)

// StepsEnded returns why an entry is not due because of a running step of its run; "" if none runs. If that is unknown,
// the entry is not due.
func StepsEnded(e Entry) string {
	alive, err := runner.Alive(e.Run.Dir)
	switch {
	case err != nil:
		return "it is unknown whether a step of run " + e.Run.ID + " still runs: " + err.Error()
	case alive:
		return "a step of run " + e.Run.ID + " still runs"
	}
	return ""
}
