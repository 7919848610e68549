// Command pictures draws the pictures of docs as SVG files in docs/pictures.
//
// The sources are the boxes and arrows of the diagrams, in way.go and run.go, and docs/pictures/demo.cast, a recording
// of the demo's terminal. The pictures follow the reader's light or dark colour scheme. One goroutine draws, a second
// one reads the terminal. The command never draws anything of the demo that was not recorded.
//
//	go run ./scripts/pictures            draws all of them
//	go run ./scripts/pictures -record    first plays bin/retraind demo and records it; needs util-linux's script
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

const (
	directory = "docs/pictures"
	recording = "demo.cast"
)

func main() {
	again := flag.Bool("record", false, "record the demo before drawing: make build first")
	flag.Parse()
	if err := draw(*again); err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

func draw(again bool) error {
	if again {
		if err := record(filepath.Join(directory, recording), "retraind demo", "bin/retraind demo"); err != nil {
			return err
		}
	}
	all, err := drawings(directory)
	if err != nil {
		return err
	}
	for name, text := range all {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o644); err != nil { //nolint:gosec // documentation is public
			return err
		}
	}
	return nil
}

// drawings returns the SVG texts by file name.
func drawings(dir string) (map[string]string, error) {
	all := map[string]string{}
	for name, p := range diagrams() {
		all[name] = p.svg()
	}
	h, frames, err := readCast(filepath.Join(dir, recording))
	if err != nil {
		return nil, err
	}
	all["demo.svg"], err = film(h, frames, "A terminal in which labels are corrected and a better model is deployed, "+
		"labels are poisoned and the retraining is refused, and a deploy that serves the old model is rolled back.")
	return all, err
}

// diagrams returns the diagrams by file name.
func diagrams() map[string]picture {
	return map[string]picture{"way.svg": way(), "run.svg": run()}
}
