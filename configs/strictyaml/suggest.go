package strictyaml

import (
	"fmt"
	"reflect"
	"strings"
)

// Nearest is the candidate that a misspelt name most likely meant, "" where none is close: at most one edit in three
// letters, capitals and the kind of dash not counted.
func Nearest(name string, candidates []string) string {
	best, at := "", len(name)/3+1
	if len(name) > 64 {
		return ""
	}
	plain := strings.NewReplacer("-", "_", " ", "_", ".", "_").Replace(strings.ToLower(name))
	for _, c := range candidates {
		if n := distance(plain, strings.ToLower(c)); n < at {
			best, at = c, n
		}
	}
	if best != "" {
		return best
	}
	for _, c := range candidates { // a part of a longer name: "drop" for "accuracy_drop"
		if len(plain) >= 4 && (strings.HasPrefix(c, plain+"_") || strings.HasSuffix(c, "_"+plain) || strings.HasSuffix(plain, "_"+c) || strings.HasPrefix(plain, c+"_")) {
			return c
		}
	}
	return ""
}

// distance is the optimal string alignment distance: insertions, deletions, replacements and swaps of neighbours.
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

// unknownHint says what to do about a key that a struct does not have.
func (d *decoder) unknownHint(key string, set *fieldSet, t reflect.Type) string {
	if where := d.find(key, t, "", 0); where != "" {
		return fmt.Sprintf("it belongs under %s", where)
	}
	if near := Nearest(key, set.keys); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if where := d.find(key, d.root, "", 0); where != "" {
		return fmt.Sprintf("it belongs under %s", where)
	}
	return "the keys here are " + strings.Join(set.keys, ", ")
}

// find looks for the key deeper down, so that a key at the wrong level can be sent to its place.
func (d *decoder) find(key string, t reflect.Type, under string, depth int) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case depth > 4:
		return ""
	case t.Kind() == reflect.Map:
		return d.find(key, t.Elem(), under+".NAME", depth+1)
	case t.Kind() != reflect.Struct || isText(t):
		return ""
	}
	set := d.fieldsOf(t)
	if _, ok := set.byKey[key]; ok && under != "" {
		return strings.TrimPrefix(under, ".")
	}
	for _, k := range set.keys {
		if where := d.find(key, t.FieldByIndex(set.byKey[k]).Type, under+"."+k, depth+1); where != "" {
			return where
		}
	}
	return ""
}
