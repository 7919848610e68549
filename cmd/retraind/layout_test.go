package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestWrap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text          string
		width, indent int
		want          []string
	}{
		{"", 10, 2, []string{""}},
		{"as it is", 10, 2, []string{"as it is"}},
		{"one two three", 8, 2, []string{"one two", "three"}},
		{"one two three four", 8, 4, []string{"one two", "three", "four"}},
		{"/a/path/that/is/too/long", 8, 2, []string{"/a/path/that/is/too/long"}},
		{"at /a/path/that/is/too/long for it", 8, 2, []string{"at", "/a/path/that/is/too/long", "for it"}},
		{"  key   value", 40, 8, []string{"  key   value"}},
		{"  key   value value", 13, 8, []string{"  key   value", "value"}},
		{"ends   ", 40, 2, []string{"ends"}},
	} {
		if diff := cmp.Diff(c.want, wrap(c.text, c.width, c.indent)); diff != "" {
			t.Errorf("%q in %d (-want +got):\n%s", c.text, c.width, diff)
		}
	}
}

// A wrapped text keeps its words, and a line is too long only if a word is.
func TestWrapKeepsEverything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.StringMatching(`[a-zäöü]{1,15}`)).Draw(t, "words")
		width := rapid.IntRange(10, 60).Draw(t, "width")
		indent := rapid.IntRange(0, 9).Draw(t, "indent")
		lines := wrap(strings.Join(words, " "), width, indent)
		if got := strings.Fields(strings.Join(lines, " ")); !cmp.Equal(got, words) && len(got)+len(words) > 0 {
			t.Fatalf("%q became %q", words, got)
		}
		for i, line := range lines {
			room := width
			if i > 0 {
				room -= indent
			}
			if utf8.RuneCountInString(line) > room && strings.Count(line, " ") > 0 {
				if i > 0 || utf8.RuneCountInString(line[:strings.IndexByte(line, ' ')]) >= indent { // no break before the indent
					t.Fatalf("%q is longer than %d", line, room)
				}
			}
		}
	})
}

func TestTable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := newPage(&out)
	p.width = 40
	p.table(2, []string{"a", "never", "", "long"}, []string{"1", "", "x", strings.Repeat("word ", 12)},
		[]string{"22222", "", "", "short"})
	if err := p.print(); err != nil {
		t.Fatal(err)
	}
	want := `  a         long
  1      x  word word word word word
            word word word word word
            word word
  22222     short
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
