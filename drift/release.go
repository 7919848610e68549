package drift

import (
	"time"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/serving"
)

// Options configure a Monitor.
type Options struct {
	Model   string
	Targets []serving.Target // the first one gates
	// MinItems is the number of scored held-out items below which nothing is decided.
	MinItems int
	// DropPoints is the least rise of the error rate among new items at which their test alarms, in points.
	DropPoints float64
	// FalseRetrains is how often the test of new items may alarm although nothing changed; zero disables the alarm.
	FalseRetrains unit.Rate
	// Categories configures the tests of new items by category; the zero value disables them.
	Categories CategoryTests
}

// CategoryTests configures one e-CUSUM for each category of the gating target.
type CategoryTests struct {
	// DropPoints is the least fall of a category's recall at which its test alarms, in points.
	DropPoints float64
	// FalseRetrains is how often all these tests together may alarm although nothing changed.
	FalseRetrains unit.Rate
	// MinItems is the number of items in the baseline below which a category is not tested.
	MinItems int
}

// Release describes the release that a Monitor measures.
type Release struct {
	Digest string
	// TrainedOn reports whether the release saw an item, or a text of its group, in training; nil if unknown.
	TrainedOn func(item, group string) bool
	// TrainedSeq is the sequence number of the last label change in its training snapshot.
	TrainedSeq int64
	// TrainLabels is the mix of the gating target's labels in its training snapshot; nil if unknown.
	TrainLabels map[string]int
	// Baseline are its figures at the promotion, or when they were measured again; nil until Rebase.
	Baseline *Baseline
	// BaselineSeq is the sequence number of the last label change in the baseline.
	BaselineSeq int64
	// Probation is the time in which new items may cause its rollback; nil if it was promoted without a probation.
	Probation *Probation
	// Cached returns a stored answer of this release; nil if no answers are stored.
	Cached func(item, textHash string) (serving.Answers, bool)
}

// LabelChange is a change of an item. Unless stated otherwise, a field describes the item after the change.
type LabelChange struct {
	Item     string
	Heldout  bool
	TextHash string
	Group    string            // GroupHash of the group key
	New      map[string]string // canonical labels by target; a null label is absent
	// Old holds the labels before the change, if known. If it is nil and Inserted is false, the Monitor uses the labels
	// that it has stored.
	Old map[string]string
	// Trained holds the labels in the training snapshot, for an item passed to Reset whose text has not changed since.
	// It is nil if the item was inserted later, its text changed, or the snapshot is unknown; the item then counts as
	// changed.
	Trained map[string]string
	// Inserted marks the change that created the item, so that a replay after a restart recognizes it as new.
	Inserted bool
	Own      bool // written by retraind itself: counted, but never evidence
	Author   string
	At       time.Time
	Seq      int64 // of the last change; grows in commit order
}

// Unscored is a held-out text without an answer of the classifier.
type Unscored struct {
	Item, TextHash string
}
