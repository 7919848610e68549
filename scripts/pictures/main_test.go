package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pictures is where the stored pictures are.
var pictures = filepath.Join("..", "..", directory)

// The stored pictures match their sources, are well-formed, and adapt to a dark scheme.
func TestPicturesAreCurrent(t *testing.T) {
	t.Parallel()
	all, err := drawings(pictures)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range all {
		got, err := os.ReadFile(filepath.Join(pictures, name))
		if err != nil || string(got) != want {
			t.Errorf("docs/pictures/%s is not current (%v): go run ./scripts/pictures", name, err)
		}
		if !strings.Contains(want, "prefers-color-scheme:dark") {
			t.Errorf("%s has no dark colours", name)
		}
		for d := xml.NewDecoder(strings.NewReader(want)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

// Every box is inside its picture, and none overlaps another.
func TestBoxesFit(t *testing.T) {
	t.Parallel()
	for name, p := range diagrams() {
		for i, b := range p.boxes {
			if b.x < 0 || b.y < 0 || b.x+b.width > p.width || b.y+b.height() > p.height {
				t.Errorf("%s: box %q is outside", name, b.title)
			}
			for _, o := range p.boxes[:i] {
				if b.x < o.x+o.width && o.x < b.x+b.width && b.y < o.y+o.height() && o.y < b.y+b.height() {
					t.Errorf("%s: boxes %q and %q overlap", name, b.title, o.title)
				}
			}
		}
	}
}
