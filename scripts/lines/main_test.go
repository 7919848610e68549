package main

import (
	"slices"
	"strings"
	"testing"
)

func TestTooLong(t *testing.T) {
	t.Parallel()
	wide := strings.Repeat("x", 120)
	for source, want := range map[string][]int{
		"package a\nvar b = 1\n":                      nil,
		"package a\nvar b = \"" + wide + "\"\n":       nil, // a text
		"package a\nvar b = f(\"" + wide + "\")\n":    nil,
		"package a\nvar b = 1 // " + wide + "\n":      nil,
		"package a\nvar b = f(\"" + wide + "\", c)\n": {2},
		"package a\n\nvar b = " + wide + " + 1\n":     {3},
	} {
		if got := tooLong([]byte(source)); !slices.Equal(got, want) {
			t.Errorf("%.40q: lines %v, want %v", source, got, want)
		}
	}
}
