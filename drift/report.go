package drift

import (
	"time"

	"github.com/retraind/retraind/drift/stats"
)

// State says whether a report may be decided on.
type State string

// The states of a report. Only StateOK is evidence; every other state makes a policy hold with a reason.
const (
	StateOK           State = "ok"
	StateNoRelease    State = "no_release"   // nothing is deployed yet
	StateUnscored     State = "unscored"     // held-out texts wait for the classifier's answer
	StateInsufficient State = "insufficient" // fewer scored items than evaluate.min_items
	StateAsleep       State = "asleep"       // the service does not answer and may (serving.asleep: ok)
	StateForeign      State = "foreign"      // something else than the champion serves
	StateError        State = "error"        // the service or a source is broken; Detail says how
)

// Report is what is known about a model's accuracy at one instant: counts first, figures derived from them.
// Shares and accuracies are fractions in [0, 1]; differences called points are percentage points.
type Report struct {
	Model   string    `json:"model"`
	At      time.Time `json:"at"`
	Release string    `json:"release,omitempty"` // digest of the release that was judged
	Target  string    `json:"target"`            // the gating target
	State   State     `json:"state"`
	Detail  string    `json:"detail,omitempty"`
	Seq     int64     `json:"seq"` // last label change that is in the figures

	HeldOut int `json:"held_out"` // held-out items that count for this release
	Scored  int `json:"scored"`   // of them, with an answer of this release
	Leaked  int `json:"leaked"`   // held-out items this release trained on: never counted

	// FormatErrors is how many of the scored items a language model answered, but not as it was asked to. They count as wrong.
	FormatErrors int `json:"format_errors,omitempty"`

	// The figures by the labels as they stand, and as people left them where that differs: what retraind itself wrote
	// over since the promotion is shown, and is evidence of nothing.
	Figures
	People *Figures `json:"by_people,omitempty"`

	Baseline *Baseline `json:"baseline,omitempty"`

	// Targets are the figures of the other targets, each over the held-out items that carry a label of it.
	Targets []TargetFigures `json:"targets,omitempty"`

	Relabels Relabels `json:"relabels"`
	NewItems NewItems `json:"new_items"`
	Labels   Labels   `json:"labels"`
	// Probation is nil where the release was promoted without one.
	Probation *OnProbation `json:"probation,omitempty"`
	// Suspicion is nil where the relabels were not looked at: they are when a retrain would be due.
	Suspicion *Suspicion `json:"suspicion,omitempty"`
}

// Figures are those of one confusion matrix over Report.Scored items, and how far they are from the baseline.
type Figures struct {
	Correct  int     `json:"correct"`
	Accuracy float64 `json:"accuracy"`
	Low      float64 `json:"low"`  // Wilson 95 %
	High     float64 `json:"high"` // Wilson 95 %
	// The interval that holds at every look at once, 95 %: what a band over time may be drawn from.
	AnytimeLow  float64 `json:"anytime_low"`
	AnytimeHigh float64 `json:"anytime_high"`

	Majority float64    `json:"majority"` // share of the most frequent label: what a constant answer scores
	MacroF1  float64    `json:"macro_f1"`
	Balanced float64    `json:"balanced_accuracy"`
	Kappa    float64    `json:"kappa"`
	MCC      float64    `json:"mcc"`
	Category []Category `json:"categories"`

	// Drop is Baseline.Accuracy - Accuracy in points; 0 without a baseline.
	Drop        float64 `json:"drop"`
	MacroF1Drop float64 `json:"macro_f1_drop"` // points
}

// TargetFigures are those of one target that does not gate.
type TargetFigures struct {
	Name     string  `json:"name"`
	N        int     `json:"n"` // held-out items with a label of the target and an answer of this release
	Correct  int     `json:"correct"`
	Accuracy float64 `json:"accuracy"` // 0 without items
	Low      float64 `json:"low"`      // Wilson 95 %
	High     float64 `json:"high"`     // Wilson 95 %
	MacroF1  float64 `json:"macro_f1"`
}

// ByPeople is the report with the figures by the labels as people left them: what may be evidence.
func (r Report) ByPeople() Report {
	if r.People != nil {
		r.Figures = *r.People
	}
	return r
}

