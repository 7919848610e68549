package actions

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/drift/stats"
	"github.com/retraind/retraind/internal/text"
	"github.com/retraind/retraind/serving"
	"github.com/retraind/retraind/store"
)

// gateAlpha is the one-sided level of the gates: of candidates that are worse by exactly the margin, one in twenty is
// promoted.
const gateAlpha = 0.05

// Prediction is one line of predictions.jsonl, the artifact's offline answer to a held-out text. Answers are in the
// format of the service: a text, true or false, a list of texts, or null.
type Prediction struct {
	ID       string                     `json:"id"`
	TextHash string                     `json:"text_hash"`
	Answers  map[string]json.RawMessage `json:"answers,omitempty"`
	// Error is "format" in place of answers if the artifact's answer cannot be used; it counts as wrong.
	Error      string  `json:"error,omitempty"`
	Confidence float64 `json:"confidence"`
}

// errorFormat marks an unusable answer in a line of predictions.jsonl.
const errorFormat = "format"

// answer is the answer of one release to one text.
type answer struct {
	serving.Answers
	confidence float64
}

// answers maps (item, text hash) to an answer.
type answers map[[2]string]answer

// readPredictions reads a release's own answers to test.jsonl. The training or the step predict writes them, before the
// release serves. An answer without the gating target is an error, never a wrong answer.
func readPredictions(releaseDir string, targets []serving.Target) (answers, error) {
	path := filepath.Join(releaseDir, predictionsFile)
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the training wrote no %s into $RETRAIND_RELEASE_DIR: for each line of $RETRAIND_DATA_DIR/test.jsonl that file must have a line with {\"id\", \"text_hash\", \"answers\"}",
			predictionsFile)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := answers{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	n := 1
	for ; lines.Scan(); n++ {
		var p Prediction
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		switch {
		case p.Error == errorFormat && len(p.Answers) == 0 && p.ID != "" && p.TextHash != "":
			out[[2]string{p.ID, p.TextHash}] = answer{Answers: serving.FormatErrors(targets)}
			continue
		case p.Error != "":
			return nil, fmt.Errorf("%s:%d: error %q: only \"format\" is allowed in place of answers", path, n, p.Error)
		}
		if p.ID == "" || p.TextHash == "" || len(p.Answers) == 0 {
			return nil, fmt.Errorf("%s:%d: id, text_hash and answers are required", path, n)
		}
		a := answer{serving.Answers{}, p.Confidence}
		if !(a.confidence >= 0 && a.confidence <= 1) {
			a.confidence = 0
		}
		for i, t := range targets {
			raw, ok := p.Answers[t.Name]
			if !ok && i == 0 {
				return nil, fmt.Errorf("%s:%d: answers has no %q, the gating target", path, n, t.Name)
			}
			if !ok {
				continue
			}
			var v any
			dec := json.NewDecoder(bytes.NewReader(raw))
			dec.UseNumber() // a category may be a large number
			if err = dec.Decode(&v); err == nil {
				a.Answers[t.Name], err = t.Canonical(v)
			}
			if err != nil {
				return nil, fmt.Errorf("%s:%d: answers.%s: %w", path, n, t.Name, err)
			}
		}
		out[[2]string{p.ID, p.TextHash}] = a
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", path, n, err)
	}
	return out, nil
}

// answersAll refuses a candidate that has answered only part of the test set.
func answersAll(mine answers, export *ExportFacts) error {
	if export == nil || len(mine) >= export.Test {
		return nil
	}
	return fmt.Errorf("%s answers %d of the %d lines of test.jsonl: was it cut off?", predictionsFile, len(mine),
		export.Test)
}

// compare scores candidate and champion on the held-out items that both have answered; champion is nil before the first
// release. The items are one frozen snapshot: both are judged by the same labels.
func compare(targets []serving.Target, items []drift.LabelChange, candidate, champion answers) GateFacts {
	gate := targets[0].Name
	var common []drift.LabelChange
	var f GateFacts
	for _, it := range items {
		key := [2]string{it.Item, it.TextHash}
		label, labelled := it.New[gate]
		mine, ok := candidate[key]
		if !labelled || !ok {
			continue
		}
		if champion != nil {
			theirs, ok := champion[key]
			if !ok {
				continue
			}
			right, wasRight := mine.Answers[gate] == label, theirs.Answers[gate] == label
			switch {
			case right && !wasRight:
				f.Wins++
			case !right && wasRight:
				f.Losses++
			}
			if !mine.Answers.Agrees(theirs.Answers) {
				f.Differ++
			}
		}
		common = append(common, it)
	}
	f.N = len(common)
	cand := scored(targets, common, candidate)
	f.Candidate = score(cand)
	f.FormatErrors = cand.Report(now()).FormatErrors
	_, categories, _ := cand.Scores(gate)
	f.Missed = drift.Missed(categories)
	f.Majority = cand.Report(now()).Majority
	if champion != nil {
		champ := scored(targets, common, champion)
		s := score(champ)
		f.Champion = &s
		f.Targets = perTarget(targets[1:], items, candidate, champion)
		f.Worse = perCategory(gate, common, candidate, champion, f1s(cand, gate), f1s(champ, gate))
	}
	return f
}

// scored returns a monitor with the items and the answers of candidate or champion, so that both are scored by the same
// code as the deployed model.
func scored(targets []serving.Target, items []drift.LabelChange, by answers) *drift.Monitor {
	m := drift.NewMonitor(drift.Options{Targets: targets})
	m.Reset(drift.Release{Digest: "compared", Cached: func(item, hash string) (serving.Answers, bool) {
		a, ok := by[[2]string{item, hash}]
		return a.Answers, ok
	}}, slices.Values(items))
	return m
}

func score(m *drift.Monitor) Score {
	r := m.Report(now())
	return Score{Correct: r.Correct, Accuracy: r.Accuracy, Low: r.Low, High: r.High, MacroF1: r.MacroF1}
}

// f1s returns the F1 of each category of a target.
func f1s(m *drift.Monitor, target string) map[string]float64 {
	_, categories, _ := m.Scores(target)
	out := map[string]float64{}
	for _, c := range categories {
		out[c.Name] = c.F1
	}
	return out
}

// perCategory computes for each category the recall and F1 of candidate and champion, and the p-value of a fall in
// recall by the exact one-sided sign test of the paired items.
func perCategory(gate string, items []drift.LabelChange, candidate, champion answers, mine,
	theirs map[string]float64,
) []Category {
	type tally struct{ support, mine, theirs, wins, losses int }
	per := map[string]*tally{}
	for _, it := range items {
		key, label := [2]string{it.Item, it.TextHash}, it.New[gate]
		t := per[label]
		if t == nil {
			t = &tally{}
			per[label] = t
		}
		t.support++
		right, wasRight := candidate[key].Answers[gate] == label, champion[key].Answers[gate] == label
		if right {
			t.mine++
		}
		if wasRight {
			t.theirs++
		}
		if right && !wasRight {
			t.wins++
		}
		if !right && wasRight {
			t.losses++
		}
	}
	var out []Category
	for _, name := range slices.Sorted(maps.Keys(per)) {
		t := per[name]
		n := float64(t.support)
		out = append(out, Category{
			Name: name, Support: t.support, Champion: float64(t.theirs) / n, Candidate: float64(t.mine) / n,
			ChampionF1: theirs[name], CandidateF1: mine[name], P: stats.SignTest(t.losses, t.wins),
		})
	}
	return out
}

// Judge applies the promotion rules to a comparison; champion is the champion's digest. It returns the facts with the
// figures of those rules filled in, and a sentence that explains the result. It is pure.
func Judge(c PromoteConfig, f GateFacts, champion string) (GateFacts, store.StepState, string) {
	f.Gate, f.Margin = c.Gate, float64(c.Margin)
	categories := f.Worse
	f.Worse = nil
	switch {
	case f.N == 0 && f.Leaked > 0:
		return f, store.StepFailed,
			fmt.Sprintf("no held-out item can be compared: %d were training items of the candidate or of the champion, and no other has an answer of the candidate%s; hold out other items, or revert the last change of heldout",
				f.Leaked, andChampion(f))
	case f.N == 0:
		return f, store.StepFailed,
			"no held-out item has an answer of the candidate" + andChampion(f) +
				": do the ids and texts in predictions.jsonl come from this run's test.jsonl?"
	case f.Release == champion && champion != "":
		return f, store.StepRejected, "the training produced the artifact that is already deployed"
	case float64(f.FormatErrors) > float64(c.FormatErrors)*float64(f.N):
		f.Decided = "format_errors"
		return f, store.StepRejected,
			fmt.Sprintf("%d of %d answers are unusable (no JSON, another schema, cut off, or no category); promote.format_errors allows %v",
				f.FormatErrors, f.N, c.FormatErrors)
	case f.Champion == nil:
		if f.Candidate.Accuracy <= f.Majority {
			return f, store.StepRejected,
				fmt.Sprintf("the first release answers %.1f%% of %d held-out items right, no better than always answering the most frequent label (%.1f%%)",
					100*f.Candidate.Accuracy, f.N, 100*f.Majority)
		}
		return f, store.StepOK,
			fmt.Sprintf("first release: %.1f%% of %d held-out items right", 100*f.Candidate.Accuracy, f.N)
	}
	both := fmt.Sprintf("candidate %.1f%%, champion %.1f%% of %d held-out items (only the candidate is right on %d, only the champion on %d)",
		100*f.Candidate.Accuracy, 100*f.Champion.Accuracy, f.N, f.Wins, f.Losses)
	// A category counts as worse only if its F1 fell as well as its recall. Recall alone misleads: a champion that
	// classifies a new category as its parent has full recall on the parent, as has any model that always answers the
	// parent. The Bonferroni correction keeps one of many small categories from looking worse by chance.
	for _, cat := range categories {
		lost, lostF1 := 100*(cat.Champion-cat.Candidate), 100*(cat.ChampionF1-cat.CandidateF1)
		if min(lost, lostF1) > float64(c.CategoryFloor) && cat.P < gateAlpha/float64(len(categories)) {
			f.Worse = append(f.Worse, cat)
		}
	}
	if len(f.Worse) > 0 {
		w := f.Worse[0]
		return f, store.StepRejected,
			fmt.Sprintf("category %q would get worse: recall from %.0f%% to %.0f%% on %d items, F1 from %.0f to %.0f; category_floor allows a loss of %g points; %s",
				w.Name, 100*w.Champion, 100*w.Candidate, w.Support, 100*w.ChampionF1, 100*w.CandidateF1, float64(c.CategoryFloor),
				both)
	}
	if name, class, why := judgeTargets(c, f.Targets); class != store.StepOK {
		f.Decided = "targets." + name
		return f, class, why + "; " + both
	}
	f.P = stats.NewMcNemar(f.Wins, f.Losses).Better
	ni := stats.NonInferior(f.Wins, f.Losses, f.N, float64(c.Margin)/100, gateAlpha)
	f.Bound = 100 * ni.Lower
	switch c.Gate {
	case GateBetter:
		if f.P < gateAlpha {
			return f, store.StepOK, fmt.Sprintf("better: %s, p = %.3g", both, f.P)
		}
		if f.Wins <= f.Losses {
			return f, store.StepRejected, fmt.Sprintf("not better: %s", both)
		}
		return f, store.StepInconclusive,
			fmt.Sprintf("not significantly better (p = %.2g, needs < %v): %s; the champion stays", f.P, gateAlpha, both)
	case GatePoint:
		if f.Wins >= f.Losses {
			return f, store.StepOK, "at least as good: " + both
		}
		return f, store.StepRejected, "worse: " + both
	}
	if f.Wins+f.Losses == 0 {
		f.Bound = 0
		return f, store.StepOK, "not worse: " + both + "; both are right on the same items"
	}
	if ni.Pass {
		return f, store.StepOK,
			fmt.Sprintf("not worse: %s; with 95%% confidence the difference is at least %+.1f points", both, f.Bound)
	}
	// The same bound with candidate and champion swapped gives the largest plausible improvement.
	upper := -stats.NonInferior(f.Losses, f.Wins, f.N, 0, gateAlpha).Lower
	if upper < -float64(c.Margin)/100 || f.Losses > f.Wins {
		return f, store.StepRejected,
			fmt.Sprintf("worse: %s; the difference may be as low as %+.1f points, -%g is allowed", both, f.Bound, f.Margin)
	}
	return f, store.StepInconclusive,
		fmt.Sprintf("too little evidence that the candidate is at most %s worse: %s; the difference may be as low as %+.1f points; the champion stays",
			text.Points(f.Margin), both, f.Bound)
}

func andChampion(f GateFacts) string {
	if f.Champion == nil {
		return ""
	}
	return " and one of the champion"
}
