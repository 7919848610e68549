package evaluator

import (
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
)

// View is the loop's latest state, for the API and the page.
type View struct {
	Report   *drift.Report
	Decision *policy.Decision
	Next     time.Time // time of the next evaluation
	Floor    float64   // the accuracy below which the policy retrains, 0 if none is configured
	Trouble  string    // error of the last evaluation
	Shadow   *policy.Shadow
	Audit    Audit
	Rules    *Rules
	Scoring  *Scoring
	Serving  *Serving // nil before the first check of the service, and without a champion
	// ServiceTrouble is the error of the last check of the service.
	ServiceTrouble string
	// Barred says why the classifier must not be queried now, "" if it may be.
	Barred string
	Trial  *policy.Trial // nil if the release has no probation
}

// Audit is the result of the last audit; Difference and Damage are empty if it found nothing wrong.
type Audit struct {
	At         time.Time
	Difference string
	Damage     string // what is wrong with the champion's files
}

// Scoring is the progress of an evaluation that scores many texts.
type Scoring struct{ Done, Of int }

// View returns the loop's latest state. It is safe for concurrent use.
func (l *Loop) View() View {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.view
}

func (l *Loop) setView(f func(*View)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.view)
}

// complain logs the error of an evaluation unless the previous evaluation had the same one, and logs when evaluations
// work again.
func (l *Loop) complain(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if text == l.view.Trouble {
		return
	}
	if err != nil {
		l.log.Error("evaluation failed; retrying", "err", err)
	} else {
		l.log.Info("evaluation works again")
	}
	l.view.Trouble = text
}
