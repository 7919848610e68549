package labelfiles

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/internal/watchtest"
)

func packed(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// replace replaces a file atomically.
func (d *desk) replace(name, text string) {
	d.t.Helper()
	d.write("."+name, text)
	d.move("."+name, d.path(name))
}

// refuses waits until the notice of Health contains the given words about a refused file.
func (d *desk) refuses(want string) {
	d.t.Helper()
	waittest.EventuallyNil(d.t, func() error {
		if h := d.src.Health(); !strings.Contains(h.Notice, want) {
			return fmt.Errorf("refused: %q, want %q", h.Notice, want)
		}
		return nil
	})
}

// TestPackedFiles: a gzip file is read when it is complete, and appended data is read later.
func TestPackedFiles(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Pattern: unit.List{"*.jsonl.gz", "*.csv.gz"}})
	d.write("a.jsonl.gz", packed(t, watchtest.Line(1, "a")+watchtest.Line(2, "a")))
	d.start()
	d.wants("1=a", "2=a")
	d.replace("b.csv.gz", packed(t, "id,label\n3,b\n4,b")) // the last line has no line end
	d.wants("1=a", "2=a", "3=b", "4=b")
	d.stop()
	d.add("a.jsonl.gz", packed(t, watchtest.Line(5, "c")))
	d.start()
	d.wants("1=a", "2=a", "3=b", "4=b", "5=c")
	d.replace("a.jsonl.gz", packed(t, watchtest.Line(6, "d")))
	d.wants("1=a", "2=a", "3=b", "4=b", "5=c", "6=d")
	d.move("a.jsonl.gz", d.path("renamed.jsonl.gz"))
	d.add("renamed.jsonl.gz", packed(t, watchtest.Line(7, "e")))
	d.wants("1=a", "2=a", "3=b", "4=b", "5=c", "6=d", "7=e")
}

// TestPackedFilesThatAreBroken: no line of a gzip file is used before the file is complete and valid.
func TestPackedFilesThatAreBroken(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Pattern: unit.List{"*.gz"}})
	whole := packed(t, watchtest.Line(1, "a"))
	d.write("empty.jsonl.gz", "")
	d.write("short.jsonl.gz", whole[:len(whole)-9])
	d.start()
	d.refuses("short.jsonl.gz: its gzip data ends too early")
	d.add("short.jsonl.gz", whole[len(whole)-9:])
	d.wants("1=a")
	damaged := []byte(whole)
	damaged[len(damaged)-6] ^= 1
	d.write("damaged.jsonl.gz", string(damaged))
	d.refuses("damaged.jsonl.gz: its gzip data is damaged")
	d.replace("damaged.jsonl.gz", packed(t, watchtest.Line(2, "b")))
	d.wants("1=a", "2=b")
	d.write("plain.jsonl.gz", watchtest.Line(3, "c"))
	d.refuses("plain.jsonl.gz: it is not gzip")
	d.write("followed.jsonl.gz", packed(t, watchtest.Line(3, "c"))+"more")
	d.refuses("followed.jsonl.gz: it")
	d.write("empty.jsonl.gz", packed(t, watchtest.Line(4, "d")))
	d.wants("1=a", "2=b", "4=d")
}

func TestPackedFilesHaveABound(t *testing.T) {
	t.Parallel()
	f, size, err := unpack(strings.NewReader(packed(t, strings.Repeat("x", 1<<20))), 1<<20, t.TempDir())
	if err != nil || size != 1<<20 {
		t.Fatal(size, err)
	}
	defer f.Close()
	if _, err := os.Stat(f.Name()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it has a name: %v", err)
	}
	_, _, err = unpack(strings.NewReader(packed(t, strings.Repeat("x", 1<<20+1))), 1<<20, t.TempDir())
	if !errors.As(err, new(gzipError)) || err.Error() != "it unpacks to more than 1 MiB: split it" {
		t.Errorf("a bomb: %v", err)
	}
}
