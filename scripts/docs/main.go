// Command docs writes the reference tables of docs/ (keys, events and metrics), the configuration's JSON Schema and
// docs/asyncapi.json. It takes them from the code that defines them.
//
//	go run ./scripts/docs
//
// It replaces the parts of the documents between the marks "<!-- generated: NAME -->" and "<!-- end -->", and leaves
// the rest of the documents unchanged. It runs in one goroutine from the repository's root. A test fails when the
// committed documents differ from its output.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

func main() {
	if err := write("."); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

// write brings every document below root up to date.
func write(root string) error {
	fresh, err := render(root)
	if err != nil {
		return err
	}
	for path, text := range fresh {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

var section = regexp.MustCompile(`(?s)(<!-- generated: ([a-z]+) -->\n).*?(<!-- end -->)`)

// render returns the documents that have generated parts, with these parts up to date.
func render(root string) (map[string][]byte, error) {
	src := newSources(root)
	parts := map[string]func(*sources) (string, error){
		"configuration": configuration, "events": events,
		"metrics": metrics,
	}
	paths, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	if out[filepath.Join(root, "configs", "retraind.schema.json")], err = schema(src); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	if out[filepath.Join(root, "docs", "asyncapi.json")], err = asyncAPI(src); err != nil {
		return nil, fmt.Errorf("asyncapi: %w", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if !section.Match(text) {
			continue
		}
		var failed error
		fresh := section.ReplaceAllFunc(text, func(found []byte) []byte {
			m := section.FindSubmatch(found)
			part, ok := parts[string(m[2])]
			if !ok {
				failed = fmt.Errorf("%s: no generator has the name %s", path, m[2])
				return found
			}
			body, err := part(src)
			if err != nil {
				failed = fmt.Errorf("%s: %s: %w", path, m[2], err)
			}
			return bytes.Join([][]byte{m[1], []byte("\n" + body + "\n"), m[3]}, nil)
		})
		if failed != nil {
			return nil, failed
		}
		out[path] = fresh
	}
	return out, nil
}
