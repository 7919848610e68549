package ledger

import (
	"github.com/retraind/retraind/actions/runner"
)

// StepsEnded returns why an entry is not due while steps of its run live; "" if none does. If that is unknown, the
// entry is not due.
func StepsEnded(e Entry) string {
	alive, err := runner.Alive(e.Run.Dir)
	switch {
	case err != nil:
		return "whether a step of run " + e.Run.ID + " still runs is not known: " + err.Error()
	case alive:
		return "a step of run " + e.Run.ID + " still runs"
	}
	return ""
}
