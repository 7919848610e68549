package drift_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/internal/unit"
)

func TestSplitShares(t *testing.T) {
	t.Parallel()
	split := drift.NewSplit(drift.HeldoutConfig{}, []byte("salt"), nil)
	count := map[drift.Side]int{}
	const n = 20_000
	for i := range n {
		text := map[string]string{"title": fmt.Sprint("item ", i)}
		_, heldout := split.Place("id", text)
		count[split.Find("", text).Side(heldout)]++
	}
	for side, want := range map[drift.Side]float64{drift.SideTest: .15, drift.SideValidation: .10, drift.SideTrain: .75} {
		if got := float64(count[side]) / n; math.Abs(got-want) > .01 {
			t.Errorf("%s: %.3f", side, got)
		}
	}
	none := drift.NewSplit(drift.HeldoutConfig{Validation: new(unit.Percent(0))}, []byte("salt"), nil)
	if a, b := split.SaltID(), none.SaltID(); a != b || len(a) != 16 || strings.Contains(a, "salt") {
		t.Errorf("salt ids %q and %q", a, b)
	}
	if drift.NewSplit(drift.HeldoutConfig{}, []byte("pepper"), nil).SaltID() == split.SaltID() {
		t.Error("another salt has the same id")
	}
}

// The table is a simple model of a source whose rows are inserted, deleted, edited, relabelled and exported, with
// restarts in between. At any time no text is on both sides, duplicates are on the same side, and an item keeps its
// side.
func TestSidesAreSticky(t *testing.T) {
	t.Parallel()
	words := []string{"red", "Red ", "green", "  green", "blue", "black", "white", "grey", "pink", "gold"}
	rapid.Check(t, func(t *rapid.T) {
		group := [][]string{nil, {"title"}}[rapid.IntRange(0, 1).Draw(t, "group")]
		start := func() *drift.Split { // called at each restart
			return drift.NewSplit(drift.HeldoutConfig{Share: .4, Group: group}, []byte("salt"), nil)
		}
		split := start()
		type row struct {
			text    map[string]string
			group   string
			heldout bool
		}
		stored := map[string]row{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			id := fmt.Sprint(rapid.IntRange(0, 8).Draw(t, "id"))
			text := map[string]string{
				"title":   rapid.SampledFrom(words).Draw(t, "title"),
				"content": rapid.SampledFrom(words).Draw(t, "content"),
			}
			was, known := stored[id]
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				delete(stored, id)
			case 1:
				split = start()
			case 2: // a new label must not affect the side, so it is not passed on
				if known && split.Follows(id, was.group, was.heldout) != was.heldout {
					t.Fatal("a relabel moved an item")
				}
			default: // insert or edit
				hash, heldout := split.Place(id, text)
				if again, same := start().Place("other id", text); again != hash || same != heldout {
					t.Fatal("a restart or another id decides differently")
				}
				if known {
					heldout = split.Follows(id, hash, was.heldout)
				}
				stored[id] = row{text, hash, heldout}
			}
			if known {
				if now, still := stored[id]; still && now.heldout != was.heldout {
					t.Fatal("an item changed sides")
				}
			}
			// An export leaves out training items with the text of a held-out item.
			tested := map[string]bool{}
			for _, r := range stored {
				tested[r.group] = tested[r.group] || r.heldout
			}
			for _, r := range stored {
				if tested[r.group] {
					continue
				}
				for _, other := range stored {
					if other.heldout && drift.GroupKey(r.text, nil) == drift.GroupKey(other.text, nil) {
						t.Fatalf("%q is in the training data and held out", r.text)
					}
				}
			}
		}
	})
}

func TestBlankColumnsAreNoGroup(t *testing.T) {
	t.Parallel()
	arithmetic(t)
	title := []string{"title"}
	a, b := map[string]string{"title": " ", "content": "one"}, map[string]string{"content": "two"}
	if drift.GroupKey(a, title) == drift.GroupKey(b, title) {
		t.Error("items without a title are one group")
	}
	if drift.GroupKey(map[string]string{"title": "x"},
		nil) != drift.GroupKey(map[string]string{"title": "x", "content": ""}, nil) {
		t.Error("an empty column and a null one differ")
	}
	if drift.GroupKey(nil, nil) != "" || drift.GroupKey(map[string]string{"title": "\n"}, title) != "" {
		t.Error("no text has a key")
	}
	long := map[string]string{"title": strings.Repeat("Ä ", 5<<20)}
	if hash, _ := drift.NewSplit(drift.HeldoutConfig{}, []byte("s"), nil).Place("1", long); len(hash) != 32 {
		t.Errorf("10 MB of text: %q", hash)
	}
}

