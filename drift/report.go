package drift

import (
	"time"

	"github.com/retraind/retraind/drift/stats"
)

// State reports whether a report may be used for a decision.
type State string

// The states of a report. Only a report in StateOK is evidence. In every other state a policy judges no threshold and
// reports the reason; without a release, a retrain is due.
const (
	StateOK           State = "ok"
	StateNoRelease    State = "no_release"   // nothing is deployed yet
	StateUnscored     State = "unscored"     // some held-out texts are not scored yet
	StateInsufficient State = "insufficient" // fewer scored items than evaluate.min_items
	StateAsleep       State = "asleep"       // the service does not answer, which serving.asleep allows
	StateForeign      State = "foreign"      // the service's answers are not the champion's
	StateError        State = "error"        // the service or a source is broken; Detail has the error
)

// Report contains everything known about a model's accuracy at one time: counts first, then the figures derived from
// them. Shares and accuracies are fractions in [0, 1]; differences called points are percentage points.
type Report struct {
	Model   string    `json:"model"`
	At      time.Time `json:"at"`
	Release string    `json:"release,omitempty"` // digest of the measured release
	Target  string    `json:"target"`            // the gating target
	State   State     `json:"state"`
	Detail  string    `json:"detail,omitempty"`
	Seq     int64     `json:"seq"` // last label change in the figures

	HeldOut int `json:"held_out"` // held-out items that count for this release
	Scored  int `json:"scored"`   // of them, with an answer of this release
	Leaked  int `json:"leaked"`   // held-out items this release trained on: never counted

	// FormatErrors is the number of scored items with an unusable answer of a language model. They count as wrong.
	FormatErrors int `json:"format_errors,omitempty"`

	// Figures are computed from the present labels. For People, each label that retraind itself wrote over a person's
	// since the baseline is replaced by the person's label; People is nil if there is none. A first label by retraind
	// counts in both.
	Figures
	People *Figures `json:"by_people,omitempty"`

	Baseline *Baseline `json:"baseline,omitempty"`

	// Targets are the figures of the other targets, each over the held-out items that have a label of that target.
	Targets []TargetFigures `json:"targets,omitempty"`

	Relabels Relabels `json:"relabels"`
	NewItems NewItems `json:"new_items"`
	Labels   Labels   `json:"labels"`
	// Probation is nil if the release was promoted without one.
	Probation *OnProbation `json:"probation,omitempty"`
	// Suspicion is nil if the relabels were not checked; they are checked when a retrain would be due.
	Suspicion *Suspicion `json:"suspicion,omitempty"`
}

// Figures are computed from one confusion matrix over Report.Scored items, and compared with the baseline.
type Figures struct {
	Correct  int     `json:"correct"`
	Accuracy float64 `json:"accuracy"`
	Low      float64 `json:"low"`  // Wilson 95%
	High     float64 `json:"high"` // Wilson 95%
	// The 95% interval that is valid at all times at once, for a chart over time.
	AnytimeLow  float64 `json:"anytime_low"`
	AnytimeHigh float64 `json:"anytime_high"`

	Majority float64    `json:"majority"` // share of the most frequent label: the accuracy of a constant answer
	MacroF1  float64    `json:"macro_f1"`
	Balanced float64    `json:"balanced_accuracy"`
	Kappa    float64    `json:"kappa"`
	MCC      float64    `json:"mcc"`
	Category []Category `json:"categories"`

	// Drop is Baseline.Accuracy - Accuracy in points; 0 without a baseline.
	Drop        float64 `json:"drop"`
	MacroF1Drop float64 `json:"macro_f1_drop"` // points
}

// TargetFigures are the figures of one target that does not gate.
type TargetFigures struct {
	Name     string  `json:"name"`
	N        int     `json:"n"` // held-out items with a label of the target and an answer of this release
	Correct  int     `json:"correct"`
	Accuracy float64 `json:"accuracy"` // 0 without items
	Low      float64 `json:"low"`      // Wilson 95%
	High     float64 `json:"high"`     // Wilson 95%
	MacroF1  float64 `json:"macro_f1"`
}

// ByPeople returns the report with the figures in People, if there are any, because retraind's own labels may not be
// evidence.
func (r Report) ByPeople() Report {
	if r.People != nil {
		r.Figures = *r.People
	}
	return r
}

// FormatErrorShare returns the share of scored items whose answer could not be used.
func (r *Report) FormatErrorShare() float64 { return share(r.FormatErrors, r.Scored) }

