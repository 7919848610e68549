package configs_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/configs"
)

// Any file is either a configuration that compiles, or is refused with positions inside the file.
func FuzzParse(f *testing.F) {
	paths, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(source)
	}
	f.Add([]byte(good))
	f.Add([]byte(configs.Example{
		Model: "a", DSN: "b", Table: "c", ID: []string{"d"}, Text: []string{"e"}, Label: "f",
		State: "g",
	}.Render()))
	f.Fuzz(func(t *testing.T, source []byte) {
		if bytes.Contains(source, []byte(".ics")) {
			t.Skip("reads files beside the configuration")
		}
		l, err := configs.Parse("fuzz.yaml", source)
		if err == nil {
			if len(l.File.Models) == 0 || l.File.Location() == nil || l.Warnings.Errors() != 0 {
				t.Fatalf("%q was accepted", source)
			}
			for _, name := range l.File.Names() {
				if _, err := l.File.Policy(name); err != nil {
					t.Fatalf("%s was accepted but does not compile: %v", name, err)
				}
			}
			return
		}
		var bad *configs.InvalidError
		if !errors.As(err, &bad) || bad.Problems.Errors() == 0 {
			t.Fatalf("refused without a problem: %v", err)
		}
		last := bytes.Count(source, []byte("\n")) + 1
		for _, p := range bad.Problems {
			if p.Line < 0 || p.Line > last || p.Message == "" {
				t.Fatalf("%+v has a position outside of a file with %d lines", p, last)
			}
		}
		var out strings.Builder
		if err := bad.Render(&out); err != nil || strings.ContainsRune(out.String(), '\x1b') {
			t.Fatalf("%v: %q", err, out.String())
		}
	})
}
