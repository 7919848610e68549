package policy

import (
	"encoding/json"

	"github.com/retraind/retraind/internal/unit"
)

// Conditions are named thresholds. Each configured one is judged separately; any one that trips makes a retrain due.
type Conditions struct {
	// AccuracyBelow trips when the accuracy on the held-out items is below a floor: 85%, or {share: 85%, for: 6h, margin:
	// 1}.
	AccuracyBelow *AccuracyBelow `yaml:"accuracy_below"`
	// AccuracyDrop trips when the accuracy has fallen since the promotion, by more than chance explains.
	AccuracyDrop *AccuracyDrop `yaml:"accuracy_drop"`
	// MacroF1Drop trips when the mean F1 of the categories has fallen since the promotion; it shows errors in rare
	// categories, which the accuracy hardly shows.
	MacroF1Drop *MacroF1Drop `yaml:"macro_f1_drop"`
	// CategoryRecallBelow trips when the recall of a category is below its floor.
	CategoryRecallBelow *CategoryRecall `yaml:"category_recall_below"`
	// CategoryRecallDrop trips when new items of one category are recognised less often than the items of that category
	// were at the promotion.
	CategoryRecallDrop *CategoryRecallDrop `yaml:"category_recall_drop"`
	// LabelChanges trips when people have changed enough labels since the training.
	LabelChanges *LabelChanges `yaml:"label_changes"`
	// NewCategory trips when a category that was not in the training data has enough examples to be learnt.
	NewCategory *NewCategory `yaml:"new_category"`
	// LabelShift trips when the mix of labels differs from the mix in the training data.
	LabelShift *LabelShift `yaml:"label_shift"`
	// FormatErrorsAbove trips when too many answers of a language model are unusable: 2%, or {share: 2%, for: 6h}.
	FormatErrorsAbove *FormatErrorsAbove `yaml:"format_errors_above" json:",omitempty"`
	// MaxAge trips when the release is older than this: 30d, or {age: 30d, pipeline: full}.
	MaxAge *MaxAge `yaml:"max_age"`
	// When trips when an expression over the figures of the evaluation is true, such as drop > 0.02 and changed > 100.
	When *When `yaml:"when"`
}

// AccuracyBelow is a floor for the accuracy. It may be written as the share alone.
type AccuracyBelow struct {
	// Share is the share of right answers below which the condition trips.
	Share unit.Percent `yaml:"share"`
	// For is how long the accuracy must stay below the floor before the condition trips.
	For unit.Duration `yaml:"for"`
	// Margin is how many percentage points above the floor the accuracy must rise before the tripped condition clears.
	Margin unit.Points `yaml:"margin"`
	// Pipeline is the pipeline to run when the condition trips; default: the one named default.
	Pipeline string `yaml:"pipeline" json:",omitempty"`
}

// AccuracyDrop trips on a fall in accuracy that is more than chance.
type AccuracyDrop struct {
	// Points is the smallest fall that matters, in percentage points.
	Points unit.Points `yaml:"points"`
	// FalseRetrains is how often the test on new items may trip although nothing has changed.
	FalseRetrains unit.Rate `yaml:"false_retrains"`
	// Test is the test on new items; ecusum is the only one.
	Test SequentialTest `yaml:"test"`
	// For is how long the fall must last before the condition trips.
	For unit.Duration `yaml:"for"`
	// Margin is how far, in percentage points, the fall must be below the bound (the key points) before the tripped
	// condition clears.
	Margin unit.Points `yaml:"margin"`
	// Pipeline is the pipeline to run when the condition trips; default: the one named default.
	Pipeline string `yaml:"pipeline" json:",omitempty"`
}

// SequentialTest names a test on newly arriving items.
type SequentialTest string

// TestECUSUM is the e-CUSUM; while nothing changes, it trips no more often than false_retrains allows.
const TestECUSUM SequentialTest = "ecusum"

// MacroF1Drop trips on a fall in macro-F1.
type MacroF1Drop struct {
	// Points is the fall at which the condition trips, in percentage points.
	Points unit.Points `yaml:"points"`
	// For is how long the fall must last before the condition trips.
	For unit.Duration `yaml:"for"`
	// Margin is how far, in percentage points, the fall must be below the bound (the key points) before the tripped
	// condition clears.
	Margin unit.Points `yaml:"margin"`
	// Pipeline is the pipeline to run when the condition trips; default: the one named default.
	Pipeline string `yaml:"pipeline" json:",omitempty"`
}

