package gpu_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/retraind/retraind/gpu"
	"github.com/retraind/retraind/internal/unit"
)

func TestPeaks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "peaks.json")
	record := func(step string, peaks ...[2]unit.Size) {
		t.Helper()
		for _, p := range peaks {
			// A new value each time, as in another process: only the file counts.
			if err := (&gpu.Peaks{Path: path}).Record("news", step, gpu.Peak{Peak: p[0] * gib, Free: p[1] * gib}); err != nil {
				t.Fatal(err)
			}
		}
	}
	need := func(step string, size unit.Size, runs int) {
		t.Helper()
		got, err := (&gpu.Peaks{Path: path}).Need("news", step)
		if want := (gpu.Need{Size: size, Runs: runs}); err != nil || got != want {
			t.Errorf("%s needs %s by %d, %v; want %s by %d", step, got.Size, got.Runs, err, size, runs)
		}
	}
	need("train", 0, 0)
	record("train", [2]unit.Size{10, 24})
	need("train", 11*gib, 1)
	record("train", [2]unit.Size{20, 24}, [2]unit.Size{10, 24})
	need("train", 22*gib, 3)
	// The fifth run after the large one forgets it.
	record("train", [2]unit.Size{10, 24}, [2]unit.Size{10, 24}, [2]unit.Size{10, 24}, [2]unit.Size{10, 24})
	need("train", 11*gib, 5)
	// Even with the margin, the need never exceeds the memory that was free in a run that succeeded.
	record("tight", [2]unit.Size{22, 24})
	need("tight", 24*gib, 1)
	// A program that takes all free memory shows nothing about its need.
	record("greedy", [2]unit.Size{24, 24})
	need("greedy", 0, 0)

	if err := os.WriteFile(path, []byte("null"), 0o600); err != nil {
		t.Fatal(err)
	}
	need("train", 0, 0)
	record("train", [2]unit.Size{10, 24})
	need("train", 11*gib, 1)
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (&gpu.Peaks{Path: path}).Need("news", "train"); err == nil ||
		!strings.Contains(err.Error(), "remove the file "+path) {
		t.Errorf("half a file: %v", err)
	}
	record("train", [2]unit.Size{10, 24})
	need("train", 11*gib, 1)
}
