package progress

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0.10 epoch 1 of 12, loss 0.693147\n", 1<<18) // 9 MB
	for name, c := range map[string]struct {
		file, said string
		share      float64
		ok         bool
	}{
		"replaced":                 {"0.42 epoch 5 of 12\n", "epoch 5 of 12", 0.42, true},
		"replaced without its end": {"0.42 epoch 5 of 12", "epoch 5 of 12", 0.42, true},
		"share alone":              {"1", "", 1, true},
		"appended":                 {"0 begin\n0.25 a\n0.5 b\n", "b", 0.5, true},
		"half a line":              {"0.25 a\n0.5 b\n0.", "b", 0.5, true},
		"half a share":             {"0.25 a\n0", "a", 0.25, true},
		"carriage returns":         {"0.25 a\r0.5 b\r0.75 c", "b", 0.5, true},
		"empty lines at the end":   {"0.25 a\n0.5 b\n\n  \n", "b", 0.5, true},
		"other lines":              {"0.25 a\nloss 0.3\n", "a", 0.25, true},
		"tabs and escapes":         {"0.5 a\x1b[31mb\n", "a\ufffd[31mb", 0.5, true},
		"many":                     {long + "0.9 epoch 11 of 12\n0.91 ep", "epoch 11 of 12", 0.9, true},
		"a line longer than read":  {"0.5 " + strings.Repeat("x", 10<<20), "", 0, false},
		"a long line at the end":   {"0.5 a\n" + strings.Repeat("x", 10<<20) + "\n0.6 b\n", "b", 0.6, true},
		"out of range":             {"42 epoch\n", "", 0, false},
		"not a number":             {"NaN epoch\n", "", 0, false},
		"empty":                    {"", "", 0, false},
		"nul bytes":                {strings.Repeat("\x00", 5000), "", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "progress")
			if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			p, ok := Read(path, path+".none")
			if ok != c.ok || p.Text != c.said || ok && *p.Share != c.share {
				t.Errorf("got %+v %v, want %v %q %v", p, ok, c.share, c.said, c.ok)
			}
		})
	}
}

// Read finds no progress in a path that is not a regular file, and does not block there.
func TestProgressOfNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "none"), dir, fifo, "/dev/zero"} {
		if _, ok := Read(path, path); ok {
			t.Errorf("%s has progress", path)
		}
	}
}