// CategoryRecall is a floor for the recall of categories. Besides the keys below, the name of a category may be a key:
// it sets the floor of that category.
type CategoryRecall struct {
	// All is the floor of every category that has none by name.
	All *unit.Percent `yaml:"all"`
	// MinItems is the least number of held-out items of a category; with fewer, the category is not judged.
	MinItems int `yaml:"min_items"`
	// For is how long a recall must stay below its floor before the condition trips.
	For unit.Duration `yaml:"for"`
	// Margin is how many percentage points above its floor a recall must rise before the tripped condition clears.
	Margin unit.Points `yaml:"margin"`
	// Pipeline is the pipeline to run when the condition trips; default: the one named default.
	Pipeline string `yaml:"pipeline" json:",omitempty"`
	// Category is the floor of the category with this name.
	Category map[string]unit.Percent `yaml:",inline"`
}

// CategoryRecallDrop trips on a fall in the recall of one category that is more than chance. The fall is detected
// among newly arriving items.
type CategoryRecallDrop struct {
	// Points is the smallest fall that matters, in percentage points.
	Points unit.Points `yaml:"points"`
	// FalseRetrains is how often the tests of all categories together may trip although nothing has changed.
	FalseRetrains unit.Rate `yaml:"false_retrains"`
	// MinItems is the least number of held-out items of a category at the promotion; with fewer, the category is not
	// tested.
	MinItems int `yaml:"min_items"`
	// For is how long the fall must last before the condition trips.
	For unit.Duration `yaml:"for"`
	// Pipeline is the pipeline to run when the condition trips; default: the one named default.
	Pipeline string `yaml:"pipeline" json:",omitempty"`
}

// LabelChanges counts items whose label people changed. At least at_least items must have changed and, if share is set,
// also that share of all labelled items.
type LabelChanges struct {
	// Share is the share of all labelled items that must have changed, in addition to at_least.
	Share *unit.Percent `yaml:"share"`
	// AtLeast is the least number of items that must have changed.
	AtLeast int `yaml:"at_least"`
	// For is how long the bounds must be reached before the condition trips, so that people can finish their corrections.
	For unit.Duration `yaml:"for"`
	// Pipeline is the pipeline to run when the condition trips; default: the one named default.
	Pipeline string `yaml:"pipeline" json:",omitempty"`
}

// NewCategory waits for examples of a new category.
type NewCategory struct {
	// Examples is the number of examples of one new category at which the condition trips. A classifier cannot learn from
	// ten; twenty to forty suffice.
	Examples int `yaml:"examples"`
	// For is how long there must be enough examples before the condition trips.
	For unit.Duration `yaml:"for"`
	// Pipeline is the pipeline to run when the condition trips; default: the one named default.
	Pipeline string `yaml:"pipeline" json:",omitempty"`
}

// LabelShift bounds the population stability index of the label mix.
type LabelShift struct {
	// PSI is the population stability index at which the condition trips: 0.1 is a slight, 0.2 a clear, 0.5 a drastic
	// shift.
	PSI float64 `yaml:"psi"`
	// For is how long the shift must last before the condition trips.
	For unit.Duration `yaml:"for"`
	// Margin is how far the index must fall below the bound (the key psi) before the tripped condition clears.
	Margin float64 `yaml:"margin"`
	// Pipeline is the pipeline to run when the condition trips; default: the one named default.
	Pipeline string `yaml:"pipeline" json:",omitempty"`
}

// FormatErrorsAbove bounds the share of held-out items whose answer could not be used: no JSON, another schema, cut
// off, or a value that is no category. It may be written as the share alone.
type FormatErrorsAbove struct {
	// Share is the share of the held-out items with an unusable answer above which the condition trips.
	Share unit.Percent `yaml:"share"`
	// For is how long the share must stay above the bound before the condition trips.
	For unit.Duration `yaml:"for"`
	// Margin is how many percentage points below the bound the share must fall before the tripped condition clears.
	Margin unit.Points `yaml:"margin"`
	// Pipeline is the pipeline to run when the condition trips; default: the one named default.
	Pipeline string `yaml:"pipeline" json:",omitempty"`
}

