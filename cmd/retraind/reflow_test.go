package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"charm.land/lipgloss/v2"
	"github.com/spf13/cobra"
)

func TestHang(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]int{
		"": 0, "plain text": 0, "  indented text": 2,
		"      --for span     how long":       21,
		"  yes  quiet hours   open":           21,
		"                     a remark":       21,
		"  no   accuracy_below  87.1%  trips": 23,
	} {
		if got := hang(line); got != want {
			t.Errorf("%q: %d, want %d", line, got, want)
		}
	}
}

// commandPaths returns all visible commands, as they are typed.
func commandPaths(cmd *cobra.Command, path []string) (all [][]string) {
	all = append(all, path)
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			all = append(all, commandPaths(c, append(slices.Clone(path), c.Name()))...)
		}
	}
	return all
}

// Every command's help fits 80 columns, with all its words.
func TestHelpFits80Columns(t *testing.T) {
	t.Parallel()
	for _, path := range commandPaths(newRoot(&app{}), nil) {
		var out bytes.Buffer
		root := newRoot(&app{stdout: &out, stderr: &out})
		root.SetArgs(append(path, "--help"))
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
		fitted := reflow(out.String(), 80)
		for line := range strings.Lines(fitted) {
			line = strings.TrimRight(line, "\n")
			if last := line[strings.LastIndex(line, " ")+1:]; lipgloss.Width(line) > 80 && lipgloss.Width(last) < 50 {
				t.Errorf("%v: %d columns: %s", path, lipgloss.Width(line), line)
			}
		}
		if strings.Join(strings.Fields(fitted), " ") != strings.Join(strings.Fields(out.String()), " ") {
			t.Errorf("%v lost words:\n%s", path, fitted)
		}
	}
}