// FormatErrorShare is the share of scored items whose answer could not be used.
func (r *Report) FormatErrorShare() float64 { return share(r.FormatErrors, r.Scored) }

// Category is one label's row of the confusion matrix.
type Category struct {
	Name      string  `json:"name"`
	Support   int     `json:"support"`   // held-out items that carry the label
	Predicted int     `json:"predicted"` // held-out items answered with it
	Correct   int     `json:"correct"`
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
}

// Baseline is what the release scored when it was promoted.
type Baseline struct {
	Accuracy float64   `json:"accuracy"`
	MacroF1  float64   `json:"macro_f1"`
	N        int       `json:"n"`
	Correct  int       `json:"correct"`
	At       time.Time `json:"at"`
	// Why is the reason for a baseline that was measured after the promotion.
	Why string `json:"why,omitempty"`
	// Category is how often each category was asked for and missed.
	Category map[string]stats.Stretch `json:"categories,omitempty"`
	// Dependence is how the errors of the release before came in clusters: what the tests begin with.
	Dependence *stats.Dependence `json:"dependence,omitempty"`
}

// Relabels is the paired stream: held-out items already judged whose label was corrected since the baseline.
type Relabels struct {
	RightToWrong int     `json:"right_to_wrong"`
	WrongToRight int     `json:"wrong_to_right"`
	P            float64 `json:"p"` // exact one-sided sign test, P(Bin(b+c, 1/2) >= b); 1 when there are none
	Authors      int     `json:"authors"`
}

// NewItems is the error stream of held-out items that arrived since the baseline, watched by an e-CUSUM.
type NewItems struct {
	N       int     `json:"n"`
	Errors  int     `json:"errors"`
	E       float64 `json:"e"`     // current e-value
	Bound   float64 `json:"bound"` // labels per false alarm that the policy allows; 0 = not configured
	Alarmed bool    `json:"alarmed"`
	// Dependence is how many items count as one, because wrong answers come in clusters; 1 where they do not.
	Dependence float64 `json:"dependence"`
	// Since is the stretch from which a rise of the error is estimated, Estimate its error less the baseline's, and Drop
	// the lower end of the interval of that, in points: by so many it has risen at least. After an alarm Drop stays at
	// what it was then at least.
	Since    stats.Stretch `json:"since"`
	Estimate float64       `json:"estimate"`
	Drop     float64       `json:"drop"`

	Category []NewInCategory `json:"categories,omitempty"` // those that are tested, by name
}

// NewInCategory is the stream of one category: new items that carry it, and those of them that were answered otherwise.
type NewInCategory struct {
	Name   string        `json:"name"`
	N      int           `json:"n"`
	Errors int           `json:"errors"`
	Recall float64       `json:"recall"` // in the baseline
	E      float64       `json:"e"`
	Bound  float64       `json:"bound"`
	Since  stats.Stretch `json:"since"`
	// The fall of the recall in points: as estimated, and by how much it has fallen at least.
	Estimate float64 `json:"estimate"`
	Drop     float64 `json:"drop"`
	Alarmed  bool    `json:"alarmed"`
}

// Labels counts all label changes, held-out or not, since the release was trained.
type Labels struct {
	Items   int            `json:"items"`              // labelled items now
	Changed int            `json:"changed"`            // items that others than retraind changed since the training
	Own     int            `json:"own,omitempty"`      // items that only retraind changed since: shown, never evidence
	Share   float64        `json:"share"`              // Changed / Items
	New     map[string]int `json:"new,omitempty"`      // categories the release never saw in training, with examples now
	Gone    map[string]int `json:"vanished,omitempty"` // categories that no item carries any more, with its training examples
	// The label mix against that of the training snapshot: population stability index, Jensen-Shannon distance, and
	// Pearson's test. 0, 0 and nil where that snapshot is not known.
	PSI  float64          `json:"psi"`
	JS   float64          `json:"js"`
	Chi  *stats.ChiSquare `json:"chi_square,omitempty"`
	Rate float64          `json:"rate"` // held-out labels a day, over the last 30 days without the first of all
	// RateDays is over how many days it was measured; 0 on the first day, whose labels are mostly those that were there.
	RateDays int `json:"rate_days"`
}