// MaxAge bounds the age of a release. It may be written as the age alone.
type MaxAge struct {
	// Age is the age of the release beyond which the condition trips.
	Age unit.Duration `yaml:"age"`
	// Pipeline is the pipeline to run when the condition trips; default: the one named default.
	Pipeline string `yaml:"pipeline"`
}

// When is a user-defined condition. It may be written as the expression alone.
type When struct {
	// Expression is an expression over the figures of the evaluation; its result must be true or false.
	Expression string `yaml:"expression"`
	// For is how long the expression must stay true before the condition trips.
	For unit.Duration `yaml:"for"`
	// Pipeline is the pipeline to run when the condition trips; default: the one named default.
	Pipeline string `yaml:"pipeline" json:",omitempty"`
}

// SetDefaults sets three points and one false retrain in half a year.
func (a *AccuracyDrop) SetDefaults() { *a = a.defaults() }

func (AccuracyDrop) defaults() AccuracyDrop {
	return AccuracyDrop{Points: 3, FalseRetrains: unit.Rate{Count: 1, Per: unit.Duration(180 * day)}, Test: TestECUSUM}
}

// SetDefaults sets an impossible share, -1, which Validate refuses: the share must be configured.
func (a *AccuracyBelow) SetDefaults() { a.Share = -1 }

// SetDefaults sets five points.
func (m *MacroF1Drop) SetDefaults() { m.Points = 5 }

// SetDefaults sets 30 held-out items; categories with fewer are not judged.
func (c *CategoryRecall) SetDefaults() { c.MinItems = 30 }

// SetDefaults sets ten points, 30 items in a category, and one false retrain in half a year.
func (c *CategoryRecallDrop) SetDefaults() {
	*c = CategoryRecallDrop{Points: 10, FalseRetrains: unit.Rate{Count: 1, Per: unit.Duration(180 * day)}, MinItems: 30}
}

// SetDefaults sets 50 items.
func (l *LabelChanges) SetDefaults() { l.AtLeast = 50 }

// SetDefaults sets 20 examples.
func (n *NewCategory) SetDefaults() { n.Examples = 20 }

// SetDefaults sets a share of 2%.
func (f *FormatErrorsAbove) SetDefaults() { f.Share = 0.02 }

// SetDefaults sets a PSI of 0.2, a clear shift.
func (l *LabelShift) SetDefaults() { l.PSI = 0.2 }

// Conditions with a single main value may be written as that value alone.

// YAMLForm accepts 85% as a short form of {share: 85%}.
func (a *AccuracyBelow) YAMLForm(form string) any {
	return formOf(form, &a.Share, (*accuracyBelowKeys)(a))
}

// YAMLForm accepts 2% as a short form of {share: 2%}.
func (f *FormatErrorsAbove) YAMLForm(form string) any {
	return formOf(form, &f.Share, (*formatErrorsKeys)(f))
}

// YAMLForm accepts 30d as a short form of {age: 30d}.
func (m *MaxAge) YAMLForm(form string) any {
	return formOf(form, &m.Age, (*maxAgeKeys)(m))
}

// MarshalJSON writes only the age if no pipeline is set, like earlier versions, so that the digests of policies stay
// the same.
func (m MaxAge) MarshalJSON() ([]byte, error) {
	if m.Pipeline == "" {
		return json.Marshal(m.Age)
	}
	return json.Marshal(maxAgeKeys(m))
}

// YAMLForm accepts an expression as a short form of {expression: …}.
func (w *When) YAMLForm(form string) any {
	return formOf(form, &w.Expression, (*whenKeys)(w))
}

// The types without their YAMLForm methods, to prevent recursion.
type (
	accuracyBelowKeys AccuracyBelow
	whenKeys          When
	maxAgeKeys        MaxAge
	formatErrorsKeys  FormatErrorsAbove
)

func formOf(form string, scalar, mapping any) any {
	switch form {
	case "scalar":
		return scalar
	case "mapping":
		return mapping
	}
	return nil
}
