package labelfiles

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/internal/watchtest"
)

// TestOneBadRowDoesNotStopAFile: a malformed row is refused with its line number, and all rows after it are read.
func TestOneBadRowDoesNotStopAFile(t *testing.T) {
	t.Parallel()
	const rows = 30000
	for name, bad := range map[string]string{
		"a quote in a field without quotes": `c2,Bildschirm 27" neu,technik`,
		"a quote that is never closed":      `c2,"Bildschirm 27 neu,technik`,
		"text behind the closing quote":     `c2,"Bildschirm" 27,technik`,
		"a field too many":                  `c2,"Bildschirm",27,technik`,
	} {
		for behind, row := range map[string]string{"plain rows": "%d,plain,b\n", "quoted rows": "%d,\"a \"\"quoted\"\"\ntext, with more\",b\n"} {
			t.Run(name+" before "+behind, func(t *testing.T) {
				t.Parallel()
				d := newDesk(t, Config{})
				d.quiet = 50 * time.Millisecond
				var b strings.Builder
				b.WriteString("id,text,label\nc1,first,a\n" + bad + "\n")
				for n := range rows {
					fmt.Fprintf(&b, row, n)
				}
				d.replace("l.csv", b.String())
				d.start()
				waittest.EventuallyNil(t, func() error {
					if n, h := len(d.inbox.Events()), d.src.Health(); n != rows+1 || h.Refused != 1 ||
						!strings.Contains(h.Notice, "l.csv:3: ") {
						return fmt.Errorf("%d of %d events; %+v", n, rows+1, h)
					}
					return nil
				})
			})
		}
	}
}

// TestLastLinesWithoutAnEnd: a last line without a line end is read once the file is quiet, and again if the rest of it
// follows later.
func TestLastLinesWithoutAnEnd(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	d.quiet = 300 * time.Millisecond
	d.write("l.csv", "id,label\n1,a\n2,tech")
	d.write("l.jsonl", watchtest.Line(3, "a")+`{"id": 4, "la`)
	d.start()
	d.wantsAny("1=a", "3=a", "2=tech")
	waittest.EventuallyNil(t, func() error {
		if h := d.src.Health(); !strings.Contains(h.Notice, "l.jsonl:2: incomplete line, read again when it is complete") {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
	waittest.EventuallyNil(t, func() error { // the refused line is stored as read
		marks, err := d.inbox.Marks(t.Context(), "")
		if m := marks["l.jsonl"]; err == nil && !strings.Contains(m, "loose") {
			err = fmt.Errorf("position %s", m)
		}
		return err
	})
	d.stop()
	d.start() // no event is repeated
	d.add("l.jsonl", `bel": "b"}`)
	d.wantsAny("1=a", "3=a", "2=tech", "4=b")
	d.add("l.csv", "nik\n5,a\n")
	d.wantsAny("1=a", "3=a", "2=tech", "4=b", "2=technik", "5=a")
	d.add("l.csv", "6,a")
	d.wantsAny("1=a", "3=a", "2=tech", "4=b", "2=technik", "5=a", "6=a")
	d.add("l.csv", "\n7,a\n") // the line end alone is not a new event
	d.wantsAny("1=a", "3=a", "2=tech", "4=b", "2=technik", "5=a", "6=a", "7=a")
	if h := d.src.Health(); h.Refused != 0 {
		t.Errorf("%+v", h)
	}
}

// TestCarriageReturnsAlone: files of old tools, whose lines end in a carriage return without a line feed, are read.
func TestCarriageReturnsAlone(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	d.quiet = 50 * time.Millisecond
	d.write("l.csv", "id,text,label\r1,\"two\rlines\",a\r2,x,b\r3,y,c")
	d.write("l.jsonl", strings.ReplaceAll(watchtest.Line(4, "a")+watchtest.Line(5, "b"), "\n", "\r"))
	d.start()
	d.wantsAny("1=a", "2=b", "3=c", "4=a", "5=b")
	d.add("l.csv", "\r6,z,d\r")
	d.wantsAny("1=a", "2=b", "3=c", "4=a", "5=b", "6=d")
	if h := d.src.Health(); h.Refused != 0 || d.inbox.Events()[0].Text["text"] != "two\rlines" {
		t.Errorf("%+v, %+v", h, d.inbox.Events()[0])
	}
}

// TestTheDefaultPauseIsSeconds: a last line without a line end is read only seconds after the last write, because its
// rest may still follow.
func TestTheDefaultPauseIsSeconds(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	began := time.Now()
	d.write("l.csv", "id,label\n1,a\n2,tech")
	d.start()
	d.wants("1=a", "2=tech")
	if waited := time.Since(began); waited < quietAfter-time.Second {
		t.Errorf("a last line without an end was read after %s", waited)
	}
}

// TestAFileThatGoesIsReadToItsEnd: a file that is moved away is read to its end, even if its last line has no line end.
func TestAFileThatGoesIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	d.quiet = time.Hour
	d.write("l.csv", "id,label\n1,a\n2,b")
	d.start()
	d.wants("1=a")
	d.move("l.csv", t.TempDir()+"/l.csv")
	d.wants("1=a", "2=b")
}

// wantsAny waits until exactly these events have arrived, in any order.
func (d *desk) wantsAny(want ...string) {
	d.t.Helper()
	slices.Sort(want)
	waittest.EventuallyNil(d.t, func() error {
		if diff := cmp.Diff(want, slices.Sorted(slices.Values(d.inbox.Labels()))); diff != "" {
			return fmt.Errorf("events (-want +got):\n%s\n%+v", diff, d.src.Health())
		}
		return nil
	})
}

// Every refused line counts, also those that are not logged one by one.
func TestEveryRefusedLineCounts(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	d.write("bad.jsonl", strings.Repeat("{\"id\": \n", 1000)+watchtest.Line(1, "a"))
	d.start()
	d.wants("1=a")
	waittest.EventuallyNil(t, func() error {
		h := d.src.Health()
		if want := "1,000 refused events, the last at " + d.path("bad.jsonl") + ":1000: "; h.Refused != 1000 ||
			!strings.HasPrefix(h.Notice, want) {
			return fmt.Errorf("%d refused, %q, want %q", h.Refused, h.Notice, want)
		}
		return nil
	})
}
