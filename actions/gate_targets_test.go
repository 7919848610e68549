package actions

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

// two returns the answers of two releases to n items with two targets. In the second target only the candidate is right
// on the first wins items, and only the champion on the last losses items.
func two(n, wins, losses int) (targets []serving.Target, items []drift.LabelChange, candidate, champion answers) {
	targets = []serving.Target{{Name: "priority"}, {Name: "aks"}}
	candidate, champion = answers{}, answers{}
	for i := range n {
		it := drift.LabelChange{Item: fmt.Sprint(i), TextHash: "h", New: map[string]string{"priority": "a", "aks": "x"}}
		mine, theirs := "x", "x"
		if i < wins {
			theirs = "y"
		}
		if i >= n-losses {
			mine = "y"
		}
		items = append(items, it)
		candidate[[2]string{it.Item, "h"}] = answer{Answers: serving.Answers{"priority": "a", "aks": mine}}
		champion[[2]string{it.Item, "h"}] = answer{Answers: serving.Answers{"priority": "a", "aks": theirs}}
	}
	return targets, items, candidate, champion
}

// Each target has a floor. A candidate that is better in one target and equal in the gating one is promoted, whatever
// the number of items.
func TestTargetsHaveFloors(t *testing.T) {
	t.Parallel()
	margin := map[string]TargetFloor{"aks": {Margin: 2}}
	for _, c := range []struct {
		name            string
		n, wins, losses int
		floors          map[string]TargetFloor
		class           store.StepState
		why             string
	}{
		{"only aks is better", 181, 20, 0, nil, store.StepOK, "both are right on the same items"},
		{"nothing differs", 181, 0, 0, margin, store.StepOK, "both are right on the same items"},
		{"aks is lost", 181, 0, 27, nil, store.StepRejected, "target aks: candidate 85.1%, champion 100.0% of 181 items"},
		{"aks is lost, with a margin", 181, 0, 27, margin, store.StepRejected, "-2 is allowed"},
		{"a little worse by chance", 181, 1, 3, nil, store.StepOK, "not worse"},
		{"a little worse, with a margin", 181, 1, 3, margin, store.StepRejected, "-2 is allowed"},
		{"one each, with a margin", 181, 1, 1, margin, store.StepOK, "not worse"},
		{"too few to tell, with a margin", 40, 1, 1, margin, store.StepInconclusive, "too little evidence on target aks"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			targets, items, candidate, champion := two(c.n, c.wins, c.losses)
			facts := compare(targets, items, candidate, champion)
			if facts.Differ != c.wins+c.losses {
				t.Errorf("%d items differ, want %d", facts.Differ, c.wins+c.losses)
			}
			config := PromoteConfig{Targets: c.floors}.WithDefaults()
			facts, class, why := Judge(config, facts, "sha256:old")
			if class != c.class || !strings.Contains(why, c.why) {
				t.Errorf("%s: %s; %+v", class, why, facts.Targets)
			}
			if len(facts.Targets) != 1 || facts.Targets[0].N != c.n || facts.Targets[0].Wins != c.wins ||
				facts.Targets[0].Losses != c.losses {
				t.Errorf("%+v", facts.Targets)
			}
		})
	}
}

// Releases that differ only in a target that does not gate are distinguished, and the old one is not accepted as the
// new one.
func TestProofLooksAtEveryTarget(t *testing.T) {
	t.Parallel()
	_, items, candidate, champion := two(100, 27, 0)
	held := make([]heldItem, len(items))
	for i, it := range items {
		held[i] = heldItem{LabelChange: it, Text: map[string]string{"title": titled(i)}}
	}
	ask := probes(held, candidate, champion)
	if n := differing(ask); n != 27 {
		t.Fatalf("%d probes differ", n)
	}
	f := VerifyFacts{}
	for _, p := range ask {
		f.Probed++
		if p.differs() {
			f.Differ++
			if p.asFormer(champion[[2]string{p.text.Item, p.text.Hash}].Answers) {
				f.AsFormer++
			}
		}
	}
	pr := proof{gate: "priority", promote: PromoteConfig{}.WithDefaults(), release: newDigest, former: true}
	if why := pr.judge(f, nil); !strings.Contains(why, "answer 27 of") {
		t.Errorf("%q, %+v", why, f)
	}
	if why := pr.judge(VerifyFacts{Probed: 50, Agreed: 50}, nil); !strings.Contains(why, "nothing proves what is served") {
		t.Errorf("no text distinguishes the two: %q", why)
	}
	if got := pr.difference(serving.Answers{"priority": "a", "aks": "x"},
		serving.Answers{"priority": "a", "aks": "y"}); got != `aks "y" instead of "x"` {
		t.Error(got)
	}
}

// An adopted champion with unknown training data is compared on items that arrived or were corrected since the
// adoption.
func TestFairItems(t *testing.T) {
	t.Parallel()
	var items []drift.LabelChange
	for i := range 200 {
		items = append(items, drift.LabelChange{Item: fmt.Sprint(i), Seq: int64(i)})
	}
	for _, c := range []struct {
		name     string
		champion Champion
		want     int
		enough   bool
	}{
		{"trained by retraind", Champion{Seq: 199}, 200, true},
		{"its training is known", Champion{Seq: 199, Adopted: &Adopted{TrainedOn: "train.jsonl"}}, 200, true},
		{"enough came since", Champion{Seq: 99, Adopted: &Adopted{}}, 100, true},
		{"too few came since", Champion{Seq: 189, Adopted: &Adopted{}}, 10, false},
	} {
		if got, enough := fairItems(c.champion, items); len(got) != c.want || enough != c.enough {
			t.Errorf("%s: %d items, %v", c.name, len(got), enough)
		}
	}
}

// The pauses before an undo grow, and their sum is the configured time.
func TestUndoPauses(t *testing.T) {
	t.Parallel()
	var all, last time.Duration
	for attempt := 1; attempt <= undoAttempts; attempt++ {
		wait := undoPause(5*time.Minute, attempt)
		if attempt == 1 && wait != 0 || attempt > 2 && (wait-2*last).Abs() > 10 {
			t.Errorf("attempt %d waits %s after %s", attempt, wait, last)
		}
		all, last = all+wait, wait
	}
	if d := 5*time.Minute - all; d < 0 || d > time.Second {
		t.Errorf("the pauses add up to %s", all)
	}
}
