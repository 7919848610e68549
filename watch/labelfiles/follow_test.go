package labelfiles

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/internal/unit"
	"github.com/retraind/retraind/internal/waittest"
	"github.com/retraind/retraind/internal/watchtest"
	"github.com/retraind/retraind/watch/labelevent"
)

// desk is a directory that a Source follows.
type desk struct {
	t     *testing.T
	dir   string
	inbox *watchtest.Inbox
	cfg   *Config
	quiet time.Duration // overrides Source.quiet if not 0
	src   *Source
	stop  func()
}

func newDesk(t *testing.T, cfg Config) *desk {
	t.Helper()
	d := &desk{t: t, dir: t.TempDir(), inbox: watchtest.NewInbox()}
	cfg.Dir = d.dir
	if cfg.Poll == 0 {
		cfg.Poll = unit.Duration(time.Hour)
	}
	d.cfg = &cfg
	return d
}

// start runs a source until the test or stop ends it.
func (d *desk) start() {
	d.t.Helper()
	d.src = New("m", d.cfg, labelevent.NewDecoder(d.cfg.Mapping, watchtest.OneTarget(), nil), d.inbox, nil,
		slog.New(slog.DiscardHandler))
	if d.quiet > 0 {
		d.src.quiet = d.quiet
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = d.src.Run(ctx) }()
	var once sync.Once
	d.stop = func() { once.Do(func() { cancel(); <-done }) }
	d.t.Cleanup(d.stop)
}

func (d *desk) path(name string) string { return filepath.Join(d.dir, name) }