// Category has the figures of one category: how often it is the label, how often the answer, and how often both.
type Category struct {
	Name      string  `json:"name"`
	Support   int     `json:"support"`   // held-out items with this label
	Predicted int     `json:"predicted"` // held-out items answered with it
	Correct   int     `json:"correct"`
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
}

// Baseline are the release's figures at its promotion, or when they were measured again.
type Baseline struct {
	Accuracy float64   `json:"accuracy"`
	MacroF1  float64   `json:"macro_f1"`
	N        int       `json:"n"`
	Correct  int       `json:"correct"`
	At       time.Time `json:"at"`
	// Target is the gating target, of which the figures are; empty in a baseline that an earlier version stored.
	Target string `json:"target,omitempty"`
	// Why is the reason why the baseline was measured again after the promotion; empty if it was not.
	Why string `json:"why,omitempty"`
	// Category is each category's number of items and of wrong answers.
	Category map[string]stats.Stretch `json:"categories,omitempty"`
	// Dependence is how strongly the errors of the previous release were clustered: the tests start with it.
	Dependence *stats.Dependence `json:"dependence,omitempty"`
}

// Relabels counts the corrections, since the baseline, of held-out labels that were in the baseline or have been tested
// as new items. Each correction compares an item with itself, so the counts are paired evidence.
type Relabels struct {
	RightToWrong int     `json:"right_to_wrong"`
	WrongToRight int     `json:"wrong_to_right"`
	P            float64 `json:"p"` // exact one-sided sign test, P(Bin(b+c, 1/2) >= b); 1 without corrections
	Authors      int     `json:"authors"`
}

// NewItems counts the held-out items that people labelled since the baseline and that were tested, and how many of them
// were answered wrongly. An e-CUSUM monitors these answers.
type NewItems struct {
	N       int     `json:"n"`
	Errors  int     `json:"errors"`
	E       float64 `json:"e"`     // current e-value
	Bound   float64 `json:"bound"` // labels per false alarm that the policy allows; 0 = not configured
	Alarmed bool    `json:"alarmed"`
	// Dependence is the number of items that count as one, because wrong answers occur in clusters; 1 if they are
	// independent.
	Dependence float64 `json:"dependence"`
	// Since is the stretch from which a rise of the error rate is estimated. Estimate is the error rate in it minus
	// the baseline's, in points. Drop is the lower end of the estimate's interval, in points: the error rate has
	// risen by at least this much. After an alarm, Drop does not fall below its value at the alarm.
	Since    stats.Stretch `json:"since"`
	Estimate float64       `json:"estimate"`
	Drop     float64       `json:"drop"`

	Category []NewInCategory `json:"categories,omitempty"` // those that are tested, by name
}

// NewInCategory counts the new items with one category as label, and those of them with a different answer.
type NewInCategory struct {
	Name   string        `json:"name"`
	N      int           `json:"n"`
	Errors int           `json:"errors"`
	Recall float64       `json:"recall"` // in the baseline
	E      float64       `json:"e"`
	Bound  float64       `json:"bound"`
	Since  stats.Stretch `json:"since"`
	// The fall of the recall in points: the estimate, and the lower bound.
	Estimate float64 `json:"estimate"`
	Drop     float64 `json:"drop"`
	Alarmed  bool    `json:"alarmed"`
}

// Labels counts the items, held-out or not, that changed since the release was trained. An item whose labels were
// changed back does not count.
type Labels struct {
	Items   int            `json:"items"`         // labelled items now
	Changed int            `json:"changed"`       // items changed since the training, not only by retraind
	Own     int            `json:"own,omitempty"` // items changed since by retraind only: shown, never evidence
	Share   float64        `json:"share"`         // Changed / Items
	New     map[string]int `json:"new,omitempty"` // categories that were not in the training, with their numbers of examples
	// Gone are the categories that no item outside the held-out set and no scored held-out item has any longer, with
	// their numbers of training examples.
	Gone map[string]int `json:"vanished,omitempty"`
	// The label mix compared with the training snapshot: population stability index, Jensen-Shannon distance and
	// Pearson's test. If the snapshot is unknown, these are 0, 0 and nil.
	PSI  float64          `json:"psi"`
	JS   float64          `json:"js"`
	Chi  *stats.ChiSquare `json:"chi_square,omitempty"`
	Rate float64          `json:"rate"` // held-out labels a day over the last 30 days, not counting the first day
	// RateDays is the number of days over which the label rate was measured. It is 0 on the first day, because most
	// labels of that day existed before.
	RateDays int `json:"rate_days"`
}
