package backend

import (
	"cmp"
	"time"

	"github.com/retraind/retraind/notify"
	"github.com/retraind/retraind/status"
)

// Counter returns a function that increments counters from outbox events, so that only committed changes are counted.
func Counter(m *status.Metrics) func(notify.Event) {
	return func(e notify.Event) {
		switch e.Kind {
		case notify.RunFinished:
			if d, err := notify.Unpack[notify.Finished](e); err == nil {
				m.RunEnded(e.Model, d.Outcome, seconds(d.Seconds))
			}
		case notify.RunStep:
			if d, err := notify.Unpack[notify.Step](e); err == nil {
				m.StepEnded(e.Model, d.Step, seconds(d.Seconds))
				if d.GPUIdle != nil {
					m.GPUIdle(e.Model, d.Step, *d.GPUIdle)
				}
			}
		case notify.ShadowDiffered:
			if d, err := notify.Unpack[notify.Shadow](e); err == nil {
				m.ShadowDiffered(e.Model, d.Decision, d.Shadow)
			}
		case notify.GPUBlocked:
			if d, err := notify.Unpack[notify.GPUHeld](e); err == nil {
				m.GPUBlocked(e.Model, holder(d.Holders))
			}
		case notify.GPUContended:
			if d, err := notify.Unpack[notify.GPUFound](e); err == nil {
				var who []notify.GPUHolder
				if d.Holder != nil {
					who = append(who, *d.Holder)
				}
				m.GPUContended(e.Model, d.Kind, holder(who))
			}
		case notify.GPUReleased:
			m.GPUReleased(e.Model)
		case notify.GPURestored:
			if d, err := notify.Unpack[notify.GPUReturned](e); err == nil {
				for _, t := range d.Things {
					m.GPURestored(e.Model, t.Ending)
				}
			}
		case notify.DecisionMade:
			if d, err := notify.Unpack[notify.Decision](e); err == nil {
				reason := "" // no blocker
				if len(d.Reasons) > 0 {
					reason = d.Reasons[0]
				}
				m.Decided(e.Model, d.Verdict, reason)
			}
		}
	}
}

// holder returns the owner of the process that uses the most GPU memory, or the name of the process if the owner is
// unknown.
func holder(all []notify.GPUHolder) string {
	if len(all) == 0 {
		return ""
	}
	return cmp.Or(all[0].Owner, all[0].Name)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
