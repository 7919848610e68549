package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/retraind/retraind/status"
)

// If the database is deleted while the daemon runs, this is detected, and reported before everything else until the
// file is back.
func TestDatabaseDeletedWhileRunning(t *testing.T) {
	t.Parallel()
	w := fromFiles(t)
	r := w.start()
	path := filepath.Join(w.state, "retraind.db")
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	says := func(m status.Model) bool {
		return m.Phase == status.Broken && strings.Contains(m.Sentence, "was deleted or replaced while retraind runs")
	}
	r.model("the deletion to be noticed", says)
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	r.model("it to be over", func(m status.Model) bool { return !says(m) })
}

func TestEngineDatabaseDamaged(t *testing.T) {
	t.Parallel()
	w := fromFiles(t)
	if err := os.MkdirAll(w.state, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.state, "engine.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	mustSay(t, w.refused(), path+" is damaged: move it away", "no run is lost")
	if err := os.Rename(path, path+".damaged"); err != nil {
		t.Fatal(err)
	}
	w.start()
}

// While the disk is full, the reported state stays the same. It ends when label changes can be stored again.
func TestFullStateDirectory(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("a small file system can be mounted by root alone")
	}
	w := fromFiles(t)
	if err := os.MkdirAll(w.state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", w.state, "tmpfs", 0, "size=20m"); err != nil {
		t.Skip("this container may not mount: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(w.state, syscall.MNT_DETACH) })
	r := w.start()
	r.first()
	fill := filepath.Join(w.state, "fill")
	fillUp(t, fill)
	more := func(from, n int) {
		t.Helper()
		var b strings.Builder
		for i := range n {
			b.WriteString(statement(from+i, "sport", true))
		}
		err := os.WriteFile(filepath.Join(w.dir, "labels", fmt.Sprint(from, ".jsonl")), []byte(b.String()), 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	full := func(m status.Model) bool {
		return m.Phase == status.Broken && strings.Contains(m.Sentence, "state directory") &&
			strings.Contains(m.Sentence, "the disk is full")
	}
	more(10000, 200)
	r.model("the full disk to be noticed", full)
	for i := range 20 {
		more(20000+i, 1)
		if s, err := r.Snapshot(t.Context()); err != nil || !full(s.Models[0]) {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	r.model("it to be over", func(m status.Model) bool { return m.Phase != status.Broken && m.Sources[0].Up })
}

// fillUp uses all the space of a file system.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 16, 1 << 12, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
}