func TestHeldoutFile(t *testing.T) {
	t.Parallel()
	columns := []string{"title", "content"}
	const text = "\ufeff" + `{"id":"a","title":"ignored where the id is known","content":"x"}
{"id": 17, "label": "whatever"}

{"text": {"title": "Der  FLUSS", "content": "steigt"}, "label": null}
`
	file, err := drift.ReadHeldoutFile(strings.NewReader(text), nil, columns)
	if err != nil {
		t.Fatal(err)
	}
	if file.Lines != 3 || len(file.Digest) != 64 {
		t.Errorf("%d lines, digest %q", file.Lines, file.Digest)
	}
	split := drift.NewSplit(drift.HeldoutConfig{File: "test.jsonl"}, []byte("salt"), file)
	for _, c := range []struct {
		id, title, content string
		want               bool
	}{
		{"a", "any", "text", true},
		{"17", "any", "text", true},
		{"18", "any", "text", false},
		{"other", "der Fluss", "Steigt", true},
		{"other", "der Fluss", "fällt", false},
	} {
		group, heldout := split.Place(c.id, map[string]string{"title": c.title, "content": c.content})
		if heldout != c.want || split.Follows(c.id, group, !c.want) != c.want {
			t.Errorf("%+v: held out %v", c, heldout)
		}
	}
	for text, want := range map[string]string{
		"":                     "it is empty: nothing would be held out",
		"{\"id\":\"a\"}\nnull": "line 2: it is not a JSON object",
		"{\"id\":":             "line 1: it is not a JSON object",
		`{"id":1} {"id":2}`:    "line 1: something follows the JSON object",
		"{\"label\":\"x\"}":    `line 1: it has neither an id nor a text: write {"id": …} or the text columns ["title" "content"]`,
	} {
		if _, err := drift.ReadHeldoutFile(strings.NewReader(text), nil, columns); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := drift.OpenHeldoutFile(t.TempDir()+"/none.jsonl", drift.HeldoutConfig{}, columns); err == nil ||
		!strings.Contains(err.Error(), "correct the path, or leave heldout.file out") {
		t.Error(err)
	}
}

func TestSeen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s drift.Seen
		ids := rapid.SliceOfDistinct(rapid.StringMatching(`[a-z]{1,3}`), rapid.ID[string]).Draw(t, "ids")
		for _, id := range ids {
			s.Add(id, "group of "+id)
		}
		b, err := s.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var back drift.Seen
		if err := back.UnmarshalBinary(b); err != nil || back.Len() != len(ids) {
			t.Fatal(back.Len(), err)
		}
		for _, id := range ids {
			if !back.Has(id, "") || !back.Has("", "group of "+id) {
				t.Fatalf("%q is no longer known", id)
			}
		}
		if back.Has("UNKNOWN", "") || back.Has("UNKNOWN", "group of UNKNOWN") || len(b) != 5+16*len(ids) {
			t.Fatalf("%d bytes for %d items", len(b), len(ids))
		}
	})
	for _, b := range [][]byte{nil, {2, 0, 0, 0, 0}, {1, 0, 0, 0, 9}, {1, 0, 0, 0, 0, 7}} {
		if err := new(drift.Seen).UnmarshalBinary(b); err == nil {
			t.Errorf("%v was read", b)
		}
	}
	var mine drift.Seen
	err := mine.AddLines(strings.NewReader("\ufeff"+`{"id":"1","title":"Ein  Titel"}`+"\n"+`{"text":{"title":"zwei"}}`), nil,
		[]string{"title"})
	if _, merr := mine.MarshalBinary(); err != nil || merr != nil || !mine.Has("1", "") ||
		!mine.Has("x", drift.GroupHash("ein titel")) || !mine.Has("", drift.GroupHash("zwei")) {
		t.Error("a user's own training file", err, merr)
	}
	for text, want := range map[string]string{
		`{"id":1}{"id":2}`:                 "line 1: something follows the JSON object",
		"\n" + `{"body":"a"}`:              `no line has an id or a text in the columns ["title"]`,
		strings.Repeat(" ", 65<<20):        "line 1 is longer than 64 MiB",
		`{"title":""}` + "\n" + `{"id":7}`: "",
	} {
		err := new(drift.Seen).AddLines(strings.NewReader(text), nil, []string{"title"})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: %v, want %q", text, err, want)
		}
	}
}

// TestGroupKeyIsTheNormalText compares GroupKey with a definition by functions of the standard library and NFC.
func TestGroupKeyIsTheNormalText(t *testing.T) {
	t.Parallel()
	texts := rapid.OneOf(rapid.StringMatching(`[\x00-\x7f]*`), rapid.StringMatching(`[A-Za-z@\[`+"`"+`{ .]*`),
		rapid.StringMatching(`[a-zA-Zé ]*`),
		rapid.StringMatching(`([ a-zA-Z]{6,9}[ \nÉ\x{301}\x{a0}\x{2003}]{0,3})*`), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		s := texts.Draw(t, "text")
		want := strings.Join(strings.Fields(strings.ToLower(norm.NFC.String(s))), " ")
		if got := drift.GroupKey(map[string]string{"a": s}, nil); got != want {
			t.Fatalf("%q: got %q, want %q", s, got, want)
		}
	})
}
