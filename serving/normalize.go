package serving

import (
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Normalize defines which spellings of a label are equal, as a comma-separated list of rules. If it is empty, labels
// are compared unchanged.
type Normalize string

// Rules are the possible rules of Normalize, each with the difference that it ignores.
var Rules = []string{
	"blanks",  // white space at both ends, which is removed
	"case",    // upper and lower case; labels become lower case
	"unicode", // composed and decomposed characters; labels become NFC
}

// NormalizeBy returns the Normalize of some rules.
func NormalizeBy(rules []string) Normalize { return Normalize(strings.Join(rules, ",")) }

// Apply returns the normalized spelling of a label.
func (n Normalize) Apply(label string) string {
	if n == "" {
		return label
	}
	rules := strings.Split(string(n), ",")
	compose := slices.Contains(rules, "unicode")
	if compose {
		label = norm.NFC.String(label)
	}
	if slices.Contains(rules, "case") {
		label = strings.ToLower(label)
		if compose {
			label = norm.NFC.String(label) // a few composed characters exist only in lower case
		}
	}
	if slices.Contains(rules, "blanks") {
		label = strings.TrimSpace(label)
	}
	return label
}

// applyAll normalizes the members of a set.
func (n Normalize) applyAll(members []string) []string {
	for i, m := range members {
		members[i] = n.Apply(m)
	}
	return members
}
