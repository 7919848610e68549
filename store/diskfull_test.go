package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/retraind/retraind/store"
)

// tmpfs mounts a small file system for one test and returns its path.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a small file system can be mounted by root alone")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); errors.Is(err, syscall.EPERM) {
		t.Skip("this container may not mount: ", err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullDiskLosesNothing(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t, "2m")
	s := openIn(t, filepath.Join(dir, "state"))
	add := func(n int) error {
		return s.Update(t.Context(), "changes", func(tx *store.Tx) error {
			_, err := add(tx, "m", store.Change{
				Source: "s", Key: fmt.Sprint(n), Op: "put", Item: fmt.Sprint(n),
				New: map[string]string{"l": strings.Repeat("x", 2000)}, At: noon,
			})
			return err
		})
	}
	const before = 20
	for n := range before {
		if err := add(n); err != nil {
			t.Fatal(err)
		}
	}
	fill := filepath.Join(dir, "fill")
	writeAll(fill)
	stored, refused := before, 0
	for refused < 5 && stored < 2000 {
		err := add(stored)
		if err == nil {
			stored++ // there was room in the log's last pages
			continue
		}
		refused++
		want := "the disk is full; nothing was lost: free some space and retraind continues by itself"
		if !strings.HasPrefix(err.Error(),
			"changes: ") || !strings.Contains(err.Error(), want) {
			t.Fatalf("got %v", err)
		}
	}
	if refused == 0 {
		t.Fatal("the disk never filled up")
	}
	count := func() int {
		return len(view(t, s, func(tx *store.Tx) ([]store.Change, error) { return tx.Changes("m", 0, 10_000) }))
	}
	if got := count(); got != stored {
		t.Errorf("while it is full: %d changes, %d were acknowledged", got, stored)
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	if err := add(stored); err != nil {
		t.Fatalf("after space was freed: %v", err)
	}
	if got := count(); got != stored+1 {
		t.Errorf("in the end: %d changes, %d were acknowledged", got, stored+1)
	}
}

func TestOpenOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t, "384k")
	fill := filepath.Join(dir, "fill")
	writeAll(fill)
	if s, err := store.Open(t.Context(), filepath.Join(dir, "state")); err == nil {
		s.Close()
		t.Fatal("it opened")
	} else if !strings.Contains(err.Error(), "full") && !strings.Contains(err.Error(), "no space left") {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	openIn(t, filepath.Join(dir, "state"))
}

// writeAll uses all the free space.
func writeAll(path string) {
	f, err := os.Create(path)
	if err != nil {
		return
	}
	defer f.Close()
	for _, size := range []int{1 << 16, 1 << 12, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
}
