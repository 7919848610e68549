package check

import "strings"

// Nearest returns the candidate closest to a misspelt name, or "" if none is close. A candidate is close if at most
// about one letter in three must be edited, ignoring case and the kind of separator. If there is none and name has at
// least four letters, a candidate is close if one of the two names begins or ends with the other.
func Nearest(name string, candidates []string) string {
	if len(name) > 64 {
		return ""
	}
	best, at := "", len(name)/3+1
	plain := strings.NewReplacer("-", "_", " ", "_", ".", "_").Replace(strings.ToLower(name))
	for _, c := range candidates {
		if n := distance(plain, strings.ToLower(c)); n < at {
			best, at = c, n
		}
	}
	if best != "" || len(plain) < 4 {
		return best
	}
	for _, c := range candidates { // part of a longer name: "drop" for "accuracy_drop"
		if strings.HasPrefix(c, plain+"_") || strings.HasSuffix(c, "_"+plain) || strings.HasPrefix(plain, c+"_") ||
			strings.HasSuffix(plain, "_"+c) {
			return c
		}
	}
	return ""
}

// distance returns the optimal string alignment distance: insertions, deletions, replacements and swaps of neighbours.
func distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
