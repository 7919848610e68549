package runner

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"

	"github.com/retraind/retraind/store"
)

// A command may have filled the disk. Its result is recorded if there is space again soon after its end, as when its
// temporary files are deleted.
func TestRecordOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		t.Skip("a small file system can be mounted by root only: ", err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	full := filepath.Join(dir, "full")
	if err := os.WriteFile(full, make([]byte, 2<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		if err := writeExit(dir, Exit{Class: store.StepOK}); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("without space: %v", err)
		}
		end := make(chan error, 1)
		go func() { end <- writeExit(dir, Exit{Class: store.StepFailed, Code: 3}) }()
		synctest.Wait()
		if err := os.Remove(full); err != nil {
			t.Error(err)
		}
		if err := <-end; err != nil {
			t.Errorf("with space again: %v", err)
		}
	})
	if exit, ok, err := ReadExit(dir); !ok || err != nil || exit.Code != 3 {
		t.Errorf("%+v, %v, %v", exit, ok, err)
	}
}
