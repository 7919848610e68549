package drift_test

import (
	"fmt"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/serving"
)

func TestRelabelHistory(t *testing.T) {
	t.Parallel()
	history := drift.NewRelabelHistory(serving.Target{Name: "label"})
	add := func(item, old, new, author string, minutes int) {
		from, to := map[string]string{}, map[string]string{}
		if old != "" {
			from["label"] = old
		}
		if new != "" {
			to["label"] = new
		}
		history.Add(item, item < "5", from, to, author, noon.Add(time.Duration(minutes)*time.Minute))
	}
	add("1", "", "a", "anna", 0) // a first label, a removed one and an unchanged one are no relabels
	add("1", "a", "", "anna", 0)
	add("1", "a", "a", "anna", 0)
	if history.Len() != 0 || len(history.Groups()) != 0 {
		t.Fatalf("%d items", history.Len())
	}
	add("1", "a", "b", "anna", 0)
	add("2", "a", "b", "bert", 1)
	add("6", "a", "c", "bert", 1)
	add("3", "a", "b", "bert", 1)
	add("3", "b", "a", "anna", 2) // changed back to the label of the training: no longer a relabel
	want := []drift.RelabelGroup{
		{Kind: drift.ByAuthor, Name: "bert", Items: 2, Share: 2. / 3},
		{Kind: drift.ByAuthor, Name: "anna", Items: 1, Share: 1. / 3},
		{Kind: drift.ByMinute, Name: "2026-03-01T12:01:00Z", Items: 2, Share: 2. / 3},
		{Kind: drift.ByMinute, Name: "2026-03-01T12:00:00Z", Items: 1, Share: 1. / 3},
	}
	got := history.Groups()
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := gocmp.Diff([]drift.Relabelled{{Item: "2", From: "a", To: "b"}}, history.Of(got[0])); diff != "" {
		t.Error("held-out items of bert: ", diff)
	}
	if diff := gocmp.Diff(map[string]string{"2": "a", "6": "a"}, history.Before(got[2])); diff != "" {
		t.Error("all items of the minute: ", diff)
	}
	if diff := gocmp.Diff([]drift.Relabelled{{Item: "1", From: "a", To: "b"}}, history.Others(got[0])); diff != "" {
		t.Error("held-out items of others: ", diff)
	}
	if history.Restless() != 0 {
		t.Error("one way back is no quarrel")
	}
	add("3", "a", "b", "bert", 3)
	if history.Restless() != 1 {
		t.Error("back and forth is one")
	}
	history.Forget("3")
	history.Forget("unknown")
	if history.Restless() != 0 || history.Len() != 3 {
		t.Errorf("%d items", history.Len())
	}
}

func TestSuspicion(t *testing.T) {
	t.Parallel()
	source := func(items, all, judged, contradicted int) drift.RelabelGroup {
		s := drift.RelabelGroup{
			Kind: drift.ByAuthor, Name: "user 7", Items: items, Share: float64(items) / float64(all),
			Judged: judged, Contradicted: contradicted,
		}
		s.Judge()
		return s
	}
	without := source(100, 110, 20, 15)
	without.Without = &drift.Without{Accuracy: .912}
	minute := without
	minute.Kind, minute.Name, minute.Without = drift.ByMinute, "2026-03-01T12:01:00Z", &drift.Without{
		Accuracy: .7,
		Retrain:  true,
	}
	for _, c := range []struct {
		name       string
		s          drift.Suspicion
		suspicious bool
		text       string
	}{
		{"nothing", drift.Suspicion{}, false, "no item has been relabelled since the training"},
		{
			"many authors",
			drift.Suspicion{Relabelled: 110, Groups: []drift.RelabelGroup{source(50, 110, 20, 20)}},
			false,
			"no single author made most of the 110 relabels",
		},
		{
			"few",
			drift.Suspicion{Relabelled: 19, Groups: []drift.RelabelGroup{source(19, 19, 19, 19)}},
			false,
			"too few relabels since the training to judge them: 19, at least 20 are needed",
		},
		{
			"too few held out",
			drift.Suspicion{Relabelled: 110, Groups: []drift.RelabelGroup{source(100, 110, 9, 9)}},
			false,
			"author user 7 made 100 of 110 relabels; too few of these are on held-out items to judge them",
		},
		{
			"corrections",
			drift.Suspicion{Relabelled: 110, Groups: []drift.RelabelGroup{source(100, 110, 20, 10)}},
			false,
			"author user 7 made 100 of 110 relabels, and of the 20 that can be judged 10 contradict both the model's answer and the labels of the most similar texts; that is not suspicious",
		},
		{
			"shuffled",
			drift.Suspicion{Relabelled: 110, Groups: []drift.RelabelGroup{without}},
			true,
			"author user 7 made 100 of 110 relabels, and of the 20 that can be judged 15 contradict both the model's answer and the labels of the most similar texts; without them accuracy would be 91.2%, and no condition would trip",
		},
		{
			"one minute",
			drift.Suspicion{Relabelled: 110, Groups: []drift.RelabelGroup{source(50, 110, 0, 0), minute}},
			true,
			"writers in the minute 2026-03-01 12:01 UTC made 100 of 110 relabels, and of the 20 that can be judged 15 contradict both the model's answer and the labels of the most similar texts; without them accuracy would be 70.0%, and a retrain would still be due",
		},
		{
			"a quarrel",
			drift.Suspicion{Relabelled: 30, Restless: 20},
			true,
			"20 items were relabelled back and forth: people do not agree on their labels",
		},
		{
			"a small quarrel",
			drift.Suspicion{Relabelled: 100, Restless: 20},
			false,
			"no single author made most of the 100 relabels",
		},
	} {
		c.s.Conclude()
		if c.s.Suspicious != c.suspicious || c.s.Text != c.text {
			t.Errorf("%s: %v %q", c.name, c.s.Suspicious, c.s.Text)
		}
	}
}

func BenchmarkRelabelHistory(b *testing.B) {
	history := drift.NewRelabelHistory(serving.Target{Name: "label"})
	old, new := label("a"), label("b")
	ids := make([]string, 100_000)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	for n := 0; b.Loop(); n++ {
		history.Add(ids[n%len(ids)], false, old, new, "anna", noon)
	}
}
