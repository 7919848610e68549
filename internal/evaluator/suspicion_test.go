package evaluator

import (
	"fmt"
	"testing"
	"time"

	"github.com/retraind/retraind/configs"
	"github.com/retraind/retraind/drift"
	"github.com/retraind/retraind/store"
)

// The relabels of one author are judged among thousands of other texts, however many minutes they took. The minutes are
// then small groups of the same items.
func TestRelabelsOfABulkGroupAreJudged(t *testing.T) {
	t.Parallel()
	const champion, relabelled, others = "sha256:c", 90, judgedTexts + 100
	s, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	label := func(to string) map[string]string { return map[string]string{"label": to} }
	if err := s.Update(t.Context(), "test", func(tx *store.Tx) error {
		for n := range relabelled + others {
			it := store.Item{ID: fmt.Sprint(n), Heldout: true, Labels: label("a"), At: noon}
			it.Text = map[string]string{"text": fmt.Sprintf("the goal of team number%d", n)}
			it.TextHash = drift.TextHash(it.Text)
			if n < relabelled {
				it.Labels = label("b")
				p := store.Prediction{Item: it.ID, TextHash: it.TextHash, Answers: label("a"), At: noon}
				if err := tx.PutPrediction("m", champion, p); err != nil {
					return err
				}
			}
			if err := tx.PutItems("m", it); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, minutes := range []int{1, 3} {
		x := judge{name: "m", rule: &Rules{Model: &configs.Model{}}}
		x.relabels = drift.NewRelabelHistory(x.rule.Model.Serving.List()[0])
		for n := range relabelled {
			at := noon.Add(time.Duration(n%minutes) * time.Minute)
			x.relabels.Add(fmt.Sprint(n), true, label("a"), label("b"), "mallory", at)
		}
		x.found.Groups = x.relabels.Groups()
		author := x.found.Groups[0]
		if err := s.View(t.Context(), func(tx *store.Tx) error {
			jury, err := x.jury(tx, store.Model{Champion: champion})
			if err != nil {
				return err
			}
			for _, r := range x.relabels.Of(author) {
				jury.ask(r, &author)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if author.Judged != relabelled {
			t.Errorf("within %d minutes: %+v", minutes, author)
		}
	}
}
