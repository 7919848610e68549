package drift

import (
	"maps"
	"slices"

	"github.com/retraind/retraind/drift/stats"
	"github.com/retraind/retraind/serving"
)

// categoryTest is the e-CUSUM of one category. Each new item with this label is an observation; a different answer to
// it is an error.
type categoryTest struct {
	test    stats.ECUSUM
	base    stats.Stretch
	alarmed bool
	fall    float64 // Rise.Low of the misses at the alarm, in percentage points
}

// storedCategoryTest is the JSON form of categoryTest.
type storedCategoryTest struct {
	Test    stats.ECUSUM `json:"test"`
	Alarmed bool         `json:"alarmed,omitempty"`
	AtLeast float64      `json:"at_least,omitempty"` // categoryTest.fall
}

// Missed returns, for each category that has items, the number of these and of those that are not answered with it.
func Missed(categories []Category) map[string]stats.Stretch {
	out := map[string]stats.Stretch{}
	for _, c := range categories {
		if c.Support > 0 {
			out[c.Name] = stats.Stretch{N: c.Support, Errs: c.Support - c.Correct}
		}
	}
	return out
}

// newCategoryTests starts a test for each category with enough items in the baseline. It returns nil if no such tests
// are configured.
func (m *Monitor) newCategoryTests(b Baseline) map[int32]*categoryTest {
	o := m.opts.Categories
	if o.FalseRetrains.IsZero() || len(m.confusions) == 0 {
		return nil
	}
	tests := map[int32]*categoryTest{}
	for _, name := range slices.Sorted(maps.Keys(b.Category)) {
		if base := b.Category[name]; base.N >= max(o.MinItems, 1) && base.Valid() {
			tests[m.confusions[0].category(name)] = &categoryTest{
				test: stats.NewECUSUM(stats.ToleratedError(base.N-base.Errs, base.N)), base: base,
			}
		}
	}
	return tests
}

// judgeCategories adds one arrived item to the tests of its categories.
func (m *Monitor) judgeCategories(label, answer int32) {
	if len(m.tests.categories) == 0 {
		return
	}
	b := m.confusions[0]
	if b.target.Kind != serving.KindSet {
		m.judgeCategory(label, label != answer)
		return
	}
	for _, c := range b.members[label] {
		m.judgeCategory(c, !slices.Contains(b.members[answer], c))
	}
}

func (m *Monitor) judgeCategory(category int32, missed bool) {
	c := m.tests.categories[category]
	if c == nil {
		return
	}
	c.test.Add(missed)
	if bound := m.categoryBound(m.days.last); c.alarmed || bound == 0 || !c.test.Reaches(bound) {
		return
	}
	if fall := points(c.test.Rise(c.base).Low); fall >= m.opts.Categories.DropPoints {
		c.alarmed, c.fall = true, fall
	}
}

// categoryBound returns the bound for each category's test. It is Bonferroni-corrected for the number of tested
// categories, so that all tests together keep the promised rate of false retrains.
func (m *Monitor) categoryBound(today int64) float64 {
	return m.bound(m.opts.Categories.FalseRetrains, today) * float64(len(m.tests.categories))
}

// categoryStreams returns the report's entries for the category tests, ordered by name.
func (m *Monitor) categoryStreams(today int64) []NewInCategory {
	if len(m.tests.categories) == 0 {
		return nil
	}
	bound := m.categoryBound(today)
	out := make([]NewInCategory, 0, len(m.tests.categories))
	for v, c := range m.tests.categories {
		rise := c.test.Rise(c.base)
		n := NewInCategory{
			Name: m.confusions[0].name(v), N: c.test.N, Errors: c.test.Errs, Recall: 1 - c.base.Rate(),
			E: c.test.E(), Bound: bound, Since: rise.Since, Estimate: points(rise.Estimate), Drop: points(rise.Low),
			Alarmed: c.alarmed,
		}
		if c.alarmed { // Drop does not fall below its value at the alarm
			n.Drop = max(c.fall, n.Drop)
		}
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b NewInCategory) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out
}

func (m *Monitor) storeCategories() map[string]storedCategoryTest {
	if len(m.tests.categories) == 0 {
		return nil
	}
	out := make(map[string]storedCategoryTest, len(m.tests.categories))
	for v, c := range m.tests.categories {
		out[m.confusions[0].name(v)] = storedCategoryTest{Test: c.test, Alarmed: c.alarmed, AtLeast: c.fall}
	}
	return out
}

// restoreCategories restores the state of each test that is stored and valid.
func (m *Monitor) restoreCategories(tests map[int32]*categoryTest, stored map[string]storedCategoryTest) {
	for v, c := range tests {
		if s, ok := stored[m.confusions[0].name(v)]; ok && c.test.Restore(s.Test) && s.Alarmed && s.AtLeast > 0 {
			c.alarmed, c.fall = true, s.AtLeast
		}
	}
}
