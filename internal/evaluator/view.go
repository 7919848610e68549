package evaluator

import (
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/policy"
)

// View is what the loop of a model last found out, for the API and the page.
type View struct {
	Report   *drift.Report
	Decision *policy.Decision
	Next     time.Time // of the next evaluation
	Floor    float64   // the accuracy below which the policy retrains, 0 without one
	Trouble  string    // why the last evaluation failed
	Shadow   *policy.Shadow
	Audit    Audit
	Rules    *Rules
	Scoring  *Scoring
	Serving  *Serving // nil before the first look at what serves, and without a champion
	// ServiceTrouble is why the last look at the service got no answer.
	ServiceTrouble string
	Trial          *policy.Trial // nil where the release is on no probation
}

// Audit is the result of the last audit of the figures; Difference and Damage are empty if all was right.
type Audit struct {
	At         time.Time
	Difference string
	Damage     string // what is wrong with the champion's files
}

// Scoring is the progress of an evaluation that asks the service about many texts.
type Scoring struct{ Done, Of int }

// View returns what the loop last found out. It is safe for concurrent use.
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

// complain logs an error of the evaluation when it changes.
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
		l.log.Error("evaluation failed; trying again", "err", err)
	} else {
		l.log.Info("evaluation works again")
	}
	l.view.Trouble = text
}
