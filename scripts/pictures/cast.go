package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// castHeader is the first line of a recording in the format of asciinema, version 2. The lines that follow are
// [SECONDS, "o", OUTPUT].
type castHeader struct {
	Version int    `json:"version"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	Title   string `json:"title"`
}

// frame is what the terminal showed from a time on.
type frame struct {
	at   float64 // seconds since the start
	rows [][]cell
}

// readCast returns the frames of a recording.
func readCast(path string) (castHeader, []frame, error) {
	var h castHeader
	text, err := os.ReadFile(path)
	if err != nil {
		return h, nil, err
	}
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	if err := json.Unmarshal(first, &h); err != nil {
		return h, nil, fmt.Errorf("%s:1: not the header of a recording: %w", path, err)
	}
	if h.Version != 2 || h.Width < 1 || h.Height < 1 {
		return h, nil, fmt.Errorf("%s:1: the recording has version %d and %d x %d characters, not version 2 and at least 1 x 1",
			path, h.Version, h.Width, h.Height)
	}
	terminal := newScreen(h.Width, h.Height)
	var frames []frame
	for i, line := range bytes.Split(bytes.TrimSpace(rest), []byte("\n")) {
		var at float64
		var kind, output string
		if err := json.Unmarshal(line, &[]any{&at, &kind, &output}); err != nil {
			return h, nil, fmt.Errorf("%s:%d: not an event: %w", path, i+2, err)
		}
		if kind != "o" {
			return h, nil, fmt.Errorf("%s:%d: the kind of the event is %q, not \"o\" for output", path, i+2, kind)
		}
		if err := terminal.write([]byte(output)); err != nil {
			return h, nil, fmt.Errorf("%s:%d: %w", path, i+2, err)
		}
		frames = append(frames, terminal.frame(at))
	}
	return h, frames, nil
}

// frame copies what the screen shows.
func (s *screen) frame(at float64) frame {
	f := frame{at: at}
	for _, row := range s.cells {
		f.rows = append(f.rows, slices.Clone(row))
	}
	return f
}

// writeCast stores frames; each has only the rows that differ from the frame before.
func writeCast(path string, h castHeader, frames []frame) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(h); err != nil {
		return err
	}
	before := newScreen(h.Width, h.Height).cells
	for _, f := range frames {
		var out strings.Builder
		for i, row := range f.rows {
			if text := ansi(row); text != ansi(before[i]) {
				fmt.Fprintf(&out, "\x1b[%d;1H%s\x1b[K", i+1, text)
			}
		}
		before = f.rows
		if out.Len() == 0 {
			continue
		}
		if err := enc.Encode([]any{f.at, "o", out.String()}); err != nil {
			return err
		}
	}
	return os.WriteFile(path, b.Bytes(), 0o644) //nolint:gosec // documentation is public
}
