package drift

import (
	"time"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/serving"
)

// Options are what a Monitor is built with.
type Options struct {
	Model   string
	Targets []serving.Target // the first gates
	// MinItems is the number of scored held-out items below which nothing is concluded.
	MinItems int
	// DropPoints is the least rise of the error among new items that matters, in points.
	DropPoints float64
	// FalseRetrains is the promise that the new-item test keeps; zero switches its alarm off.
	FalseRetrains unit.Rate
	// Categories configures the tests of new items by category; the zero value switches them off.
	Categories CategoryTests
}

// CategoryTests configures one e-CUSUM for each category of the gating target.
type CategoryTests struct {
	// DropPoints is the least fall of a category's recall that matters, in points.
	DropPoints float64
	// FalseRetrains is the promise that all of them keep together.
	FalseRetrains unit.Rate
	// MinItems is the number of items in the baseline below which a category is not tested.
	MinItems int
}

// Release is what the Monitor must know about the release that it judges.
type Release struct {
	Digest string
	// TrainedOn says whether the release saw an item, or a text of its group, in training; nil where nothing is known.
	TrainedOn func(item, group string) bool
	// TrainedSeq is the last label change in its training snapshot.
	TrainedSeq int64
	// TrainLabels is the mix of the gating target's labels in its training snapshot; nil where it is not known.
	TrainLabels map[string]int
	// Baseline is what it scored when it was promoted; nil until Rebase.
	Baseline *Baseline
	// BaselineSeq is the last label change in the baseline.
	BaselineSeq int64
	// Probation is the time in which new items may still take it back; nil where it was promoted without one.
	Probation *Probation
	// Cached returns a stored answer of this release; nil when there are none.
	Cached func(item, textHash string) (serving.Answers, bool)
}

// LabelChange is a change of an item, with the item as it stands after it.
type LabelChange struct {
	Item     string
	Heldout  bool
	TextHash string
	Group    string            // GroupHash of the group key
	New      map[string]string // canonical values by target; a null one is absent
	// Old holds the labels before the change where they are known. Nil together with Inserted false means: ask the Monitor.
	Old map[string]string
	// Trained holds the labels in the training snapshot of an item that Reset gets, where labels alone were touched since;
	// nil where it was inserted since or its text changed, or nothing is known: it counts as changed.
	Trained map[string]string
	// Inserted marks the change that made the item, so that a replay after a restart knows it for new.
	Inserted bool
	Own      bool // retraind itself wrote it: counted, but never evidence
	Author   string
	At       time.Time
	Seq      int64 // of the last change; grows in commit order
}

// Unscored is a held-out text that waits for the classifier's answer.
type Unscored struct {
	Item, TextHash string
}
