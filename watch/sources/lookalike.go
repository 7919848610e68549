package sources

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/retraind/retraind/internal/check"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/watch/postgres"
)

// findLookAlikes warns of labels that differ only by surrounding blanks, case or Unicode form. They count as
// different labels, which is nearly always a mistake. Labels that labels.normalize merges are not reported.
func findLookAlikes(found *check.Problems, counts postgres.LabelCounts, configured serving.Normalize) {
	for _, path := range slices.Sorted(maps.Keys(counts)) {
		groups := map[string]map[string]int{}
		for label, n := range counts[path] {
			label = configured.Apply(label)
			key := serving.NormalizeBy(serving.Rules).Apply(label)
			if groups[key] == nil {
				groups[key] = map[string]int{}
			}
			groups[key][label] += n
		}
		maps.DeleteFunc(groups, func(_ string, spellings map[string]int) bool { return len(spellings) < 2 })
		if len(groups) == 0 {
			continue
		}
		var shown []string
		for _, key := range slices.Sorted(maps.Keys(groups)) {
			shown = append(shown, spellings(groups[key]))
		}
		if more := len(shown) - 3; more > 0 {
			shown = append(shown[:3], fmt.Sprintf("and %d more", more))
		}
		found.Warnf(path, "correct the labels in the table, or merge them with labels.normalize: ["+strings.Join(serving.Rules,
			", ")+"]",
			"labels differ only by blanks, case or Unicode form but count as different labels: %s", strings.Join(shown, "; "))
	}
}

// spellings lists the spellings of one label, the most frequent first, quoted so that the difference shows.
func spellings(counts map[string]int) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for i, name := range names {
		quoted := fmt.Sprintf("%q", name)
		if serving.NormalizeBy([]string{"unicode"}).Apply(name) != name {
			quoted = fmt.Sprintf("%+q", name)
		}
		names[i] = fmt.Sprintf("%s (%d)", quoted, counts[name])
	}
	return strings.Join(names, ", ")
}
