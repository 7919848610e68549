package labelfiles

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// While a file is renamed and another one gets its name, as a log rotation does it, a listing has every file that an
// earlier one had.
func TestListDuringRotation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := &Source{cfg: &Config{Dir: dir}}
	current := filepath.Join(dir, "labels.jsonl")
	if err := os.WriteFile(current, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	seen := map[inode]string{}
	for i := range 300 {
		rotated := make(chan error, 1)
		go func() {
			rotated <- errors.Join(os.Rename(current, filepath.Join(dir, fmt.Sprint("a", i))), os.WriteFile(current, nil, 0o600))
		}()
		files, _, err := s.list()
		if err := errors.Join(err, <-rotated); err != nil {
			t.Fatal(err)
		}
		present := map[inode]bool{}
		for _, f := range files {
			present[f.inode] = true
		}
		for id, name := range seen {
			if !present[id] {
				t.Fatalf("the file that was %s is not in a listing of %d files", name, len(files))
			}
		}
		for name, f := range files {
			seen[f.inode] = name
		}
	}
}
