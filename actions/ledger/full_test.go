package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// smallDisk mounts a file system of 64 KiB and returns its directory.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		t.Skip("a small file system can be mounted by root only: ", err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill uses up the remaining space and returns the file that does.
func fill(t *testing.T, dir string) (file string) {
	t.Helper()
	file = filepath.Join(dir, "fill")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); errors.Is(err, unix.ENOSPC) {
			return file
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// On a full disk Note fails, so that nothing is stopped, but existing entries can be restored.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	w := &world{units: map[string]*unitState{"a": {on: true}, "b": {on: true}}}
	l := w.ledger(filepath.Join(dir, "ledger"))
	run := Run{ID: "r1", Dir: t.TempDir()}
	noted, err := l.Note(run, time.Now().Add(-time.Hour), w.thing("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Stop(t.Context(), noted[0].Thing); err != nil {
		t.Fatal(err)
	}
	file := fill(t, dir)
	if got, err := l.Note(run, time.Now(), w.thing("b")); !errors.Is(err, unix.ENOSPC) || len(got) > 0 {
		t.Errorf("noted %v, %v", got, err)
	}
	entries, bad, err := l.Entries()
	if err != nil || len(entries) != 1 || len(bad) > 0 || entries[0].Unit.Name != "a" {
		t.Errorf("entries %v, damaged %v, %v", entries, bad, err)
	}
	if r := restore(t, l, Order{}); len(r) != 1 || r["a"] == "" || !w.units["a"].on {
		t.Errorf("restored %v", r)
	}
	if entries, bad, err := l.Entries(); err != nil || len(entries)+len(bad) > 0 {
		t.Errorf("left: entries %v, damaged %v, %v", entries, bad, err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Note(run, time.Now(), w.thing("b")); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