func (d *desk) write(name, text string) {
	d.t.Helper()
	if err := os.WriteFile(d.path(name), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) add(name, text string) {
	d.t.Helper()
	f, err := os.OpenFile(d.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) move(from, to string) {
	d.t.Helper()
	if err := os.Rename(d.path(from), to); err != nil {
		d.t.Fatal(err)
	}
}

// wants waits until exactly these events have arrived, in this order.
func (d *desk) wants(want ...string) {
	d.t.Helper()
	waittest.EventuallyNil(d.t, func() error {
		if diff := cmp.Diff(want, d.inbox.Labels()); diff != "" {
			return fmt.Errorf("events (-want +got):\n%s\n%+v", diff, d.src.Health())
		}
		return nil
	})
}

func TestFilesAreFollowed(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	d.write("a.jsonl", watchtest.Line(1, "x")+watchtest.Line(2, "y"))
	d.write("b.jsonl", watchtest.Line(3, "x"))
	d.write("notes.txt", "no labels")
	d.write(".hidden.jsonl", watchtest.Line(9, "x"))
	d.start()
	d.wants("1=x", "2=y", "3=x")
	d.add("a.jsonl", watchtest.Line(1, "y"))
	d.wants("1=x", "2=y", "3=x", "1=y")

	// A line is read when it is complete, even without a line end.
	d.add("b.jsonl", `{"id": "4", "la`)
	d.add("a.jsonl", watchtest.Line(5, "x"))
	d.wants("1=x", "2=y", "3=x", "1=y", "5=x")
	d.add("b.jsonl", `bel": "x"}`)
	d.wants("1=x", "2=y", "3=x", "1=y", "5=x", "4=x")
	d.add("b.jsonl", "\n"+`{"id": 6, "deleted": true}`+"\n")
	d.wants("1=x", "2=y", "3=x", "1=y", "5=x", "4=x", "6=deleted")

	// After a restart no event is repeated, and lines that were written in the meantime are read.
	d.stop()
	d.add("a.jsonl", watchtest.Line(7, "x"))
	d.start()
	d.wants("1=x", "2=y", "3=x", "1=y", "5=x", "4=x", "6=deleted", "7=x")
}

func TestFilesThatAreReplacedCutAndRotated(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	d.write("labels.jsonl", watchtest.Line(1, "a")+watchtest.Line(2, "a"))
	d.start()
	d.wants("1=a", "2=a")
	again := func(from int, want bool) {
		t.Helper()
		for _, e := range d.inbox.Events()[from:] {
			if e.Again != want {
				t.Errorf("%s=%s: again %v, want %v", e.Item, e.Labels["label"], e.Again, want)
			}
		}
	}

	// Replaced by another file.
	d.write("new", watchtest.Line(1, "a")+watchtest.Line(2, "b"))
	d.move("new", d.path("labels.jsonl"))
	d.wants("1=a", "2=a", "1=a", "2=b")
	again(2, true)

	// Truncated and rewritten.
	d.write("labels.jsonl", watchtest.Line(3, "c"))
	d.wants("1=a", "2=a", "1=a", "2=b", "3=c")
	again(4, true)

	// Rotated: the old file keeps its position under its new name, the new file starts at 0.
	d.add("labels.jsonl", `{"id": "4", "label"`)
	d.move("labels.jsonl", d.path("labels.jsonl.1"))
	d.write("labels.jsonl", watchtest.Line(1, "z"))
	d.add("labels.jsonl.1", `: "c"}`+"\n")
	waittest.EventuallyNil(t, func() error {
		got := map[string]bool{}
		for _, l := range d.inbox.Labels()[5:] {
			got[l] = true
		}
		if !maps.Equal(got, map[string]bool{"1=z": true, "4=c": true}) {
			return fmt.Errorf("got %v", got)
		}
		return nil
	})
	for _, e := range d.inbox.Events()[5:] {
		if e.Item == "1" && e.Again {
			t.Error("the first line of a new file counts as read again")
		}
	}
	n := len(d.inbox.Labels())

	// Moved out of the directory with an unread line, which is read from the open file.
	elsewhere := filepath.Join(t.TempDir(), "labels.jsonl")
	d.add("labels.jsonl", watchtest.Line(5, "d"))
	d.move("labels.jsonl", elsewhere)
	waittest.EventuallyNil(t, func() error {
		if got := d.inbox.Labels()[n:]; len(got) != 1 || got[0] != "5=d" {
			return fmt.Errorf("got %v", got)
		}
		return nil
	})

	// Moved back: only the line that is added then is new.
	d.stop()
	if err := os.Rename(elsewhere, d.path("labels.jsonl")); err != nil {
		t.Fatal(err)
	}
	d.add("labels.jsonl", watchtest.Line(6, "e"))
	d.start()
	waittest.EventuallyNil(t, func() error {
		if got := d.inbox.Labels()[n:]; len(got) != 2 || got[1] != "6=e" {
			return fmt.Errorf("got %v", got)
		}
		return nil
	})
}

// A change in place that keeps the length is detected by the periodic comparison of contents.
func TestFilesAreComparedWithWhatWasRead(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Poll: unit.Duration(20 * time.Millisecond)})
	first := watchtest.Line(1, "a")
	d.write("labels.jsonl", first+strings.Repeat(watchtest.Line(2, "b"), 500))
	d.start()
	waittest.EventuallyNil(t, func() error {
		if n := len(d.inbox.Events()); n != 501 {
			return fmt.Errorf("%d events", n)
		}
		return nil
	})
	f, err := os.OpenFile(d.path("labels.jsonl"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(watchtest.Line(1, "z")), 0); err != nil {
		t.Fatal(err)
	}
	waittest.EventuallyNil(t, func() error {
		all := d.inbox.Labels()
		if len(all) < 502 || all[501] != "1=z" {
			return fmt.Errorf("%d events", len(all))
		}
		return nil
	})
}

// Several files are written in small pieces at the same time: no incomplete line is read, and no line is read twice.
func TestFilesGrowInPieces(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	d.quiet = time.Hour // a writer that is slow must not count as finished
	d.start()
	const files, lines = 3, 150
	var wg sync.WaitGroup
	for n := range files {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(7, uint64(n)))
			var all strings.Builder
			csv := n == 2
			name := fmt.Sprintf("f%d.jsonl", n)
			if csv {
				name = "f2.csv"
				all.WriteString("id,label,text\n")
			}
			for i := range lines {
				id := fmt.Sprintf("%d-%d", n, i)
				if csv {
					fmt.Fprintf(&all, "%s,l%d,\"a \"\"quoted\"\"\ntext, with more\"\n", id, i)
				} else {
					all.WriteString(watchtest.Line(id, fmt.Sprint("l", i)))
				}
			}
			text := all.String()
			pause := time.NewTicker(time.Millisecond)
			defer pause.Stop()
			for text != "" {
				size := min(len(text), 1+rng.IntN(60))
				d.add(name, text[:size])
				text = text[size:]
				<-pause.C
			}
		})
	}
	wg.Wait()
	waittest.EventuallyNil(t, func() error {
		if n := len(d.inbox.Events()); n < files*lines {
			return fmt.Errorf("%d events, want %d; %+v", n, files*lines, d.src.Health())
		}
		return nil
	})
	got := map[string]string{}
	for _, e := range d.inbox.Events() {
		if _, twice := got[e.Item]; twice {
			t.Errorf("item %s twice", e.Item)
		}
		got[e.Item] = e.Labels["label"]
		if e.File == "f2.csv" && e.Text["text"] != "a \"quoted\"\ntext, with more" {
			t.Errorf("item %s: half a text %q", e.Item, e.Text["text"])
		}
	}
	for n := range files {
		for i := range lines {
			if id := fmt.Sprintf("%d-%d", n, i); got[id] != fmt.Sprint("l", i) {
				t.Errorf("item %s: label %q", id, got[id])
			}
		}
	}
	if h := d.src.Health(); h.Refused != 0 {
		t.Errorf("refused: %+v", h)
	}
}

