package labelfiles

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/internal/watchtest"
	"github.com/retraind/retraind/watch"
	"github.com/retraind/retraind/watch/labelevent"
)

// TestOddFilesAreReportedOnce: a file that cannot be read is reported, once, however often the directory is scanned.
func TestOddFilesAreReportedOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	if err := syscall.Mkfifo(d.path("pipe.jsonl"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.start()
	d.refuses("pipe.jsonl: it is not a regular file")
	if err := os.Symlink("loop.jsonl", d.path("loop.jsonl")); err != nil {
		t.Fatal(err)
	}
	d.refuses("loop.jsonl: ")
	var want []string
	for i := range 5 {
		d.add("a.jsonl", watchtest.Line(i, "a"))
		d.wants(append(want, fmt.Sprintf("%d=a", i))...)
		want = append(want, fmt.Sprintf("%d=a", i))
	}
	if h := d.src.Health(); h.Refused != 2 {
		t.Errorf("two files were refused %d times: %s", h.Refused, h.Notice)
	}
}

// TestRefusedLinesCountWhenStored: while the store refuses a batch, its refused lines are not counted at each attempt.
func TestRefusedLinesCountWhenStored(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	d.inbox.SetFail(&watch.Fault{Cause: "the disk is full", Store: true})
	d.write("a.jsonl", "no event\n"+watchtest.Line(1, "a"))
	d.start()
	failed := func() error {
		if h := d.src.Health(); h.Up || h.Error != "the disk is full" {
			return fmt.Errorf("%+v", h)
		}
		return nil
	}
	for range 5 {
		waittest.EventuallyNil(t, failed)
		d.src.Retry()
	}
	d.inbox.SetFail(nil)
	d.src.Retry()
	d.wants("1=a")
	d.refuses("1 refused event, the last at " + d.path("a.jsonl") + ":1: ")
	if h := d.src.Health(); h.Refused != 1 {
		t.Errorf("one line was refused %d times: %s", h.Refused, h.Notice)
	}
}

// TestHeaderWithAnOpenQuote: a CSV file whose header has an unclosed quote is reported, and its rows are not skipped.
func TestHeaderWithAnOpenQuote(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	d.quiet = 50 * time.Millisecond
	d.write("l.csv", "id,\"label\n1,a\n2,b\n")
	d.start()
	d.refuses("l.csv: its first line is not a CSV header")
	d.write("l.csv", "id,label\n1,a\n2,b\n")
	d.wants("1=a", "2=b")
}

// TestLastLineOfAFileFromTheFuture: a file whose modification time is ahead of this machine's clock becomes quiet too.
func TestLastLineOfAFileFromTheFuture(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	d.quiet = 50 * time.Millisecond
	d.write("l.csv", "id,label\n1,a\n2,b")
	ahead := time.Now().Add(time.Hour)
	if err := os.Chtimes(d.path("l.csv"), ahead, ahead); err != nil {
		t.Fatal(err)
	}
	d.start()
	d.wants("1=a", "2=b")
}

// TestUnreadableHashState: a stored position whose hash this version cannot continue counts as unreadable, so the file
// is read again from its start.
func TestUnreadableHashState(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	d.write("l.jsonl", watchtest.Line(1, "a"))
	d.start()
	d.wants("1=a")
	d.stop()
	marks, err := d.inbox.Marks(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	m, err := parsePosition(marks["l.jsonl"])
	if err != nil {
		t.Fatal(err)
	}
	m.Sum = []byte("another format")
	if _, err := d.inbox.Take(t.Context(), watch.Batch{Marks: map[string]string{"l.jsonl": m.String()}}); err != nil {
		t.Fatal(err)
	}
	d.add("l.jsonl", watchtest.Line(2, "b"))
	d.start()
	d.wants("1=a", "1=a", "2=b")
	if events := d.inbox.Events(); !events[1].Again || strings.Contains(d.src.Health().Notice, "refused") {
		t.Errorf("%+v, %+v", events[1], d.src.Health())
	}
}

// TestUnpackingFaultIsReportedOnce: the message about a temporary directory that is missing or full is the same each
// time, so the fault of the file is logged and counted once.
func TestUnpackingFaultIsReportedOnce(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	var said []string
	for range 2 {
		_, _, err := unpack(strings.NewReader(packed(t, "x")), 1, missing)
		said = append(said, fmt.Sprint(err))
	}
	want := "it cannot be unpacked into a temporary file in " + missing + ": no such file or directory"
	if said[0] != want || said[1] != want {
		t.Errorf("%q, want %q", said, want)
	}
}

// TestProbeNeedsTheRightToSearch: without the right to search the directory, its files can be listed but not opened.
func TestProbeNeedsTheRightToSearch(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "labels")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o444); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // root may do everything: this thread, which ends with the test, opens files as another user
		runtime.LockOSThread()
		if err := syscall.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
	}
	if err := (&Config{Dir: dir}).Probe(); err == nil || !strings.Contains(err.Error(), "read and search permission") {
		t.Errorf("got %v", err)
	}
}

// TestHardLinkToAFollowedFile: another name of a file that is followed is not read as a new file.
func TestHardLinkToAFollowedFile(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	d.write("b.jsonl", watchtest.Line(1, "a"))
	d.start()
	d.wants("1=a")
	if err := os.Link(d.path("b.jsonl"), d.path("a.jsonl")); err != nil {
		t.Fatal(err)
	}
	d.add("b.jsonl", watchtest.Line(2, "a"))
	d.wants("1=a", "2=a")
	if err := os.Remove(d.path("b.jsonl")); err != nil {
		t.Fatal(err)
	}
	d.add("a.jsonl", watchtest.Line(3, "a"))
	d.wants("1=a", "2=a", "3=a")
}

// TestStaleHandle: an open file that cannot be read any more, as after a remount of a network file system, is opened
// again.
func TestStaleHandle(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	d.write("l.jsonl", watchtest.Line(1, "a"))
	d.start()
	d.wants("1=a")
	d.stop()
	d.add("l.jsonl", watchtest.Line(2, "a"))
	id, err := identify(d.path("l.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	stale, err := os.Open(d.path("l.jsonl"))
	if err := errors.Join(err, stale.Close()); err != nil {
		t.Fatal(err)
	}
	src := New("m", d.cfg, labelevent.NewDecoder(d.cfg.Mapping, watchtest.OneTarget(), nil), d.inbox, nil,
		slog.New(slog.DiscardHandler))
	src.open[id] = stale
	t.Cleanup(src.closeAll)
	for range 2 {
		if err := src.scan(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	d.wants("1=a", "2=a")
}
