package ledger

import (
	"github.com/retraind/retraind/actions/runner"
)

// StepsEnded returns why an entry is not due: a step of its run is still running, or that is unknown. It returns "" if
// no step is running.
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