func TestFilesBadLinesAndFiles(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	refused := func(name, text, want string) {
		t.Helper()
		before := 0
		if d.src != nil {
			before = d.src.Health().Refused
		}
		d.write(name, text)
		waittest.EventuallyNil(t, func() error {
			if h := d.src.Health(); h.Refused <= before || !strings.Contains(h.Notice, want) {
				return fmt.Errorf("%s: %d refused, %q, want %q", name, h.Refused, h.Notice, want)
			}
			return nil
		})
	}
	d.start()
	refused("half.jsonl", watchtest.Line(1, "a")+"{\"id\": \n"+watchtest.Line(2, "a"), "half.jsonl:2: it is not JSON")
	refused("noid.jsonl", `{"label": "a"}`+"\n", "noid.jsonl:1: no item id: there is no field id")
	refused("typo.jsonl", `{"id": 1, "lable": "a"}`+"\n", "did you mean label?")
	refused("object.jsonl", `{"id": 1, "label": {"a": 1}}`+"\n", "not a label")
	refused("utf8.jsonl", "{\"id\": 1, \"label\": \"a\xff\"}\n", "not valid UTF-8")
	refused("utf16.jsonl", "\xff\xfe{\x00}\x00", "UTF-16")
	refused("binary.jsonl", "\x7fELF\x00\x00\x01", "not a text file")
	refused("zip.jsonl", "\x1f\x8b\x08\x00", "compressed")
	refused("long.jsonl", `{"id": 1, "label": "`+strings.Repeat("x", 2<<20)+"\"}\n"+watchtest.Line(3, "a"),
		"the line has more than")
	refused("label.jsonl", fmt.Sprintf(`{"id": 1, "label": %q}`, strings.Repeat("x", 1<<19))+"\n", "the label has")
	refused("header.csv", "key,category\n1,a\n", `no column "id", but "key", "category"`)
	refused("nolabel.csv", "id,category\n1,a\n", "neither a text column nor a label column")
	refused("fields.csv", "id,label\n1,a,b\n4,a\n", "fields.csv:2: the record has 3 fields, the header has 2")
	d.write("empty.jsonl", "")
	d.write("empty.csv", "")
	d.write("semicolon.csv", "\xEF\xBB\xBFid;label\n5;a\n6;\"b;c\"\n")
	waittest.EventuallyNil(t, func() error {
		got := map[string]bool{}
		for _, l := range d.inbox.Labels() {
			got[l] = true
		}
		want := map[string]bool{"1=a": true, "2=a": true, "3=a": true, "4=a": true, "5=a": true, "6=b;c": true}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("taken (-want +got):\n%s", diff)
		}
		return nil
	})
}

func TestFilesDirectoryComesAndGoes(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{Poll: unit.Duration(20 * time.Millisecond)})
	d.write("a.jsonl", watchtest.Line(1, "a"))
	d.start()
	d.wants("1=a")
	away := d.dir + ".away"
	d.move("", away)
	waittest.EventuallyNil(t, func() error {
		if h := d.src.Health(); h.Up || !strings.Contains(h.Error, "does not exist") {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
	if err := os.Rename(away, d.dir); err != nil {
		t.Fatal(err)
	}
	d.add("a.jsonl", watchtest.Line(2, "a"))
	d.wants("1=a", "2=a")
	waittest.EventuallyNil(t, func() error {
		if h := d.src.Health(); !h.Up || h.Error != "" {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
}

// Events that the store refuses are read again, and none is lost.
func TestFilesWaitForTheStore(t *testing.T) {
	t.Parallel()
	d := newDesk(t, Config{})
	d.write("a.jsonl", watchtest.Line(1, "a"))
	d.inbox.SetFail(fmt.Errorf("disk full"))
	d.start()
	waittest.EventuallyNil(t, func() error {
		if h := d.src.Health(); h.Up || !strings.Contains(h.Error, "disk full") {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
	d.inbox.SetFail(nil)
	d.src.Retry()
	d.wants("1=a")
}
