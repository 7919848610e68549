//go:build !race

package crashtest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/retraind/retraind/actions/runner"
	"github.com/retraind/retraind/internal/pgtest"
)

// TestMain lets the test binary also run as the training command of a run. After the tests it removes the built
// program.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "train" {
		if err := train(); err != nil {
			fmt.Fprintln(os.Stderr, "train:", err)
			os.Exit(1)
		}
	}
	code := pgtest.Main(m)
	if built.dir != "" {
		if err := os.RemoveAll(built.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// train is the training command. It records its start, and whether another training of this scenario runs at the same
// time. It waits while the hold file exists, and then executes the real training.
func train() error {
	dir := os.Getenv("STORY")
	lock, err := os.OpenFile(filepath.Join(dir, "train.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	word := "start"
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		word = "overlap"
	}
	// The process must keep the lock until it ends, even after it has executed another program.
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, lock.Fd(), syscall.F_SETFD, 0); errno != 0 {
		return errno
	}
	log, err := os.OpenFile(filepath.Join(dir, "train.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(log, "%s %s %d\n", word, os.Getenv(runner.AttemptVar), os.Getpid()); err != nil {
		return err
	}
	if err := log.Close(); err != nil {
		return err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(filepath.Join(dir, "hold")); err != nil {
			break
		}
		<-tick.C
	}
	program := os.Getenv("PROGRAM")
	return syscall.Exec(program, []string{program, "train", "--epochs", "10"}, os.Environ())
}

// built is the program under test, which is built once.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func program(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "retraind-crash-"); built.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-tags", "faults", "-o", filepath.Join(built.dir, "retraind"), "../../cmd/retraind")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // without cgo the program uses nvidia-smi, which a test can simulate
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build the program: %w: %s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "retraind")
}

// tail returns the end of a file, for messages.
func tail(path string, bytes int64) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > bytes {
		_, _ = f.Seek(-bytes, io.SeekEnd)
	}
	b, _ := io.ReadAll(f)
	return string(b)
}
