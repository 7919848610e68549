package actions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/watch"
)

func row(id, title, label string, heldout bool) Row {
	labels := watch.Labels{}
	if label != "" {
		labels["label"] = label
	}
	side := drift.SideTrain
	if heldout {
		side = drift.SideTest
	}
	text := map[string]string{"title": title}
	return Row{
		Item: watch.Item{ID: id, Text: text, Labels: labels}, Side: side,
		Group: drift.GroupHash(drift.GroupKey(text, nil)),
	}
}

var allFiles = []string{"manifest.json", "test.jsonl", "train.jsonl", "validation.jsonl"}

var planned = ExportPlan{Targets: []serving.Target{{Name: "label"}}, SaltID: "salt", Remember: true}

func rows(list ...Row) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for _, r := range list {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func lines[T any](t testing.TB, path string) (out []T) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var v T
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

func entries(t testing.TB, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestExport(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "run", "data")
	all := []Row{
		row("1", "Wölfe & <Lämmer>", "a", false), row("2", "zwei", "b", false), row("3", "drei", "a", true),
		row("4", "vier", "", false), row("5", "fünf", "a", false), row("6", "sechs", "", true),
		row("7", "sieben", "b", false), row("8", "drei", "b", false),
	}
	all[6].Side, all[7].Duplicate = drift.SideValidation, true
	got, seen, err := Export(t.Context(), dir, planned, rows(all...))
	if err != nil {
		t.Fatal(err)
	}
	want := ExportFacts{
		Items: 5, Train: 4, Test: 1, Unlabelled: 2, Duplicates: 1, Labels: map[string]int{"a": 2, "b": 2},
		SaltID: "salt", Splits: map[drift.Side]*SplitFacts{
			drift.SideTrain:      {Items: 3, Labels: map[string]int{"a": 2, "b": 1}},
			drift.SideValidation: {Items: 1, Labels: map[string]int{"b": 1}},
			drift.SideTest:       {Items: 1, Labels: map[string]int{"a": 1}},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(ExportFacts{}, "At", "Info"),
		cmpopts.IgnoreFields(SplitFacts{}, "SHA256")); diff != "" {
		t.Error(diff)
	}
	for side, s := range got.Splits {
		if sum := sha256.Sum256([]byte(readText(t,
			filepath.Join(dir, string(side)+".jsonl")))); s.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: %+v", side, s)
		}
	}
	if _, err := seen.MarshalBinary(); err != nil || seen.Len() != 4 || !seen.Has("7", "") ||
		seen.Has("3", all[2].Group) || seen.Has("8", "") || !seen.Has("", all[0].Group) {
		t.Errorf("seen: %+v, %v", seen, err)
	}
	if names := entries(t, dir); !slices.Equal(names, allFiles) {
		t.Errorf("files %v", names)
	}
	hash := func(title string) string { return drift.TextHash(map[string]string{"title": title}) }
	train := `{"id":"1","text_hash":"` + hash("Wölfe & <Lämmer>") +
		`","text":{"title":"Wölfe & <Lämmer>"},"labels":{"label":"a"}}
{"id":"2","text_hash":"` + hash("zwei") + `","text":{"title":"zwei"},"labels":{"label":"b"}}
{"id":"5","text_hash":"` + hash("fünf") + `","text":{"title":"fünf"},"labels":{"label":"a"}}
`
	if diff := cmp.Diff(train, readText(t, filepath.Join(dir, "train.jsonl"))); diff != "" {
		t.Error(diff)
	}
	if test := lines[Example](t, filepath.Join(dir, "test.jsonl")); len(test) != 1 || test[0].ID != "3" {
		t.Errorf("test.jsonl: %+v", test)
	}
	var manifest ExportFacts
	if err := json.Unmarshal([]byte(readText(t, filepath.Join(dir, "manifest.json"))), &manifest); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, manifest); diff != "" {
		t.Error("the manifest differs: ", diff)
	}
}

// The fingerprint depends on the state only, not on the order of rows, and covers each label. The blocker "no new
// information" relies on both.
func TestExportFingerprint(t *testing.T) {
	t.Parallel()
	all := []Row{row("1", "eins", "a", false), row("2", "zwei", "b", true), row("3", "drei", "", false)}
	info := func(list ...Row) string {
		f, _, err := Export(t.Context(), t.TempDir(), planned, rows(list...))
		if err != nil {
			t.Fatal(err)
		}
		return f.Info
	}
	same := info(all...)
	if got := info(all[2], all[0], all[1]); got != same {
		t.Error("it depends on the order")
	}
	for what, change := range map[string]func(*Row){
		"a label":        func(r *Row) { r.Labels = watch.Labels{"label": "c"} },
		"a text":         func(r *Row) { r.Text = map[string]string{"title": "other"} },
		"another target": func(r *Row) { r.Labels = watch.Labels{"label": r.Labels["label"], "second": "x"} },
		"an id":          func(r *Row) { r.ID = "9" },
	} {
		for i := range all {
			changed := slices.Clone(all)
			change(&changed[i])
			if info(changed...) == same {
				t.Errorf("%s of row %d changed unseen", what, i+1)
			}
		}
	}
}

func TestHeldOutTextIsNeverTrainedOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, list := range [][]Row{
		{row("1", "same", "a", false), row("2", "same", "b", true)},
		{row("2", "same", "b", true), row("1", "same", "a", false)},
	} {
		if _, _, err := Export(t.Context(), dir, planned, rows(list...)); err == nil ||
			!strings.Contains(err.Error(),
				`item "2" is held out and another item with the same text is trained on: one of them was edited just now; export again`) {
			t.Errorf("got %v", err)
		}
	}
	if names := entries(t, dir); len(names) != 0 {
		t.Errorf("it left %v", names)
	}
	// An item without a label is not trained on, and so is no conflict.
	if _, _, err := Export(t.Context(), dir, planned,
		rows(row("1", "same", "", false), row("2", "same", "b", true))); err != nil {
		t.Error(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		drawn := rapid.SliceOf(rapid.Custom(func(rt *rapid.T) Row {
			return row("", rapid.StringMatching(`[a-c]{1,2}`).Draw(rt, "title"),
				rapid.SampledFrom([]string{"", "x", "y"}).Draw(rt, "label"), rapid.Bool().Draw(rt, "heldout"))
		})).Draw(rt, "rows")
		for i := range drawn {
			drawn[i].ID = fmt.Sprint(i)
			if drawn[i].Side == drift.SideTrain && i%3 == 0 {
				drawn[i].Side = drift.SideValidation
			}
		}
		into := filepath.Join(dir, "drawn")
		defer os.RemoveAll(into)
		if _, _, err := Export(t.Context(), into, planned, rows(drawn...)); err != nil {
			if len(entries(t, into)) > 0 {
				rt.Fatal("a refused export left files")
			}
			return
		}
		tested := map[string]bool{}
		for _, e := range lines[Example](t, filepath.Join(into, "test.jsonl")) {
			tested[e.Text["title"]] = true
		}
		for _, e := range append(lines[Example](t, filepath.Join(into, "train.jsonl")),
			lines[Example](t, filepath.Join(into, "validation.jsonl"))...) {
			if tested[e.Text["title"]] {
				rt.Fatalf("%q is in both", e.Text["title"])
			}
		}
	})
}

func TestBrokenExportsLeaveNothingHalf(t *testing.T) {
	t.Parallel()
	gone := errors.New("connection lost")
	stopping := errors.New("stopping")
	for name, c := range map[string]struct {
		rows func(stop context.CancelCauseFunc) iter.Seq2[Row, error]
		want error
	}{
		"the source breaks off": {func(context.CancelCauseFunc) iter.Seq2[Row, error] {
			return func(yield func(Row, error) bool) {
				_ = yield(row("1", "eins", "a", false), nil) && yield(Row{}, gone)
			}
		}, gone},
		"the daemon stops": {func(stop context.CancelCauseFunc) iter.Seq2[Row, error] {
			return func(yield func(Row, error) bool) {
				for i := 0; yield(row(fmt.Sprint(i), fmt.Sprint(i), "a", false), nil); i++ {
					if i == 100 {
						stop(stopping)
					}
				}
			}
		}, stopping},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if _, _, err := Export(t.Context(), dir, planned,
				rows(row("0", "before", "a", false), row("1", "also", "b", true))); err != nil {
				t.Fatal(err)
			}
			before := readText(t, filepath.Join(dir, "train.jsonl"))
			ctx, stop := context.WithCancelCause(t.Context())
			if _, _, err := Export(ctx, dir, planned, c.rows(stop)); !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
			if names := entries(t, dir); !slices.Equal(names, allFiles) {
				t.Errorf("files %v", names)
			}
			if readText(t, filepath.Join(dir, "train.jsonl")) != before {
				t.Error("the former export is damaged")
			}
		})
	}
}

func TestCheckExport(t *testing.T) {
	t.Parallel()
	labels := func(counts ...int) map[string]int {
		out := map[string]int{}
		for i, n := range counts {
			out[string(rune('a'+i))] = n
		}
		return out
	}
	for _, c := range []struct {
		name   string
		facts  ExportFacts
		before map[string]int
		want   string
	}{
		{"fine", ExportFacts{Items: 120, Train: 100, Test: 20, Labels: labels(50, 50)}, labels(50, 50), ""},
		{"the first", ExportFacts{Items: 3, Train: 2, Test: 1, Labels: labels(1, 1)}, nil, ""},
		{"empty", ExportFacts{Unlabelled: 7}, nil, "the export is empty: no item has a label; check the columns under labels"},
		{
			"nothing held out",
			ExportFacts{Items: 9, Train: 9, Labels: labels(4, 5)},
			nil,
			"none of the 9 items is held out: raise heldout.share, or label more items",
		},
		{"all held out", ExportFacts{Items: 9, Test: 9}, nil, "all 9 items are held out: lower heldout.share"},
		{
			"one category",
			ExportFacts{Items: 9, Train: 8, Test: 1, Labels: labels(8)},
			nil,
			"the training items have one category only: a classifier needs at least two",
		},
		{
			"a larger model has labelled all training items",
			ExportFacts{
				Items: 20, Test: 20, Overlay: 9, Labels: labels(),
				Splits: map[drift.Side]*SplitFacts{drift.SideTrain: {Labels: labels(4)}, drift.SideValidation: {Labels: labels(4, 1)}},
			},
			nil, "",
		},
		{"a fifth less", ExportFacts{Items: 90, Train: 80, Test: 10, Labels: labels(40, 40)}, labels(50, 50), ""},
		{
			"more than a fifth less",
			ExportFacts{Items: 89, Train: 79, Test: 10, Labels: labels(40, 39)},
			labels(50, 50),
			"the export has 79 training items, the champion's had 100: a loss of more than 20% suggests a broken source; if it is intended, force the retrain",
		},
		{
			"a category lost",
			ExportFacts{Items: 210, Train: 200, Test: 10, Labels: labels(100, 100)},
			labels(100, 80, 20),
			`category "c" had 20 training items in the champion's export and has none now: this suggests a broken source; if it is intended, force the retrain`,
		},
		{
			"a misspelt category corrected",
			ExportFacts{Items: 210, Train: 200, Test: 10, Labels: labels(100, 100)},
			labels(100, 81, 19), "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := ""
			if err := CheckExport(c.facts, c.before); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
