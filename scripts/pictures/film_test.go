package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shown returns the rows of a frame as texts with control sequences.
func shown(f frame) []string {
	var rows []string
	for _, row := range f.rows {
		rows = append(rows, ansi(row))
	}
	return rows
}

// A screen handles the control sequences of the demo as a terminal does, even if one arrives in two parts.
func TestScreen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		output []string
		want   []string
	}{
		"colours":         {[]string{"\x1b[1mab\x1b[0m\x1b[3", "8;5;51mc\x1b[39md\r\n\x1b[2;31m\xe2\x94", "\x80"}, []string{"\x1b[1mab\x1b[0m\x1b[38;5;51mc\x1b[0md", "\x1b[2;38;5;1m─\x1b[0m", ""}},
		"drawn over":      {[]string{"one\r\ntwo\r\n\x1b[2Athr\x1b[K\r\n\x1b[J"}, []string{"thr", "", ""}},
		"a full row":      {[]string{"abcdef"}, []string{"abcd", "ef", ""}},
		"the last row":    {[]string{"1\r\n2\r\n3\r\n4"}, []string{"2", "3", "4"}},
		"a place":         {[]string{"\x1b[2;3Hx\x1b[H\x1b[Ky"}, []string{"y", "  x", ""}},
		"cleared":         {[]string{"a\r\nb\x1b[2J"}, []string{"", "", ""}},
		"a blank's style": {[]string{"\x1b[1ma b \x1b[0m c"}, []string{"\x1b[1ma b\x1b[0m  c", "", ""}},
	} {
		s := newScreen(4, 3)
		if name == "a blank's style" {
			s = newScreen(8, 3)
		}
		for _, part := range c.output {
			if err := s.write([]byte(part)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if diff := cmp.Diff(c.want, shown(s.frame(0))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, unknown := range []string{"\x1b[3q", "\x1b]0;title", "\x1b[4m"} {
		if err := newScreen(4, 3).write([]byte(unknown)); err == nil {
			t.Errorf("%q is not refused", unknown)
		}
	}
}

// A recording that is stored and read again shows the same.
func TestCastIsReadAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.cast")
	s := newScreen(10, 3)
	var frames []frame
	for i, output := range []string{"\x1b[1mone\x1b[0m\r\ntwo", "\x1b[2;2H\x1b[K<&>", "\r\n\n\x1b[38;5;2mdone"} {
		if err := s.write([]byte(output)); err != nil {
			t.Fatal(err)
		}
		frames = append(frames, s.frame(float64(i)/2))
	}
	h := castHeader{Version: 2, Width: 10, Height: 3, Title: "test"}
	if err := writeCast(path, h, frames); err != nil {
		t.Fatal(err)
	}
	got, again, err := readCast(path)
	if err != nil || got != h || len(again) != len(frames) {
		t.Fatalf("%+v, %d frames: %v", got, len(again), err)
	}
	for i := range frames {
		if diff := cmp.Diff(shown(frames[i]), shown(again[i])); diff != "" || again[i].at != frames[i].at {
			t.Errorf("frame %d at %v (-want +got):\n%s", i, again[i].at, diff)
		}
	}
}

// The stored recording shows a whole demo that ended as expected.
func TestDemoIsRecorded(t *testing.T) {
	t.Parallel()
	_, frames, err := readCast(filepath.Join(pictures, recording))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range frames {
		for _, row := range f.rows {
			for _, c := range row {
				all.WriteRune(c.r)
			}
			all.WriteString("\n")
		}
	}
	for _, want := range []string{
		"act 1: labels are corrected", "act 2: labels are poisoned", "act 3: a deploy that serves the old model",
		"model.rejected", "model.rolled_back", "0 failed", "Everything happened as expected.",
	} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("the recording does not show %q", want)
		}
	}
}

// A recording that cannot be read is refused with its place and with what it has instead.
func TestCastIsRefused(t *testing.T) {
	t.Parallel()
	const header = `{"version":2,"width":4,"height":3}` + "\n"
	for text, want := range map[string]string{
		`{"version":3,"width":4,"height":3}` + "\n": "x.cast:1: the recording has version 3 and 4 x 3 characters, not version 2 and at least 1 x 1",
		"header\n":                 "x.cast:1: not the header of a recording: invalid character 'h' looking for beginning of value",
		header + `[0,"i","typed"]`: `x.cast:2: the kind of the event is "i", not "o" for output`,
		header + "[0":              "x.cast:2: not an event: unexpected end of JSON input",
	} {
		path := filepath.Join(t.TempDir(), "x.cast")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := readCast(path); err == nil || filepath.Base(err.Error()) != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}
