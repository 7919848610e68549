// Command pictures draws the diagrams of docs as SVG: docs/pictures/way.svg and docs/pictures/run.svg.
//
// It owns their only source, the boxes and arrows in way.go and run.go. The files follow the reader's light or dark
// colour scheme. Everything runs in one goroutine; it never reads a file.
//
//	go run ./scripts/pictures
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	for name, p := range pictures() {
		path := filepath.Join("docs", "pictures", name)
		if err := os.WriteFile(path, []byte(p.svg()), 0o644); err != nil { //nolint:gosec // documentation is public
			fmt.Fprintln(os.Stderr, "pictures:", err)
			os.Exit(1)
		}
	}
}

// pictures returns the diagrams by file name.
func pictures() map[string]picture {
	return map[string]picture{"way.svg": way(), "run.svg": run()}
}
